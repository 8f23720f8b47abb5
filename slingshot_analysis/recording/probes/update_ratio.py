"""Change of each parameter by one update, relative to its norm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from slingshot_analysis.recording.probes._base import Buffer, Columns, Probe, dtype_name
from slingshot_analysis.recording.probes._parameter_norms import norm_dtype
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.states import StatePairs
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity


class UpdateRatio(Probe):
    """`parameter_update_norm` and `update_ratio`: ‖w_{t+1} − w_t‖ and ‖w_{t+1} − w_t‖ / ‖w_t‖ of each parameter, at t.

    The two states are always consecutive. The ratio is infinite where a parameter leaves zero, as a bias often does at
    its first update, and NaN where it stays zero.

    References
    ----------
    You, Gitman and Ginsburg 2017, section 4, arXiv 1708.03888, on this ratio, which differs between layers and has to
    stay small for training to be stable.
    """

    name = "update_ratio"
    default_schedule = Every(10)
    cost = "two copies of the parameters and two passes over them"
    source = "arXiv 1708.03888, section 4"
    spans_update = True

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._dtype = norm_dtype(list(subject.parameters.values()))
        self._names = list(subject.parameters)
        axis, dtype = Axis("parameter", self._names), dtype_name(self._dtype)
        shape = (len(self._names),)
        return [Buffer("norm_before", shape, self._dtype), Buffer("parameter_update_norm", shape, self._dtype)], [
            Quantity("parameter_update_norm", "", "norm of each parameter's change by the update", (axis,), dtype),
            Quantity("update_ratio", "", "norm of that change over the parameter's norm before it", (axis,)),
        ]

    def compare(self, pairs: StatePairs, columns: Sequence[Tensor]) -> None:
        states = pairs.states
        for i, name in enumerate(self._names):
            before, after = states[name].view(pairs.capacity, 2, -1).unbind(1)
            for column, rows in zip(columns, (before, after - before), strict=True):
                column[:, i] = torch.linalg.vector_norm(rows, dim=1, dtype=self._dtype)

    def derive(self, measured: Columns) -> Columns:
        changes, before = (measured[name].astype(np.float64) for name in ("parameter_update_norm", "norm_before"))
        with np.errstate(divide="ignore", invalid="ignore"):
            return {"parameter_update_norm": measured["parameter_update_norm"], "update_ratio": changes / before}
