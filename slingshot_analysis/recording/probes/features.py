"""Snapshots of the last layer's input."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe, dtype_name
from slingshot_analysis.recording.probes._parameter_norms import norm_dtype
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.model import INPUT, ForwardPass
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity
from slingshot_analysis.trace.schema import CHUNK_ROWS

MOST_BYTES = 512 * 2**20
"""Bytes. Maximum size of a block of rows, which stays on the device until it is full."""


class Features(Probe):
    """`features`: the last layer's input for each sample of the fixed probe batch, flattened.

    The model runs in evaluation mode. One row takes samples × units × 4 bytes, and 512 rows stay on the device, so the
    recorder's `probe_inputs` should be few.

    References
    ----------
    Thilak et al. 2022, Figures 2e and 2f, arXiv 2206.04817 (on these features).
    """

    name = "features"
    default_schedule = Every(500)
    cost = "one forward pass of the probe batch, and much space"
    source = "arXiv 2206.04817, Figures 2e and 2f"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return subject.probe_inputs is not None and subject.has_last_module

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        if subject.probe_inputs is None or not subject.has_last_module:
            raise InputError(
                "the probe 'features' needs inputs and a module that reads them: give train_data= or probe_inputs=, "
                "and a last_layer= that is a module, or leave it out of probes="
            )
        self._inputs = subject.probe_inputs
        self._forward = ForwardPass(subject.model, [f"{subject.last_layer}{INPUT}"])
        features = self._forward.features(self._inputs)[0].flatten(1)
        samples, units = features.shape
        dtype = norm_dtype([features])
        size = CHUNK_ROWS * samples * units * dtype.itemsize
        if size > MOST_BYTES:
            raise InputError(
                f"the probe 'features' would need {size / 2**20:,.0f} MiB for {CHUNK_ROWS} rows of {samples} samples "
                f"and {units} units, more than {MOST_BYTES / 2**20:,.0f}: give fewer probe_inputs="
            )
        axes = Axis("sample", [str(i) for i in range(samples)]), Axis("unit", [str(i) for i in range(units)])
        quantity = Quantity("features", "", "input of the last layer for the probe batch", axes, dtype_name(dtype))
        return [Buffer(quantity.name, (samples, units), dtype)], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        slots[0].copy_(self._forward.features(self._inputs)[0].flatten(1))
