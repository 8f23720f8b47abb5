"""Change of the features by one update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer, Probe, dtype_name
from slingshot_analysis.recording.probes._parameter_norms import norm_dtype
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.model import ForwardPass
from slingshot_analysis.recording.subject.states import StatePairs
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity


class FeatureChange(Probe):
    """`feature_change`: ‖h_{t+1} − h_t‖ / ‖h_t‖ of each layer's output h on a fixed probe batch, at t.

    The norm is that of the outputs for the whole batch. The two states are always consecutive, however often it is
    measured. The model runs in evaluation mode.

    References
    ----------
    Thilak et al. 2022, Figures 2e and 2f, arXiv 2206.04817.
    """

    name = "feature_change"
    default_schedule = Every(10)
    cost = "two forward passes of the probe batch"
    source = "arXiv 2206.04817, Figures 2e and 2f"
    spans_update = True

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return subject.probe_inputs is not None and len(subject.feature_layers) > 0

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        if subject.probe_inputs is None or not subject.feature_layers:
            raise InputError(
                "the probe 'feature_change' needs inputs and layers: give train_data= or probe_inputs=, and "
                "feature_layers= if no layer was found, or leave it out of probes="
            )
        self._inputs = subject.probe_inputs
        self._forward = ForwardPass(subject.model, subject.feature_layers)
        self._dtype = norm_dtype(self._forward.features(self._inputs))
        axis = Axis("layer", subject.feature_layers)
        description = "change of the features by the update from this step, relative to their norm"
        quantity = Quantity("feature_change", "", description, (axis,), dtype_name(self._dtype))
        return [Buffer(quantity.name, (len(axis.labels),), self._dtype)], [quantity]

    def compare(self, pairs: StatePairs, columns: Sequence[Tensor]) -> None:
        for i, features in enumerate(self._forward.features_of_states(self._inputs, pairs.states)):
            before, after = features.view(pairs.capacity, 2, -1).unbind(1)
            columns[0][:, i] = self._norms(after - before) / self._norms(before)

    def _norms(self, rows: Tensor) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(rows, dim=1, dtype=self._dtype)
        return norms
