"""The micro-batches of a step: those that wait for it, joined into the batch whose mean loss it minimises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError


@dataclass(frozen=True)
class MicroBatch:
    """Loss, logits and targets of a micro-batch.

    Parameters
    ----------
    loss : () Tensor or None
        Its mean loss.
    logits, targets : Tensor or None
        Outputs of the model, and targets, as far as they are given.
    samples : float or None
        Weight of its loss among those of the step, if it is given.
    indices : (n,) integer Tensor or None
        Numbers of its samples, if they are given.
    """

    loss: Tensor | None
    logits: Tensor | None
    targets: Tensor | None
    samples: float | None = None
    indices: Tensor | None = None


class PendingBatches:
    """The micro-batches since the last step, without those whose gradients were discarded without a step."""

    def __init__(self) -> None:
        self._parts: list[MicroBatch] = []
        self._follow_backward: bool | None = None
        self._at_last_pass = self._discarded = 0

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, batch: MicroBatch, passes: int) -> None:
        """Take a batch, after so many backward passes."""
        if self._follow_backward is None:
            self._follow_backward = passes > 0
        del self._parts[: self._discarded]
        self._discarded = 0
        self._parts.append(batch)

    def backward(self, is_new: bool) -> None:
        """Note a backward pass; if its gradients are new ones, those before were used or discarded.

        A gradient scaler discards them. Batches are forgotten only for such as come after them: two passes may also
        belong to one step, as in SAM.
        """
        if is_new and self._follow_backward:
            self._discarded = len(self._parts)
        elif is_new and len(self._parts) > self._at_last_pass:
            del self._parts[: self._at_last_pass]
        self._at_last_pass = len(self._parts)

    def take(self, weight_of: Callable[[Tensor], Tensor]) -> MicroBatch:
        """Return the batch of the step that is made now; see :func:`joined`."""
        batch = joined(self._parts, weight_of)
        self.clear()
        return batch

    def clear(self) -> None:
        """Forget all batches."""
        self._parts.clear()
        self._at_last_pass = self._discarded = 0


def joined(parts: Sequence[MicroBatch], weight_of: Callable[[Tensor], Tensor]) -> MicroBatch:
    """Return the batch of a step: the mean loss, weighted by samples, and all logits and targets.

    Parameters
    ----------
    parts : sequence of MicroBatch
        The micro-batches.
    weight_of : callable
        Returns the weight of the mean loss of some targets, where none is given.

    Raises
    ------
    InputError
        If some of the micro-batches have a loss, or logits, and others have none.

    Examples
    --------
    >>> one = MicroBatch(torch.tensor(1.0), torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))
    >>> other = MicroBatch(torch.tensor(2.0), torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
    >>> batch = joined([one, other], lambda targets: (targets >= 0).sum())
    >>> batch.loss.item(), batch.logits.shape
    (1.25, torch.Size([4, 2]))
    """
    if len(parts) <= 1:
        return parts[0] if parts else MicroBatch(None, None, None)
    losses = [part.loss for part in parts if part.loss is not None]
    logits = [part.logits for part in parts if part.logits is not None]
    targets = [part.targets for part in parts if part.targets is not None]
    indices = [part.indices for part in parts if part.indices is not None]
    if any(len(given) not in (0, len(parts)) for given in (losses, logits, targets, indices)):
        raise InputError(
            "some micro-batches of a step have a loss, logits, targets or indices that others lack: give them all"
        )
    loss = None
    if losses:
        wide = torch.stack([part.to(torch.float64) for part in losses])
        given = [_weight(part, weight_of) for part in parts]
        weights = torch.stack([torch.as_tensor(weight, dtype=wide.dtype, device=wide.device) for weight in given])
        loss = ((wide * weights).sum() / weights.sum()).to(torch.promote_types(losses[0].dtype, torch.float32))
    return MicroBatch(loss, _joined_rows(logits, 1), _joined_rows(targets, 0), indices=_joined_rows(indices, 0))


def _weight(part: MicroBatch, weight_of: Callable[[Tensor], Tensor]) -> float | Tensor:
    if part.samples is not None or part.targets is None:
        return 1.0 if part.samples is None else part.samples
    return weight_of(part.targets)


def _joined_rows(tensors: Sequence[Tensor], kept: int) -> Tensor | None:
    """Return all samples of some tensors. Where their shapes differ, all axes but the last `kept` become one."""
    if not tensors:
        return None
    if len({tensor.shape[1:] for tensor in tensors}) > 1:
        tensors = [tensor.reshape(-1, *tensor.shape[tensor.ndim - kept :]) for tensor in tensors]
    return torch.cat(list(tensors))
