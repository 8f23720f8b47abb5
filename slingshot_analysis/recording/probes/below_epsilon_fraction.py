"""Share of the parameters whose step ε limits."""

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
from slingshot_analysis.trace import Quantity


class BelowEpsilon(Probe):
    """`below_epsilon_fraction`: share of the trainable parameters with √v̂ < ε, whose effective step is close to η/ε.

    v̂ is the optimizer's second moment of the gradient, with bias correction where the optimizer applies it (Adam), and
    ε is the optimizer's constant. Only parameters that have a second moment are counted; before the first update none
    has one, and the share is NaN.

    References
    ----------
    Wortsman et al. 2023, arXiv 2309.14322 (gradients below ε); Thilak et al. 2022, appendix D, arXiv 2206.04817 (ε).
    """

    name = "below_epsilon_fraction"
    default_schedule = Every(500)
    cost = "one pass over the second moments"
    source = "arXiv 2309.14322"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return keeps_second_moment(subject.optimizer)

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._optimizer, self._parameters = require_second_moment(subject, self.name), subject.parameters
        quantity = Quantity("below_epsilon_fraction", "", "share of the parameters with sqrt(v) < eps")
        return [Buffer(quantity.name)], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        states = [state for state in adaptive_states(self._optimizer, self._parameters).values() if state is not None]
        if states:
            below = torch.stack([(state.root < state.eps).sum() for state in states]).sum()
            slots[0].copy_(below).div_(sum(state.second_moment.numel() for state in states))
        else:
            slots[0].fill_(torch.nan)
