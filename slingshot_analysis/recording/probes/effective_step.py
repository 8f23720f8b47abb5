"""Effective step of a few parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.optimizer_state import (
    adaptive_states,
    keeps_second_moment,
    require_second_moment,
    sample_positions,
)
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity

SAMPLED = 4
"""Maximum number of elements of each parameter tensor."""


class EffectiveStep(Probe):
    """`effective_step`: η/(√v̂ + ε) of up to four randomly chosen elements of each parameter tensor, in float64.

    η is the learning rate, v̂ the optimizer's second moment of the gradient, with bias correction where the optimizer
    applies it (Adam), and ε its constant.
    The elements are the same in every run. The step can be compared with 2/λ, where λ is the largest eigenvalue of the
    loss's Hessian. NaN before the first update, and where a parameter has no second moment.

    References
    ----------
    Thilak et al. 2022, Figure 16, arXiv 2206.04817.
    """

    name = "effective_step"
    default_schedule = Every(100)
    cost = "a few small operations per parameter tensor"
    source = "arXiv 2206.04817, Figure 16"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return keeps_second_moment(subject.optimizer)

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._optimizer, self._parameters = require_second_moment(subject, self.name), subject.parameters
        sampled = dict(zip(subject.parameters, sample_positions(subject, SAMPLED), strict=True))
        labels = [f"{name}[{position}]" for name, positions in sampled.items() for position in positions]
        device = next(iter(subject.parameters.values())).device
        self._positions = [torch.from_numpy(positions).to(device) for positions in sampled.values()]
        axis = Axis("sampled_parameter", labels)
        quantity = Quantity("effective_step", "learning rate", "step per unit of gradient, lr/(sqrt(v)+eps)", (axis,))
        return [Buffer(quantity.name, (len(labels),))], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        states = adaptive_states(self._optimizer, self._parameters).values()
        parts = [
            torch.full_like(positions, torch.nan, dtype=torch.float64)
            if state is None
            else state.at(positions).effective_step
            for state, positions in zip(states, self._positions, strict=True)
        ]
        torch.cat(parts, out=slots[0])
