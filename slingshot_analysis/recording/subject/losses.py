"""Loss and errors of classification, for one batch or for many at once.

Targets below 0, such as -100, the index that PyTorch's cross-entropy ignores, are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from slingshot_analysis.errors import InputError

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""``loss_function(logits, targets)``, the mean loss of a batch as a scalar tensor."""


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits (..., classes) and targets (...), in nat, without targets below 0."""
    return functional.cross_entropy(logits.flatten(0, -2), targets.flatten().clamp(min=-1), ignore_index=-1)


def recognised(loss_function: LossFunction) -> LossFunction:
    """Return :func:`cross_entropy` if the loss is PyTorch's equivalent function or module, else the loss itself."""
    if loss_function is functional.cross_entropy:
        return cross_entropy
    if type(loss_function) is nn.CrossEntropyLoss and loss_function.weight is None:
        plain = loss_function.reduction == "mean" and not loss_function.label_smoothing
        return cross_entropy if plain and loss_function.ignore_index < 0 else loss_function
    return loss_function


def precise_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of each of n batches, in float64 and without cancellation.

    For a sample of class y it is log(1 + Σ_{c≠y} exp(z_c − z_y)), which keeps its relative precision however small it
    is. The usual form, log Σ_c exp(z_c) − z_y, is rounded to a multiple of the machine epsilon.

    Parameters
    ----------
    logits : (n, ..., classes) Tensor
        Logits in any floating-point dtype.
    targets : (n, ...) integer Tensor
        Classes.

    Returns
    -------
    (n,) float64 Tensor, nat
        NaN for a batch whose targets are all below 0.

    Examples
    --------
    >>> precise_cross_entropy(torch.tensor([[60.0, 0.0]]), torch.tensor([0])).item()
    8.75651076269652e-27
    """
    # one copy, by class, which all steps change in place, because new memory for each of them would cost time
    others = logits.movedim(-1, 0).to(torch.float64, copy=True, memory_format=torch.contiguous_format)
    index = targets.clamp(min=0).unsqueeze(0)
    others.sub_(others.gather(0, index)).scatter_(0, index, -torch.inf)
    largest = others.amax(0).clamp_(min=0)
    losses = largest + torch.log1p(others.sub_(largest).exp_().sum(0) + torch.expm1(-largest))
    counted = targets >= 0
    return (losses * counted).view(len(targets), -1).sum(1) / counted.view(len(targets), -1).sum(1)


def float64_loss(loss_function: LossFunction, logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss of one batch in float64, without cancellation where it is cross-entropy.

    Other losses are called with float64 tensors: the logits, targets that are not integers, and what a loss that is a
    module holds, such as class weights.

    Raises
    ------
    InputError
        If a loss that is not a module does not accept float64.
    """
    if loss_function is cross_entropy:
        return precise_cross_entropy(logits.unsqueeze(0), targets.unsqueeze(0))[0]
    logits, targets = logits.to(torch.float64), _cast(targets)
    if isinstance(loss_function, nn.Module):
        own = chain(loss_function.named_parameters(), loss_function.named_buffers())
        loss: Tensor = functional_call(loss_function, {name: _cast(part) for name, part in own}, (logits, targets))
        return loss
    try:
        return loss_function(logits, targets)
    except RuntimeError as error:
        if "Double" not in str(error):
            raise
        raise InputError(
            f"loss_function= fails with float64 logits ({error}): cast its tensors, as in weight.to(logits.dtype), or "
            "give a module that holds them, such as nn.CrossEntropyLoss(weight=...)"
        ) from error


def loss_weight(loss_function: LossFunction, targets: Tensor) -> Tensor:
    """Return the weight of a batch's mean loss in the mean over several batches, as a () tensor.

    It is the number of targets, without integers below 0. For PyTorch's modules with class weights it is the sum of the
    targets' weights.
    """
    if targets.is_floating_point():
        return torch.full((), len(targets), device=targets.device)
    counted = targets >= 0
    if isinstance(loss_function, nn.CrossEntropyLoss | nn.NLLLoss):
        counted = counted & (targets != loss_function.ignore_index)
        if loss_function.weight is not None:
            weights: Tensor = loss_function.weight[targets.clamp(min=0)]
            return (weights.to(torch.float64) * counted).sum()
    return counted.sum()


def _cast(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float64) if tensor.is_floating_point() else tensor


def losses_of_samples(loss_function: LossFunction, logits: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each sample alone, (n,) float64, for logits (n, ..., classes) and targets (n, ...)."""
    if loss_function is cross_entropy:
        return precise_cross_entropy(logits, targets)
    return torch.stack([loss_function(z[None], y[None]) for z, y in zip(logits, targets, strict=True)]).double()


def count_errors(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the number of targets (n, ...) that are not the class of the largest logit (n, ..., classes), as (n,)."""
    wrong = (logits.max(-1).indices != targets).logical_and_(targets >= 0)
    return wrong.view(len(targets), -1).sum(1)
