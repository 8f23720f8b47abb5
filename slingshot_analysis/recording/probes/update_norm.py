"""Norm of the change of the parameters by one update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.recording.norms import norm_dtype
from slingshot_analysis.recording.probe import Buffer, Moment, Probe, Subject, dtype_name
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.trace import Quantity


class UpdateNorm(Probe):
    """`update_norm`: ‖w_{t+1} − w_t‖ over all trainable parameters, at t. The states are always consecutive.

    References
    ----------
    Thilak et al. 2022, Figure 2f, arXiv 2206.04817.
    """

    name = "update_norm"
    default_schedule = Every(10)
    cost = "two copies of the parameters and a pass over them"
    source = "arXiv 2206.04817, Figure 2f"
    spans_update = True

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._parameters = list(subject.parameters.values())
        self._dtype = norm_dtype(self._parameters)
        self._before, self._change = torch.cat(self._flat()), torch.cat(self._flat())
        description = "norm of the change of all trainable parameters by the update from this step"
        quantity = Quantity("update_norm", "", description, dtype=dtype_name(self._dtype))
        return [Buffer(quantity.name, (), self._dtype)], [quantity]

    def begin(self, moment: Moment) -> None:
        torch.cat(self._flat(), out=self._before)

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        torch.cat(self._flat(), out=self._change)
        torch.linalg.vector_norm(self._change.sub_(self._before), dtype=self._dtype, out=slots[0])

    def _flat(self) -> list[Tensor]:
        return [p.flatten() for p in self._parameters]
