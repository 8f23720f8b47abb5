"""The kind of a run's targets, which decides which outputs are errors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.subject.losses import LossFunction, count_errors


class Kind(Enum):
    """Kind of the targets."""

    CLASS = "a class as an integer"
    PROBABILITIES = "a probability for each class, such as one-hot"
    BINARY = "0 or 1 for each output"
    NUMBER = "a number to regress on, which is never right or wrong"


@dataclass(frozen=True)
class Targets:
    """How errors are counted.

    Parameters
    ----------
    kind : Kind, optional
        Kind of the targets.
    threshold : float, optional
        For targets of 0 or 1: an output above it predicts 1.
    ignored : int, optional
        Class that is left out, besides all below 0.

    Examples
    --------
    >>> one_hot, outputs = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[0.2, 0.9], [0.4, 0.5]])
    >>> Targets(Kind.PROBABILITIES).errors(outputs, one_hot)
    tensor(1)
    """

    kind: Kind = Kind.CLASS
    threshold: float = 0.0
    ignored: int = -100

    @property
    def have_errors(self) -> bool:
        """Whether an output can be an error."""
        return self.kind is not Kind.NUMBER

    def errors(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the number of errors among a batch's outputs, as a () integer tensor."""
        if self.kind is Kind.BINARY:
            return ((outputs > self.threshold).flatten() != (targets > 0.5).flatten()).sum()
        if self.kind is Kind.PROBABILITIES:
            targets = targets.argmax(-1)
        elif targets.is_floating_point():
            raise InputError(
                f"the targets are {targets.dtype}, not classes: give train_data=, which tells what they are"
            )
        else:
            targets = self._counted(targets)
        return count_errors(outputs.unsqueeze(0), targets.unsqueeze(0))[0]

    def count(self, targets: Tensor) -> Tensor | int:
        """Return the number of a batch's targets that can be errors."""
        if self.kind is Kind.CLASS:
            return (self._counted(targets) >= 0).sum()
        return targets[..., 0].numel() if self.kind is Kind.PROBABILITIES else targets.numel()

    def _counted(self, targets: Tensor) -> Tensor:
        return targets if self.ignored < 0 else targets.masked_fill(targets == self.ignored, -1)


def understand_targets(outputs: Tensor, targets: Tensor, loss_function: LossFunction) -> Targets:
    """Find the kind of the targets from samples of them, the model's outputs and the loss.

    Parameters
    ----------
    outputs : (m, ...) Tensor
        Outputs of the model for the first m samples.
    targets : (n, ...) Tensor
        Targets of n >= m samples, as `loss_function` takes them.
    loss_function : callable
        The loss. For targets of 0 or 1 it decides the threshold: 1/2 if an output of 1/2 has the same loss for both
        targets, else 0, as for a logit.
    """
    ignored = getattr(loss_function, "ignore_index", -100)
    values = targets.to(torch.float64)
    if not targets.is_floating_point() and outputs.ndim > targets.ndim and outputs.shape[-1] > 1:
        return Targets(ignored=ignored)
    if targets.ndim > 1 and targets.shape[-1] > 1 and _are_probabilities(values):
        return Targets(Kind.PROBABILITIES)
    if values.isnan().any() or set(values.flatten().tolist()) != {0, 1}:
        return Targets(Kind.NUMBER)
    middle, like = torch.full_like(outputs, 0.5), targets[: len(outputs)]
    no, yes = (loss_function(middle, torch.full_like(like, value)) for value in (0, 1))
    return Targets(Kind.BINARY, 0.5 if torch.isclose(no, yes) else 0.0)


def _are_probabilities(values: Tensor) -> bool:
    return bool((values >= 0).all()) and torch.allclose(values.sum(-1), values.new_ones(()), atol=1e-3)
