"""How far Adam's second moment lags behind the squared gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.optimizer_state import (
    SEED,
    adaptive_states,
    keeps_second_moment,
    require_second_moment,
)
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity

QUANTILES = 0.01, 0.25, 0.5, 0.75, 0.99

SAMPLED = 2**12
"""Maximum number of elements from which quantiles are taken; the standard error of their ranks is at most 0.8%."""


class MomentLag(Probe):
    """`moment_lag`: quantiles of g²/v̂ over the elements of all trainable parameters.

    g is the gradient of the update from step t, and v̂ the optimizer's second moment at t, which does not contain g yet,
    with bias correction where the optimizer applies it. Values far above 1 mean that the gradient has outgrown the
    second moment, so that the update is too large. Values far below 1 mean that the second moment decays by itself, and
    the step size grows. A quantile is the value at the nearest rank, over a fixed random subset of at most 4,096
    elements. Elements without second moment or gradient are left out, and so are those where both are zero. NaN before
    the first update.

    References
    ----------
    Bai et al. 2025, arXiv 2506.04805 (a second moment that no longer follows the squared gradient precedes loss
    spikes); Wortsman et al. 2023, arXiv 2304.13013, section 3, on the mean of this ratio.
    """

    name = "moment_lag"
    default_schedule = Every(10)
    cost = "a sort of at most 4,096 elements of the gradients and the second moments"
    source = "arXiv 2506.04805; arXiv 2304.13013, section 3"
    needs_batch = True

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return keeps_second_moment(subject.optimizer)

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._optimizer, self._parameters = require_second_moment(subject, self.name), subject.parameters
        device = next(iter(subject.parameters.values())).device
        self._positions = _sample(subject, device)
        self._quantiles = torch.tensor(QUANTILES, dtype=torch.float64, device=device)
        axis = Axis("lag_quantile", [f"{quantile:g}" for quantile in QUANTILES])
        quantity = Quantity("moment_lag", "", "quantiles of the squared gradient over the second moment", (axis,))
        return [Buffer(quantity.name, (len(QUANTILES),))], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        states = adaptive_states(self._optimizer, self._parameters)
        ratios = [slots[0].new_full((1,), torch.nan)]
        for name, positions in self._positions.items():
            state, gradient = states[name], self._parameters[name].grad
            if state is not None and gradient is not None:
                # in the dtype of the gradient squares vanish where they do in the second moment
                squares = torch.take(gradient.to_dense(), positions).square().to(torch.float64)
                ratios.append(squares / state.at(positions).root.square())
        values = torch.cat(ratios).sort().values  # NaN comes last
        count = values.isnan().logical_not().sum()
        ranks = (self._quantiles * count).ceil().to(torch.int64).clamp(min=1)
        torch.take(values, ranks - 1, out=slots[0])


def _sample(subject: Subject, device: torch.device) -> dict[str, Tensor]:
    """Return at most `SAMPLED` random positions among the elements of all parameters, by the parameter's name."""
    ends = np.cumsum([parameter.numel() for parameter in subject.parameters.values()])
    drawn = np.random.default_rng(SEED).choice(ends[-1], min(SAMPLED, ends[-1]), replace=False, shuffle=False)
    parts = np.split(np.sort(drawn), np.searchsorted(np.sort(drawn), ends[:-1]))
    starts = [0, *ends[:-1]]
    return {
        name: torch.from_numpy(part - start).to(device)
        for name, part, start in zip(subject.parameters, parts, starts, strict=True)
        if len(part)
    }
