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

MOST_BYTES = 2**20
"""Bytes. Maximum size of a row."""

BUNDLE_BYTES = 2**16
"""Bytes. Maximum size of a row in a bundle, so that its features do not outgrow all else in the trace."""

MOST_SAMPLES = 64
"""Maximum number of samples of the probe batch whose features are recorded."""


class Features(Probe):
    """`features`: the last layer's input for each of the first 64 samples of the fixed probe batch, flattened.

    The model runs in evaluation mode. One row takes samples × units × 4 bytes. Bundles
    leave the probe out where a row takes more than 64 KiB.

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
        if subject.probe_inputs is None or not subject.has_last_module:
            return False
        features = _forward_pass(subject).features(subject.probe_inputs[:MOST_SAMPLES])[0]
        return features.nbytes <= BUNDLE_BYTES

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        if subject.probe_inputs is None or not subject.has_last_module:
            raise InputError(
                "the probe 'features' needs inputs and a module that reads them: give train_data= or probe_inputs=, "
                "and a last_layer= that is a module, or leave it out of probes="
            )
        self._inputs = subject.probe_inputs[:MOST_SAMPLES]
        self._forward = _forward_pass(subject)
        features = self._forward.features(self._inputs)[0].flatten(1)
        samples, units = features.shape
        dtype = norm_dtype([features])
        if features.nbytes > MOST_BYTES:
            raise InputError(
                f"the probe 'features' would write {features.nbytes / 2**10:,.0f} KiB a row, for {samples} samples and "
                f"{units} units, more than {MOST_BYTES / 2**10:,.0f}: give fewer probe_inputs="
            )
        axes = Axis("sample", [str(i) for i in range(samples)]), Axis("unit", [str(i) for i in range(units)])
        quantity = Quantity("features", "", "input of the last layer for the probe batch", axes, dtype_name(dtype))
        return [Buffer(quantity.name, (samples, units), dtype)], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        slots[0].copy_(self._forward.features(self._inputs)[0].flatten(1))


def _forward_pass(subject: Subject) -> ForwardPass:
    return ForwardPass(subject.model, [f"{subject.last_layer}{INPUT}"])
