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
"""Of a block of rows, which stands on the device while it fills."""


class Features(Probe):
    """`features`: the last layer's input for each sample of the fixed probe batch, flattened, as it is.

    The model runs in evaluation mode. The values of one row take samples × units × 4 bytes, on the device for a block
    of 512 rows: give few `probe_inputs`.

    References
    ----------
    Thilak et al. 2022, Figure 2e, arXiv 2206.04817, is about these features.
    """

    name = "features"
    default_schedule = Every(500)
    cost = "one forward pass of the probe batch, and much space"
    source = "arXiv 2206.04817, Figure 2e"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return subject.probe_inputs is not None and subject.has_last_module

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        if subject.probe_inputs is None or not subject.has_last_module:
            raise InputError(
                "features needs inputs and a module that reads them: pass train_data= or probe_inputs=, and a "
                "last_layer= that is no bare parameter, or leave it out of probes="
            )
        self._inputs = subject.probe_inputs
        self._forward = ForwardPass(subject.model, [f"{subject.last_layer}{INPUT}"])
        features = self._forward.features(self._inputs)[0].flatten(1)
        samples, units = features.shape
        dtype = norm_dtype([features])
        size = CHUNK_ROWS * samples * units * dtype.itemsize
        if size > MOST_BYTES:
            raise InputError(
                f"features of {samples} samples and {units} units need {size / 2**20:,.0f} MB for a block of "
                f"{CHUNK_ROWS} rows, and at most {MOST_BYTES / 2**20:,.0f} are allowed: give fewer probe_inputs="
            )
        axes = Axis("sample", [str(i) for i in range(samples)]), Axis("unit", [str(i) for i in range(units)])
        quantity = Quantity("features", "", "input of the last layer for the probe batch", axes, dtype_name(dtype))
        return [Buffer(quantity.name, (samples, units), dtype)], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        slots[0].copy_(self._forward.features(self._inputs)[0].flatten(1))
