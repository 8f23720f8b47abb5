"""The only module that uses private parts of PyTorch. Each has a public fallback that gives equal values.

They are checked with PyTorch 2.13. A release that lacks one of them uses the fallback, which is slower on small models:
there, starting an operation costs more than its arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn

WRAPPED = "_orig_mod"
"""Attribute of a compiled module that holds the module as it was written."""

MEAN, IGNORED = 1, -100
"""Arguments of the kernels of the negative log-likelihood: the mean over samples, and the class to ignore."""


def _kernel(name: str, overload: str = "default") -> Callable[..., Any] | None:
    return getattr(getattr(torch.ops.aten, name, None), overload, None)


_NLL_LOSS, _NLL_LOSS_BACKWARD = _kernel("nll_loss_forward"), _kernel("nll_loss_backward")
_THRESHOLD_BACKWARD = _kernel("threshold_backward", "grad_input")


def foreach(
    operation: str,
    tensors: Sequence[Tensor],
    *others: Sequence[Tensor | float] | float,
    value: Sequence[float] | float | None = None,
) -> list[Tensor]:
    """Apply one operation to each of several tensors, in one call of PyTorch.

    Parameters
    ----------
    operation : str
        Name of a method of Tensor, such as "mul", or "mul_" to work in place.
    tensors : sequence of n Tensor
        What it is applied to.
    *others : sequence of n Tensor or float, or float
        Further operands: one for each tensor, or one number for all.
    value : sequence of n float, or float, optional
        The factor of ``addcmul_`` and ``addcdiv_``.

    Returns
    -------
    list of n Tensor
        The results; nothing that may be used where the operation works in place.
    """
    together = getattr(torch, f"_foreach_{operation}", None)
    if together is not None:
        results: list[Tensor] = together(tensors, *others) if value is None else together(tensors, *others, value)
        return results
    columns = [other if isinstance(other, Sequence) else repeat(other) for other in others]
    rows = zip(tensors, *columns, strict=False)
    if value is None:
        return [getattr(tensor, operation)(*operands) for tensor, *operands in rows]
    factors = value if isinstance(value, Sequence) else repeat(value)
    return [
        getattr(tensor, operation)(*operands, value=factor)
        for (tensor, *operands), factor in zip(rows, factors, strict=False)
    ]


def norms(tensors: Sequence[Tensor], dtype: torch.dtype | None = None) -> list[Tensor]:
    """Return the Euclidean norm of each of several tensors as a () tensor, computed in `dtype` if one is given."""
    together = getattr(torch, "_foreach_norm", None)
    if together is not None:
        return list(together(tensors, 2, dtype))
    return [torch.linalg.vector_norm(tensor, dtype=dtype) for tensor in tensors]


def nll_loss_and_gradient(log_p: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean negative log-likelihood of the targets, a () tensor, and its gradient by `log_p`.

    Parameters
    ----------
    log_p : (n, classes) Tensor
        Logarithms of the probabilities.
    targets : (n,) int64 Tensor
        Classes.
    """
    if _NLL_LOSS is not None and _NLL_LOSS_BACKWARD is not None:
        loss, weight = _NLL_LOSS(log_p, targets, None, MEAN, IGNORED)
        return loss, _NLL_LOSS_BACKWARD(torch.ones_like(loss), log_p, targets, None, MEAN, IGNORED, weight)
    with torch.enable_grad():
        leaf = log_p.detach().requires_grad_()
        loss = nn.functional.nll_loss(leaf, targets)
    return loss.detach(), torch.autograd.grad(loss, leaf)[0]


def nll_losses_and_gradient(log_p: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return what :func:`nll_loss_and_gradient` gives for each of R runs, bit for bit, (R,) and (R, n, classes).

    Parameters
    ----------
    log_p : (R, n, classes) Tensor
        Logarithms of the probabilities.
    targets : (R, n) int64 Tensor
        Classes, none of them ignored.
    """
    if _NLL_LOSS is not None and _NLL_LOSS_BACKWARD is not None:
        found = [_NLL_LOSS(one, of_one, None, MEAN, IGNORED) for one, of_one in zip(log_p, targets, strict=True)]
        losses, weights = zip(*found, strict=True)
        one, flat = torch.ones_like(losses[0]), log_p.flatten(0, 1)
        gradient = _NLL_LOSS_BACKWARD(one, flat, targets.flatten(), None, MEAN, IGNORED, weights[0])
        return torch.stack(losses), gradient.view_as(log_p)
    losses, gradients = zip(*map(nll_loss_and_gradient, log_p, targets), strict=True)
    return torch.stack(losses), torch.stack(gradients)


def norm_of_gradients(parameters: Sequence[Tensor]) -> Tensor:
    """Return the norm of all gradients together, a () float64 tensor; 0 where there are none."""
    gradients = [p.grad.to_dense() if p.grad.is_sparse else p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros((), dtype=torch.float64, device=parameters[0].device)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms(gradients)).to(torch.float64))
    return norm


def after_backward(call: Callable[[], None]) -> None:
    """Call a function at the end of the backward pass that is going on; needs to be called within it.

    The second callback comes after those that DistributedDataParallel has made, which wait for its sums of gradients.
    """
    engine: Any = getattr(torch.autograd.Variable, "_execution_engine", None)
    if engine is not None:
        engine.queue_callback(lambda: engine.queue_callback(call))


def scale_of(scaler: torch.amp.GradScaler, device: torch.device) -> Tensor:
    """Return the present scale of a gradient scaler as a () tensor, without waiting for the device."""
    scale: Tensor | None = getattr(scaler, "_scale", None)
    return torch.full((), scaler.get_scale(), device=device) if scale is None else scale


def log_softmax_backward(upstream: Tensor, log_p: Tensor, logits: Tensor) -> Tensor:
    """Return the gradient with respect to the logits of log_p = log_softmax(logits) over the last axis.

    Parameters
    ----------
    upstream : (..., classes) Tensor
        Gradient with respect to `log_p`.
    log_p, logits : (..., classes) Tensor
        As above, in one dtype.
    """
    kernel = getattr(torch, "_log_softmax_backward_data", None)
    if kernel is not None:
        gradient: Tensor = kernel(upstream, log_p, -1, logits.dtype)
        return gradient
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        return torch.autograd.grad(torch.log_softmax(leaf, -1), leaf, upstream)[0]


def relu_backward_(gradient: Tensor, output: Tensor) -> None:
    """Set the gradient of a ReLU's output to 0, in place, where that output is 0."""
    if _THRESHOLD_BACKWARD is not None:
        _THRESHOLD_BACKWARD(gradient, output, 0, grad_input=gradient)
    else:
        gradient.masked_fill_(output <= 0, 0)


def fused_adam() -> Callable[..., None] | None:
    """Return the kernel behind ``torch.optim.Adam(fused=True)``; None where only that optimizer itself is there."""
    kernel: Callable[..., None] | None = getattr(torch, "_fused_adam_", None)
    return kernel


def uncompiled(model: nn.Module) -> nn.Module:
    """Return the module that ``torch.compile`` was given, or the module itself if it is not compiled."""
    inner: Any = getattr(model, WRAPPED, model)
    return inner if isinstance(inner, nn.Module) else model


def is_compiled(model: nn.Module) -> bool:
    """Return whether the model or a part of it comes from ``torch.compile``."""
    return any(hasattr(module, WRAPPED) for module in model.modules())
