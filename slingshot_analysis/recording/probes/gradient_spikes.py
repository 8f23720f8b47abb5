"""Share of gradient elements that are spikes for Adam's second moment."""

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
)
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity

THRESHOLDS = 50, 5000
"""Values of g²/v̂ from which an element is a spike. SPAM clips the gradient from 5,000 on."""


class GradientSpikes(Probe):
    """`gradient_spike_share`: share of the elements of the gradient g with g²/v̂ > θ, for θ = 50 and θ = 5,000.

    v̂ is the optimizer's second moment at t, which does not contain the gradient of the update from t yet, with bias
    correction where the optimizer applies it. The optimizer SPAM clips an element with g²/v > 5,000. Its authors call
    an element a spike where ``|g|`` is over 50 times its mean over the run, which is g²/v of about 2,500. Elements
    without second moment or gradient do not count. NaN before the first update.

    References
    ----------
    Huang et al. 2025, arXiv 2501.06842 (the gradient spike score, and the spike-aware clipping by g²/v).
    """

    name = "gradient_spikes"
    default_schedule = Every(10)
    cost = "six passes over the gradients and the second moments"
    source = "arXiv 2501.06842"
    needs_batch = True

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return keeps_second_moment(subject.optimizer)

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._optimizer, self._parameters = require_second_moment(subject, self.name), subject.parameters
        axis = Axis("spike_threshold", [str(threshold) for threshold in THRESHOLDS])
        description = "share of gradient elements whose square is over the threshold times the second moment"
        quantity = Quantity("gradient_spike_share", "", description, (axis,))
        return [Buffer(quantity.name, (len(THRESHOLDS),))], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        states = adaptive_states(self._optimizer, self._parameters)
        shares, elements = slots[0].zero_(), 0
        for name, parameter in self._parameters.items():
            state, gradient = states[name], parameter.grad
            if state is None or gradient is None:
                continue
            # in the dtype of the gradient squares vanish where they do in the second moment
            ratios = gradient.to_dense().square() / state.root.square()
            shares += torch.stack([(ratios > threshold).sum() for threshold in THRESHOLDS])
            elements += parameter.numel()
        shares /= elements or torch.nan
