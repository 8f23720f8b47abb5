"""Kurtosis of the activations of each layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.model import ForwardPass
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity


class ActivationKurtosis(Probe):
    """`activation_kurtosis`: E[(h − E h)⁴] / E[(h − E h)²]² over all elements of each layer's output h.

    The layers and the fixed probe batch are those of `feature_change`, and the model runs in evaluation mode. It is 3
    for a normal distribution, and grows with the outliers. NaN where all elements are equal.

    References
    ----------
    Nrusimha et al. 2024, arXiv 2404.03605 (kurtosis of activations); He et al. 2024, arXiv 2405.19279 (kurtosis over
    neurons, as a measure of outlier features).
    """

    name = "activation_kurtosis"
    default_schedule = Every(100)
    cost = "one forward pass of the probe batch, and six passes over its features in float64"
    source = "arXiv 2404.03605; arXiv 2405.19279"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return subject.probe_inputs is not None and len(subject.feature_layers) > 0

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        if subject.probe_inputs is None or not subject.feature_layers:
            raise InputError(
                "the probe 'activation_kurtosis' needs inputs and layers: give train_data= or probe_inputs=, and "
                "feature_layers= if no layer was found, or leave it out of probes="
            )
        self._inputs = subject.probe_inputs
        self._forward = ForwardPass(subject.model, subject.feature_layers)
        axis = Axis("layer", subject.feature_layers)
        quantity = Quantity("activation_kurtosis", "", "kurtosis of the layer's outputs for the probe batch", (axis,))
        return [Buffer(quantity.name, quantity.shape)], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        torch.stack([_kurtosis(features) for features in self._forward.features(self._inputs)], out=slots[0])


def _kurtosis(values: Tensor) -> Tensor:
    values = values.to(torch.float64)
    squares = (values - values.mean()).square()
    return squares.square().mean() / squares.mean().square()
