"""Whether the loss of a batch is that of its logits and targets, and if not, what usually explains the difference."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.subject.losses import LossFunction, cross_entropy

TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 5e-2}
"""Largest relative difference, by the dtype of the logits; `PRECISE` for others."""
PRECISE, LEAST = 2e-3, 1e-5
"""Largest relative difference otherwise, and the absolute difference below which nothing is compared."""
SMOOTHINGS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
MOST_PARTS = 1 << 20
"""Maximum number of batches over which a loss may be accumulated."""


def is_checked(step: int) -> bool:
    """Return whether the loss of this update is checked: at 0, at powers of 2, and at every 1,000th update.

    Examples
    --------
    >>> [step for step in range(2001) if is_checked(step)]
    [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 2000]
    """
    return step % 1000 == 0 or (step < 1000 and step & (step - 1) == 0)


@torch.no_grad()
def check_loss(loss: Tensor, logits: Tensor, targets: Tensor, loss_function: LossFunction) -> None:
    """Raise an error unless the loss is that of logits and targets. Waits for the device.

    Parameters
    ----------
    loss : () Tensor
        The loss of the batch, as training computed it.
    logits : (..., classes) Tensor
        Outputs of the model.
    targets : (...) Tensor
        Targets.
    loss_function : callable
        ``loss_function(logits, targets)``, the mean loss.

    Raises
    ------
    InputError
        If they differ; the message names the cause if it is a usual one, and what to do.

    Examples
    --------
    >>> logits, targets = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    >>> check_loss(cross_entropy(logits, targets), logits, targets, cross_entropy)
    >>> check_loss(cross_entropy(logits, targets) / 4, logits, targets, cross_entropy)
    Traceback (most recent call last):
    ...
    slingshot_analysis.errors.InputError: the batch's loss is 0.180024, but the loss of its logits and targets is \
0.720095: it looks divided by 4, as for accumulation; give the loss before the division. If both are right, because \
the loss has further terms, give checks=False
    """
    tolerance = TOLERANCE.get(logits.dtype, PRECISE)
    given = float(loss)
    wide = logits.float() if logits.dtype in TOLERANCE else logits
    mean = float(loss_function(wide, targets))
    if not (math.isfinite(given) and math.isfinite(mean)) or _alike(given, mean, tolerance):
        return
    cause = _cause(given, mean, wide, targets, loss_function, tolerance)
    raise InputError(
        f"the batch's loss is {given:g}, but the loss of its logits and targets is {mean:g}: {cause}. If both are "
        "right, because the loss has further terms, give checks=False"
    )


def _cause(
    given: float, mean: float, logits: Tensor, targets: Tensor, loss_function: LossFunction, tolerance: float
) -> str:
    classes = loss_function is cross_entropy and not targets.is_floating_point()
    if classes and targets.ndim >= 2 and targets.shape[-1] > 1:
        shifted = float(cross_entropy(logits[..., :-1, :], targets[..., 1:]))
        if _alike(given, shifted, tolerance):
            return "it is that of logits and targets shifted by one position; give shift_labels=True"
    counted = int((targets >= 0).sum()) if classes else len(targets)
    if counted > 1 and _alike(given, mean * counted, tolerance):
        return "it is the sum over the samples; give the mean, reduction='mean'"
    if classes:
        for smoothing in SMOOTHINGS:
            flat = logits.flatten(0, -2), targets.flatten().clamp(min=-1)
            smoothed = float(functional.cross_entropy(*flat, ignore_index=-1, label_smoothing=smoothing))
            if _alike(given, smoothed, tolerance):
                return (
                    f"it has a label smoothing of {smoothing:g}; give "
                    f"loss_function=nn.CrossEntropyLoss(label_smoothing={smoothing:g})"
                )
    ratio = given / mean if mean else math.inf
    scale = 2 ** round(math.log2(ratio)) if 1.5 < ratio < math.inf else 0
    if scale and _alike(ratio, scale, tolerance):
        return f"it looks multiplied by {scale:,}, as by a gradient scaler; give the loss before that"
    parts = round(1 / ratio) if ratio > 1 / MOST_PARTS else 0
    if parts >= 2 and _alike(1 / ratio, parts, tolerance):
        return f"it looks divided by {parts:,}, as for accumulation; give the loss before the division"
    name = loss_function.__class__.__name__ if isinstance(loss_function, nn.Module) else _name(loss_function)
    return f"training seems to minimise another loss than {name}; give that as loss_function="


def _name(loss_function: LossFunction) -> str:
    return str(getattr(loss_function, "__name__", loss_function))


def _alike(one: float, other: float, tolerance: float) -> bool:
    return abs(one - other) <= max(tolerance * max(abs(one), abs(other)), LEAST)
