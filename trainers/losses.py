"""The losses that a setup can minimise, and changes of them that people try against loss spikes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from slingshot_analysis.recording.subject.losses import cross_entropy


def stablemax_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean StableMax cross-entropy: cross-entropy with s(z) in place of exp(z).

    s(z) = z + 1 where z ≥ 0, and 1/(1 − z) where z < 0. For a sample of class y, the loss −log(s(z_y) / Σ_c s(z_c)) is
    computed as log(1 + Σ_{c≠y} s(z_c) / s(z_y)), which keeps its relative precision near 0. The authors' code takes the
    logarithm of the quotient, always in float64. Here the dtype is that of the logits, which is the setup's
    `loss_dtype`.

    Parameters
    ----------
    logits : (n, classes) Tensor
        Logits of any floating-point dtype.
    targets : (n,) integer Tensor
        Class of each sample.

    Returns
    -------
    () Tensor, nat
        The loss, in the dtype of the logits.

    References
    ----------
    Prieto et al. 2025, "Grokking at the edge of numerical stability", arXiv 2501.04697, section 4.

    Examples
    --------
    s(3) = 4 and s(-1) = 1/2, so the loss is log(1 + 1/8):

    >>> round(stablemax_cross_entropy(torch.tensor([[3.0, -1.0]]), torch.tensor([0])).item(), 6)
    0.117783
    """
    # clamp: the branch that `where` does not select must be finite too, because a gradient of 0 · inf is NaN
    s = torch.where(logits < 0, 1 / (1 - logits.clamp(max=0)), logits + 1)
    index = targets.unsqueeze(-1)
    others = s.scatter(-1, index, 0).sum(-1, keepdim=True)
    return torch.log1p(others / s.gather(-1, index)).mean()


def mean_output(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean output of the model, which is the loss of a model that computes the objective itself."""
    return outputs.mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "stablemax": stablemax_cross_entropy,
    "output": mean_output,
}
"""Losses by name: functions ``loss(outputs, targets)`` that return the mean over the batch."""


@dataclass(frozen=True)
class ChangedLoss:
    """A loss with label smoothing, a z-loss or a temperature.

    ``(1 − a) loss(z/T, y) + a Σ_c loss(z/T, c)/C + b mean((log Σ_c exp(z_c))²)`` for C classes.

    Parameters
    ----------
    loss : str
        Name of the loss, one of `LOSSES`.
    label_smoothing : float, in [0, 1)
        a: share of the target that is spread over all classes (Szegedy et al. 2016, arXiv 1512.00567).
    z_loss : float
        b: weight of the squared logarithm of the softmax's normaliser (PaLM, arXiv 2204.02311, section 5).
    temperature : float
        T: the logits are divided by it before the loss.

    Examples
    --------
    >>> logits, targets = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> plain = cross_entropy(logits, targets)
    >>> bool(ChangedLoss("cross_entropy", temperature=2.0)(2 * logits, targets) == plain)
    True
    """

    loss: str
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    temperature: float = 1.0

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the batch, in the dtype of the logits."""
        scaled, a = logits / self.temperature, self.label_smoothing
        value = LOSSES[self.loss](scaled, targets)
        if a:
            classes = range(logits.shape[-1])
            spread = sum(LOSSES[self.loss](scaled, torch.full_like(targets, c)) for c in classes) / len(classes)
            value = (1 - a) * value + a * spread
        if self.z_loss:
            value = value + self.z_loss * torch.logsumexp(logits, -1).square().mean()
        return value
