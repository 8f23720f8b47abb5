"""Loss and misclassified samples of each update's batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.recording.probes._base import Buffer, Moment
from slingshot_analysis.recording.probes._batch_probe import BatchProbe
from slingshot_analysis.recording.schedule import Schedule
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.losses import count_errors, cross_entropy, float64_loss, precise_cross_entropy
from slingshot_analysis.trace import Quantity


class Batch(BatchProbe):
    """`batch_loss` as training computed it; `batch_loss_float64` and `batch_errors` from the same logits.

    In float32 the cross-entropy of a fitted sample is rounded to a multiple of about 1.2e-7, and becomes exactly 0. In
    float64, computed without cancellation, it continues to fall. Where the two differ, gradients are rounding noise.
    `batch_errors` is the number of samples in the batch that the state before the update misclassifies. Once the
    training set is fitted, any error marks the sharp transition of a slingshot. Targets below 0, such as -100, the
    index that cross-entropy ignores, are left out. Targets of a regression have no errors.

    Parameters
    ----------
    every : Schedule, optional
        When to measure.
    loss_only : bool, optional
        Whether to record nothing but `batch_loss`, in a loop that has no logits; NaN where there is no loss either.

    References
    ----------
    Thilak et al. 2022, section 2, arXiv 2206.04817 (misclassification); Nanda et al. 2023, arXiv 2301.05217 (float64
    cross-entropy); Liu et al. 2026, arXiv 2605.06152.
    """

    name = "batch"
    cost = "a copy of the batch's logits; one cross-entropy in float64 and one argmax per block of updates"
    source = "arXiv 2206.04817, section 2; arXiv 2301.05217"

    def __init__(self, every: Schedule | None = None, loss_only: bool = False) -> None:
        super().__init__(every)
        self._loss_only = loss_only

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._loss_function, self._targets = subject.loss_function, subject.targets
        self.attach_batches(keep=subject.loss_function is cross_entropy)
        unit = subject.loss_unit
        quantities = [
            Quantity("batch_loss", unit, "loss of the update's batch as training computed it"),
            Quantity("batch_loss_float64", unit, "loss of the update's batch from the same logits cast to float64"),
        ]
        buffers = [Buffer(quantity.name) for quantity in quantities]
        if self._loss_only:
            return buffers[:1], quantities[:1]
        if subject.targets.have_errors:
            words = "misclassified samples of the update's batch"
            quantities.append(Quantity("batch_errors", "samples", words, dtype="int64"))
            buffers.append(Buffer("batch_errors", (), torch.int64))
        return buffers, quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        if not self._loss_only:
            super().measure(moment, slots)
        elif moment.loss is None:
            slots[0].fill_(torch.nan)
        else:
            slots[0].copy_(moment.loss)

    def settle(self, buffers: Sequence[Tensor]) -> None:
        if not self._loss_only:
            super().settle(buffers)

    def of_batches(self, losses: Tensor, logits: Tensor, targets: Tensor) -> Sequence[Tensor]:
        if self._loss_function is cross_entropy:
            return losses, precise_cross_entropy(logits, targets), count_errors(logits, targets)
        precise = float64_loss(self._loss_function, logits[0], targets[0])
        if not self._targets.have_errors:
            return losses, precise.unsqueeze(0)
        return losses, precise.unsqueeze(0), self._targets.errors(logits[0], targets[0]).unsqueeze(0)
