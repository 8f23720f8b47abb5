"""Loss and errors of classification, for one batch or for many at once.

Targets below 0 (such as -100, the index that PyTorch's cross-entropy ignores) do not count.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["count_errors", "cross_entropy", "float64_loss", "precise_cross_entropy"]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (..., classes) and targets (...), in nat."""
    return functional.cross_entropy(logits.flatten(0, -2), targets.flatten())


def precise_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of each of n batches, in float64 and without cancellation.

    For a sample of class y it is log(1 + Σ_{c≠y} exp(z_c − z_y)), which keeps its relative precision however small
    it is, while the usual log Σ_c exp(z_c) − z_y is rounded to a multiple of the machine epsilon.

    Parameters
    ----------
    logits : (n, ..., classes) Tensor
        Any floating-point dtype.
    targets : (n, ...) integer Tensor
        Classes.

    Returns
    -------
    (n,) float64 Tensor, nat
        NaN for a batch in which no target counts.

    Examples
    --------
    >>> precise_cross_entropy(torch.tensor([[60.0, 0.0]]), torch.tensor([0])).item()
    8.75651076269652e-27
    """
    by_class = logits.movedim(-1, 0).to(torch.float64, memory_format=torch.contiguous_format)
    index = targets.clamp(min=0).unsqueeze(0)
    others = (by_class - by_class.gather(0, index)).scatter_(0, index, -torch.inf)
    largest = others.amax(0).clamp_(min=0)
    losses = largest + torch.log1p((others - largest).exp_().sum(0) + torch.expm1(-largest))
    counted = targets >= 0
    return (losses * counted).view(len(targets), -1).sum(1) / counted.view(len(targets), -1).sum(1)


def float64_loss(loss_function: Callable[[Tensor, Tensor], Tensor], logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss of one batch in float64: precise for cross-entropy, else `loss_function` of cast logits."""
    if loss_function is cross_entropy:
        return precise_cross_entropy(logits.unsqueeze(0), targets.unsqueeze(0))[0]
    return loss_function(logits.to(torch.float64), targets)


def count_errors(logits: Tensor, targets: Tensor) -> Tensor:
    """Return how many of the targets (n, ...) are not the largest of their logits (n, ..., classes), as (n,)."""
    wrong = (logits.argmax(-1) != targets).logical_and_(targets >= 0)
    return wrong.view(len(targets), -1).sum(1)
