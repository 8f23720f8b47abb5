"""The loss of each sample of the batches around a transition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from slingshot_analysis.recording.online._window import UPDATES, EventWindow
from slingshot_analysis.recording.probes._base import Moment
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.losses import losses_of_samples
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Group, Quantity, TraceWriter

SAMPLES_GROUP = "event_samples"
"""Group of a trace that holds the losses of samples."""


class SampleLosses(EventWindow):
    """Keeps loss and number of each sample of the last 64 batches, and writes them around a transition.

    `event_sample_loss` is the loss function of the sample alone, as the model of that update computed its logits, and
    the mean over positions for a sequence; NaN beyond the end of a batch. `event_sample_index` is the sample's number.

    Parameters
    ----------
    subject : Subject
        The run.
    size : int
        Number of samples of the largest batch.
    """

    def __init__(self, subject: Subject, size: int) -> None:
        super().__init__()
        self._loss_function = subject.loss_function
        device = next(iter(subject.parameters.values())).device
        self._losses = torch.full((UPDATES + 1, size), torch.nan, dtype=torch.float64, device=device)
        self._indices = torch.full((UPDATES + 1, size), -1, device=device)
        axes = (Axis("batch_sample", [str(place) for place in range(size)]),)
        quantities = [
            Quantity("event_sample_loss", subject.loss_unit, "loss of each sample of a batch", axes),
            Quantity("event_sample_index", "", "numbers of these samples", axes, "int64"),
        ]
        self.group = Group(SAMPLES_GROUP, quantities, "at each update around a transition")

    def _copy(self, moment: Moment) -> None:
        slot = moment.step % (UPDATES + 1)
        self._losses[slot].fill_(torch.nan)
        self._indices[slot].fill_(-1)
        if moment.logits is not None and moment.targets is not None:
            losses = losses_of_samples(self._loss_function, moment.logits, moment.targets)
            self._losses[slot, : len(losses)] = losses
        if moment.indices is not None:
            self._indices[slot, : len(moment.indices)] = moment.indices

    def _write(self, writer: TraceWriter, steps: range) -> None:
        slots = [step % (UPDATES + 1) for step in steps]
        columns = {"event_sample_loss": self._losses[slots], "event_sample_index": self._indices[slots]}
        writer.append(self.group.name, list(steps), **{name: _on_host(column) for name, column in columns.items()})

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept."""
        return {"losses": self._losses, "indices": self._indices, "numbers": self._numbers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        self._losses.copy_(state["losses"])
        self._indices.copy_(state["indices"])
        self._oldest, self._newest, self._written, self._end = state["numbers"]


def _on_host(tensor: Tensor) -> Any:
    return tensor.cpu().numpy()
