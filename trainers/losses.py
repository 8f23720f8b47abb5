"""The losses that a setup can minimise."""

from __future__ import annotations

from collections.abc import Callable

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
