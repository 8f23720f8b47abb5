"""Loss and misclassified samples of each update's batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.classification import count_errors, cross_entropy, float64_loss, precise_cross_entropy
from slingshot_analysis.recording.probe import Buffer, Moment, Probe, Subject
from slingshot_analysis.trace import Quantity
from slingshot_analysis.trace.schema import CHUNK_ROWS

KEPT_BYTES = 32 * 2**20
"""Bytes. Logits of a block of updates that fit into this are kept for one computation; larger ones are used at once."""


class Batch(Probe):
    """`batch_loss` as training computed it; `batch_loss_float64` and `batch_errors` from the same logits.

    In float32 the cross-entropy of a fitted sample is rounded to a multiple of about 1.2e-7 and underflows to
    exactly 0; in float64, computed without cancellation, it goes on falling. Where the two part, gradients have become
    rounding noise.
    `batch_errors` counts the samples of the batch that the state before the update misclassifies: after the terminal
    phase began, any marks a slingshot's sharp transition. Targets below 0 (such as -100, the index that
    cross-entropy ignores) do not count.

    References
    ----------
    Thilak et al. 2022, section 2, arXiv 2206.04817 (misclassification); Nanda et al. 2023, arXiv 2301.05217 (float64
    cross-entropy); Liu et al. 2026, arXiv 2605.06152.
    """

    name = "batch"
    cost = "a copy of the batch's logits; one cross-entropy in float64 and one argmax per block of updates"
    source = "arXiv 2206.04817, section 2; arXiv 2301.05217"
    needs_batch = True

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._loss_function = subject.loss_function
        self._shape: torch.Size | None = None
        self._row = 0
        self._rows_kept: list[int] = []
        quantities = [
            Quantity("batch_loss", "nat", "loss of the update's batch as training computed it"),
            Quantity("batch_loss_float64", "nat", "loss of the update's batch from the same logits cast to float64"),
            Quantity("batch_errors", "samples", "misclassified samples of the update's batch", dtype="int64"),
        ]
        dtypes = torch.float64, torch.float64, torch.int64
        return [Buffer(q.name, (), dtype) for q, dtype in zip(quantities, dtypes, strict=True)], quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        loss, logits, targets = moment.loss, moment.logits, moment.targets
        if loss is None or logits is None or targets is None:
            raise InputError(
                "the probe 'batch' needs recorder.update(loss, logits, targets); where there are none, "
                "leave it out of Recorder(probes=[...])"
            )
        if self._shape is None:
            self._make_space(logits, targets)
        if logits.shape == self._shape:
            torch._foreach_copy_([slots[0], *self._kept[self._row]], [loss, logits, targets])
            self._rows_kept.append(self._row)
        else:
            slots[0].copy_(loss)
            slots[1].copy_(float64_loss(self._loss_function, logits, targets))
            slots[2].copy_(count_errors(logits, targets).sum())
        self._row += 1

    def _make_space(self, logits: Tensor, targets: Tensor) -> None:
        """Make space for the logits and targets of a block of updates, if they are small; else no shape fits it."""
        if self._loss_function is cross_entropy and CHUNK_ROWS * logits.nbytes <= KEPT_BYTES:
            self._shape = logits.shape
            self._logits = logits.new_zeros((CHUNK_ROWS, *logits.shape))
            self._targets = targets.new_zeros((CHUNK_ROWS, *targets.shape))
            self._kept = list(zip(self._logits.unbind(0), self._targets.unbind(0), strict=True))
        else:
            self._shape = torch.Size()

    def settle(self, buffers: Sequence[Tensor]) -> None:
        rows = [row for row in self._rows_kept if row < len(buffers[0])]
        self._row, self._rows_kept = 0, []
        if not rows:
            return
        index: Tensor | slice = slice(len(rows))
        if len(rows) < len(buffers[0]):
            index = torch.tensor(rows).to(self._logits.device, non_blocking=True)
        # always of a whole block: in the last bit the loss of a row depends on how many are computed together
        buffers[1][index] = precise_cross_entropy(self._logits, self._targets)[index]
        buffers[2][index] = count_errors(self._logits, self._targets)[index]
