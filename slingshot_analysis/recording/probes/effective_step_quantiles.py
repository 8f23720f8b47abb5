"""Distribution of the effective step over each parameter tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe, dtype_name
from slingshot_analysis.recording.probes._parameter_norms import norm_dtype
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

QUARTILES = 0.25, 0.5, 0.75

SAMPLED = 2**14
"""Maximum number of elements from which quartiles are taken; the standard error of their ranks is at most 0.4%."""


class EffectiveStepQuantiles(Probe):
    """`effective_step_quantiles`: least, quartiles and largest η/(√v̂ + ε) of each parameter tensor.

    η is the learning rate, v̂ the optimizer's second moment of the gradient, with bias correction where the optimizer
    applies it (Adam), and ε its constant.
    A quantile is the value at the nearest rank, without interpolation. Least and largest are those of the whole tensor.
    The quartiles of a tensor with more than 16,384 elements are those of a fixed random subset of 16,384. NaN before
    the first update, and where a parameter has no second moment.

    References
    ----------
    Thilak et al. 2022, Figure 16, arXiv 2206.04817.
    """

    name = "effective_step_quantiles"
    default_schedule = Every(500)
    cost = "one pass over the second moments, and three selections from at most 16,384 elements of each"
    source = "arXiv 2206.04817, Figure 16"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return keeps_second_moment(subject.optimizer)

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._optimizer, self._parameters = require_second_moment(subject, self.name), subject.parameters
        parameters = list(subject.parameters.values())
        self._positions = [torch.from_numpy(p).to(parameters[0].device) for p in sample_positions(subject, SAMPLED)]
        axes = Axis("parameter", list(subject.parameters)), Axis("quantile", ["0", *map(str, QUARTILES), "1"])
        dtype = norm_dtype(parameters)
        quantity = Quantity(
            "effective_step_quantiles", "learning rate", "quantiles of lr/(sqrt(v)+eps)", axes, dtype_name(dtype)
        )
        return [Buffer(quantity.name, tuple(len(axis.labels) for axis in axes), dtype)], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        states = adaptive_states(self._optimizer, self._parameters).values()
        for slot, state, positions in zip(slots[0], states, self._positions, strict=True):
            if state is None:
                slot.fill_(torch.nan)
                continue
            steps = state.effective_step
            sample = torch.take(steps, positions)
            ranks = [max(1, math.ceil(quartile * len(sample))) for quartile in QUARTILES]
            quartiles = [torch.kthvalue(sample, rank).values for rank in ranks]
            torch.stack([steps.amin(), *quartiles, steps.amax()], out=slot)
