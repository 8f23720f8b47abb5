"""The largest weight of the model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.trace import Quantity


class MaxNorm(Probe):
    """`max_norm`: max_i |w_i| over all trainable parameters w, at each state.

    References
    ----------
    Xie and Li 2024, arXiv 2404.04454 (the norm that AdamW's weight decay constrains).
    """

    name = "max_norm"
    default_schedule = Every(100)
    cost = "one pass over the parameters"
    source = "arXiv 2404.04454"

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._parameters = list(subject.parameters.values())
        quantity = Quantity("max_norm", "", "largest absolute value of a trainable parameter")
        return [Buffer(quantity.name)], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        largest = [parameter.detach().abs().amax() for parameter in self._parameters]
        slots[0].copy_(torch.stack(largest).amax())
