"""Share of the last layer's weight that all classes have in common, and of its input that all samples have."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.model import INPUT, ForwardPass
from slingshot_analysis.trace import Quantity


class MeanShares(Probe):
    """`classifier_mean_share`: C‖mean_c W_c‖²/‖W‖², and `feature_mean_share`: ‖mean_i h_i‖²/mean_i ‖h_i‖², in [0, 1].

    W_c is the row of class c in the last layer's weight, with C classes. h_i is the last layer's input for sample i of
    the fixed probe batch; if a linear last layer is applied at several positions of a sample, each position counts as
    a sample. Both shares grow when the gradients of the logits no longer sum to zero over the classes ("numerical
    feature inflation"). They are computed in float64, with the model in evaluation mode. The feature share is measured
    if there are probe inputs and the last layer is a module.

    References
    ----------
    Liu et al. 2026, arXiv 2605.06152.
    """

    name = "mean_shares"
    default_schedule = Every(500)
    cost = "a pass over the last layer's weight, and one forward pass of the probe batch"
    source = "arXiv 2605.06152"

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._weight = subject.parameters[subject.last_layer_parameters[0]]
        self._inputs = subject.probe_inputs if subject.has_last_module else None
        quantities = [
            Quantity("classifier_mean_share", "", "share of the last layer's weight that all classes have in common")
        ]
        if self._inputs is not None:
            self._forward = ForwardPass(subject.model, [f"{subject.last_layer}{INPUT}"])
            self._is_linear = isinstance(subject.model.get_submodule(subject.last_layer), nn.Linear)
            quantities.append(
                Quantity("feature_mean_share", "", "share of the last layer's input that all samples have in common")
            )
        return [Buffer(quantity.name) for quantity in quantities], quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        slots[0].copy_(_mean_share(self._weight.detach().flatten(1)))
        if self._inputs is not None:
            features = self._forward.features(self._inputs)[0]
            slots[1].copy_(_mean_share(features.flatten(0, -2) if self._is_linear else features.flatten(1)))


def _mean_share(rows: Tensor) -> Tensor:
    """Return ‖mean of the rows‖² / mean of ‖row‖² of an (n, d) tensor."""
    rows = rows.to(torch.float64)
    return rows.mean(0).square().sum() / rows.square().sum(1).mean()
