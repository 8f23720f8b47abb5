"""Curvature of the training loss along the update."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from slingshot_analysis.recording.curvature import secant_sharpness, sharpness
from slingshot_analysis.recording.probes._base import Buffer
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.states import StatePairs
from slingshot_analysis.trace import Quantity


class UpdateSharpness(CurvatureProbe):
    """`update_sharpness`: uᵀ H u / ‖u‖² at w_t, where u = w_{t+1} − w_t is the whole update, weight decay included.

    H is the Hessian of the training loss, with the model in evaluation mode. `secant_sharpness` has
    ∇L(w_{t+1}) − ∇L(w_t) in place of H u, computed in float64, and so averages H over the update. NaN where the update
    is zero.

    Parameters
    ----------
    every : Schedule, optional
        When to measure.
    samples : int, optional
        Maximum number of training samples; a larger set is replaced by a fixed random subset of this size.

    References
    ----------
    Thilak et al. 2022, Figure 3, arXiv 2206.04817.
    """

    name = "update_sharpness"
    default_schedule = Every(100)
    cost = "one product with the Hessian of the training loss, and two gradients in float64"
    source = "arXiv 2206.04817, Figure 3"
    spans_update = True

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self.attach_curvature(subject)
        unit = "loss per squared norm"
        quantities = [
            Quantity("update_sharpness", unit, "curvature of the training loss along the update from this step"),
            Quantity("secant_sharpness", unit, "change of its gradient along the update, per length of the update"),
        ]
        return [Buffer(quantity.name) for quantity in quantities], quantities

    def compare(self, pairs: StatePairs, columns: Sequence[Tensor]) -> None:
        for row in range(len(pairs)):
            before, after = ({name: kept[2 * row + i] for name, kept in pairs.states.items()} for i in (0, 1))
            hessian = self._curvature.hessian(before, before)
            update = hessian.mean_loss.flatten(after) - hessian.point
            columns[0][row] = sharpness(hessian, update)
            columns[1][row] = secant_sharpness(self._curvature.precise_loss, before, after, before)
