"""What a training loop hands over of a batch, understood and compared."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording._microbatches import MicroBatch
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.adapted import Output, find_logits
from slingshot_analysis.recording.subject.loss_check import check_loss, is_checked
from slingshot_analysis.recording.subject.model import ForwardPass


class GivenBatches:
    """Finds loss, logits and targets in what the user gives, and compares the loss with the other two.

    Parameters
    ----------
    path : Path
        The trace, which messages name.
    subject : Subject
        The run.
    output, shift_labels, checks
        As for `Recorder`.
    """

    def __init__(self, path: Path, subject: Subject, output: Output | None, shift_labels: bool, checks: bool) -> None:
        self._path, self._subject = path, subject
        self._output, self._shift_labels, self._checks = output, shift_labels, checks
        self._was_checked = False
        self._device = next(iter(subject.parameters.values())).device

    def understood(
        self,
        loss: Tensor | float | None,
        logits: Any,
        targets: Tensor | None,
        samples: float | None = None,
        indices: Any = None,
    ) -> MicroBatch:
        """Return the batch: the loss as a tensor, computed where it is missing, and logits beside their targets."""
        if isinstance(loss, Tensor):
            loss = loss.detach() if loss.requires_grad else loss
        elif loss is not None:
            loss = torch.tensor(float(loss), device=self._device)
        if logits is not None:
            logits = logits if isinstance(logits, Tensor) else find_logits(logits, self._output)
            logits = logits.detach() if logits.requires_grad else logits
            if self._shift_labels:
                logits, targets = logits[..., :-1, :], None if targets is None else targets[..., 1:]
        if loss is None and logits is not None and targets is not None:
            with ForwardPass(self._subject.model).undisturbed():
                loss = self._subject.loss_function(logits, targets)
        if indices is not None:
            indices = torch.as_tensor(indices).flatten().to(self._device, non_blocking=True)
        return MicroBatch(loss, logits, targets, samples, indices)

    def check(self, step: int, batch: MicroBatch) -> None:
        """Compare the loss of a batch with that of its logits and targets, if it is checked at this step.

        Raises
        ------
        InputError
            If they differ the first time; later, this is a warning.
        """
        if not (self._checks and is_checked(step)):
            return
        if batch.loss is None or batch.logits is None or batch.targets is None:
            return
        try:
            with ForwardPass(self._subject.model).undisturbed():
                check_loss(batch.loss, batch.logits, batch.targets, self._subject.loss_function)
        except InputError as error:
            if not self._was_checked:
                raise
            warnings.warn(f"{self._path}: step {step}: {error}", stacklevel=4)
            self._checks = False
        self._was_checked = True
