"""Change of the features by one update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.model import ForwardPass
from slingshot_analysis.recording.norms import norm_dtype
from slingshot_analysis.recording.probe import Buffer, Moment, Probe, Subject, dtype_name
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity

KEPT_BYTES = 2**20
"""Features of several measurements that fit into this are compared together."""


class FeatureChange(Probe):
    """`feature_change`: ‖h_{t+1} − h_t‖ / ‖h_t‖ of each layer's output h on a fixed probe batch, at t.

    The norm runs over the whole batch; the two states are always consecutive. The model runs in evaluation mode.

    References
    ----------
    Thilak et al. 2022, Figure 2e, arXiv 2206.04817.
    """

    name = "feature_change"
    default_schedule = Every(10)
    cost = "two forward passes of the probe batch"
    source = "arXiv 2206.04817, Figure 2e"
    spans_update = True

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        if subject.probe_inputs is None or not subject.feature_layers:
            raise InputError(
                "feature_change needs inputs and layers: pass train_data= or probe_inputs=, and feature_layers= "
                "where no layer was found, or leave it out of Recorder(probes=[...])"
            )
        self._inputs = subject.probe_inputs
        self._forward = ForwardPass(subject.model, subject.feature_layers)
        features = self._forward.features(self._inputs)
        self._dtype = norm_dtype(features)
        self._most_waiting = max(1, KEPT_BYTES // (2 * sum(f.nbytes for f in features)))
        self._before: list[list[Tensor]] = []
        self._after: list[list[Tensor]] = []
        self._waiting: list[Tensor] = []
        axis = Axis("layer", subject.feature_layers)
        description = "change of the features by the update from this step, relative to their norm"
        quantity = Quantity("feature_change", "", description, (axis,), dtype_name(self._dtype))
        return [Buffer(quantity.name, (len(axis.labels),), self._dtype)], [quantity]

    def begin(self, moment: Moment) -> None:
        self._begun = self._forward.features(self._inputs)

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        self._before.append(self._begun)
        self._after.append(self._forward.features(self._inputs))
        self._waiting.append(slots[0])
        if len(self._waiting) >= self._most_waiting:
            self._compare()

    def settle(self, buffers: Sequence[Tensor]) -> None:
        if self._waiting:
            self._compare()

    def _compare(self) -> None:
        """Fill the slots of all measurements that wait: a few operations for all cost hardly more than for one."""
        pairs = zip(zip(*self._before, strict=True), zip(*self._after, strict=True), strict=True)
        changes = []
        for before, after in pairs:
            old = torch.stack(before).flatten(1)
            change = torch.stack(after).flatten(1) - old
            changes.append(_norms(change, self._dtype) / _norms(old, self._dtype))
        torch._foreach_copy_(self._waiting, list(torch.stack(changes, dim=1).unbind(0)))
        self._before.clear()
        self._after.clear()
        self._waiting.clear()


def _norms(rows: Tensor, dtype: torch.dtype) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1, dtype=dtype)
    return norms
