"""Which samples the batch of each update holds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.schedule import Schedule
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity

SIZE = 128


class Samples(Probe):
    """`sample_index`: the numbers of the samples of each batch in the user's data, as ``indices=`` gives them.

    Places beyond the end of a batch are −1. Around a transition, the loss of each sample is recorded too, as
    `event_sample_loss`.

    Parameters
    ----------
    every : Schedule, optional
        When to record them.
    size : int, optional
        Number of samples of the largest batch, all micro-batches of a step together.

    References
    ----------
    Chowdhery et al. 2022, section 5.1, arXiv 2204.02311 (loss spikes come with certain batches in certain states).
    """

    name = "samples"
    cost = "the copy of the batch's indices"
    source = "arXiv 2204.02311, section 5.1"
    needs_batch = True

    def __init__(self, every: Schedule | None = None, size: int = SIZE) -> None:
        super().__init__(every)
        if size < 1:
            raise InputError(f"the probe 'samples' needs a size of at least 1, got {size}")
        self.size = size

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        axis = Axis("batch_sample", [str(place) for place in range(self.size)])
        quantity = Quantity("sample_index", "", "numbers of the batch's samples", (axis,), "int64")
        return [Buffer(quantity.name, (self.size,), torch.int64)], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        if moment.indices is None:
            raise InputError(
                "the probe 'samples' needs indices=, the numbers of the batch's samples, in each call of batch() or "
                "update(): give them, or leave the probe out of probes="
            )
        count = len(moment.indices)
        if count > self.size:
            raise InputError(
                f"a batch has {count} samples, and the probe 'samples' is for {self.size}: give "
                f"Samples(size={count}) in probes="
            )
        slots[0][:count].copy_(moment.indices, non_blocking=True)
        slots[0][count:].fill_(-1)
