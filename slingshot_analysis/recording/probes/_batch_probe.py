"""Base class of the probes of an update's batch. They share one copy of each batch's loss, logits and targets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import BLOCK_ROWS, Moment, Probe
from slingshot_analysis.recording.torch_internals import foreach

KEPT_BYTES = 32 * 2**20
"""Bytes. If the logits of a block of updates fit into this, they are kept for one computation, else used at once."""


class KeptBatches:
    """Loss, logits and targets of a block of updates, copied once for all probes of one schedule.

    A batch is kept if it has the shape of the first one, and a block of that shape fits into `KEPT_BYTES`.
    """

    def __init__(self) -> None:
        self.shape: torch.Size | None = None
        """Shape of the logits that are kept; empty if none are kept, None before the first batch."""
        self._block: tuple[Tensor, Tensor, Tensor] | None = None
        self._rows: list[int] = []
        self._row = 0
        self._step = -1
        self._settled = True

    def keep(self, moment: Moment) -> bool:
        """Keep the batch of the next row, if no other probe has done so already; return whether it is kept."""
        loss, logits, targets = moment.loss, moment.logits, moment.targets
        assert loss is not None
        assert logits is not None
        assert targets is not None
        if self.shape is None:
            self.shape = logits.shape if BLOCK_ROWS * logits.nbytes <= KEPT_BYTES else torch.Size()
        fits: bool = logits.shape == self.shape
        if moment.step == self._step:
            return fits
        self._begin_block()
        if fits:
            self._make_space(loss, logits, targets)
            foreach("copy_", self._slots[self._row], [loss, logits, targets])
            self._rows.append(self._row)
        self._row += 1
        self._step = moment.step
        return fits

    def keep_all(self, losses: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Keep the batches of the next n rows, given as (n, ...) tensors with the shape that is kept."""
        self._begin_block()
        self._make_space(losses[0], logits[0], targets[0])
        rows = range(self._row, self._row + len(losses))
        for part, given in zip(self.block, (losses, logits, targets), strict=True):
            part[rows.start : rows.stop] = given
        self._rows += rows
        self._row = rows.stop

    def undo(self, step: int) -> None:
        """Forget the last batch, if it is of this step."""
        if self._step != step:
            return
        self._row -= 1
        self._step = -1
        if self._rows and self._rows[-1] == self._row:
            self._rows.pop()

    def _begin_block(self) -> None:
        if self._settled:
            self._row, self._rows, self._settled = 0, [], False

    def _make_space(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        if self._block is None:
            self._block = _rows_of(loss), _rows_of(logits), _rows_of(targets)
            self._slots = list(zip(*(part.unbind(0) for part in self._block), strict=True))

    def settle(self, rows: int) -> list[int]:
        """Return those of the block's first `rows` rows that are kept; the next batch begins a new block."""
        self._settled = True
        return [row for row in self._rows if row < rows]

    @property
    def block(self) -> tuple[Tensor, Tensor, Tensor]:
        """Losses (512,), logits (512, ...) and targets (512, ...) of a block, of which only the kept rows matter."""
        assert self._block is not None
        return self._block


class BatchProbe(Probe):
    """A probe that is a function of loss, logits and targets of an update's batch.

    Where the logits are small, :meth:`of_batches` is called once for a whole block of updates.
    """

    needs_batch = True

    shared: KeptBatches | None = None
    """Where the batch probes of one schedule keep their batches; None for a probe that keeps its own."""

    def attach_batches(self, keep: bool = True) -> None:
        """Prepare for a run; without `keep`, every batch is used at once."""
        self._batches = self.shared if keep and self.shared is not None else KeptBatches()
        self._keep = keep

    @property
    def kept(self) -> KeptBatches | None:
        """Where the batches are kept; None if they are not, or if their size is not known yet."""
        return self._batches if self._keep and self._batches.shape else None

    @abstractmethod
    def of_batches(self, losses: Tensor, logits: Tensor, targets: Tensor) -> Sequence[Tensor]:
        """Return the values of n batches, one (n,) tensor for each buffer.

        Parameters
        ----------
        losses : (n,) Tensor
            Losses as training computed them.
        logits : (n, ..., classes) Tensor
            Outputs of the model.
        targets : (n, ...) integer Tensor
            Classes; those below 0 are ignored.
        """

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        """Keep the batch for :meth:`settle`, or use it at once if it does not fit."""
        loss, logits, targets = moment.loss, moment.logits, moment.targets
        if not (isinstance(loss, Tensor) and isinstance(logits, Tensor) and isinstance(targets, Tensor)):
            raise InputError(
                f"the probe {self.name!r} needs three tensors, recorder.update(loss, logits, targets); if there are "
                "none, leave it out of probes="
            )
        if self._keep and targets.is_floating_point():
            raise InputError(
                f"the probe {self.name!r} needs an integer class for each sample, not {targets.dtype}: give the "
                "recorder train_data=, which tells what targets are, or leave the probe out of probes="
            )
        if not (self._keep and self._batches.keep(moment)):
            batch = loss.reshape(1), logits.unsqueeze(0), targets.unsqueeze(0)
            for slot, value in zip(slots, self.of_batches(*batch), strict=True):
                slot.copy_(value[0])

    def settle(self, buffers: Sequence[Tensor]) -> None:
        """Measure the batches that were kept."""
        rows = self._batches.settle(len(buffers[0]))
        if not rows:
            return
        index: Tensor | slice = slice(len(rows))
        if len(rows) < len(buffers[0]):
            index = torch.tensor(rows).to(buffers[0].device, non_blocking=True)
        # always compute a whole block: the last bit of a row's value depends on the number of rows computed together
        for buffer, values in zip(buffers, self.of_batches(*self._batches.block), strict=True):
            buffer[index] = values[index].to(buffer.dtype)

    def state_dict(self) -> dict[str, Any]:
        """Return the shape of the batches that are kept, so that a resumed run keeps the same ones."""
        return {"kept_shape": None if self._batches.shape is None else list(self._batches.shape)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        if state.get("kept_shape") is not None:
            self._batches.shape = torch.Size(state["kept_shape"])


def _rows_of(value: Tensor) -> Tensor:
    return value.new_zeros((BLOCK_ROWS, *value.shape))
