"""Norm of the change of the parameters by one update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.recording.probes._base import Buffer, Probe, dtype_name
from slingshot_analysis.recording.probes._parameter_norms import norm_dtype
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.states import StatePairs
from slingshot_analysis.trace import Quantity


class UpdateNorm(Probe):
    """`update_norm`: ‖w_{t+1} − w_t‖ over all trainable parameters, at t. The two states are always consecutive.

    References
    ----------
    Thilak et al. 2022, section 3.1, arXiv 2206.04817, where u_t is the update; it has no figure of its norm.
    """

    name = "update_norm"
    default_schedule = Every(10)
    cost = "two copies of the parameters and a pass over them"
    source = "arXiv 2206.04817, section 3.1"
    spans_update = True

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._dtype = norm_dtype(list(subject.parameters.values()))
        description = "norm of the change of all trainable parameters by the update from this step"
        quantity = Quantity("update_norm", "", description, dtype=dtype_name(self._dtype))
        return [Buffer(quantity.name, (), self._dtype)], [quantity]

    def compare(self, pairs: StatePairs, columns: Sequence[Tensor]) -> None:
        changes = [flat[:, 1] - flat[:, 0] for flat in pairs.trainable]
        norms = [torch.linalg.vector_norm(change, dim=1, dtype=self._dtype) for change in changes]
        torch.linalg.vector_norm(torch.stack(norms), dim=0, out=columns[0])
