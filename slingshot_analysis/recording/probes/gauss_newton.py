"""The largest eigenvalues of the Gauss-Newton matrix of the training loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from slingshot_analysis.recording.curvature import LARGEST_SET, EigenvalueTracker, GaussNewtonOperator, Solver
from slingshot_analysis.recording.probes._base import Buffer, Moment
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.schedule import Every, Schedule
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity


class GaussNewton(CurvatureProbe):
    """`gauss_newton_top_eigenvalues`: the largest eigenvalues of G = E[Jᵀ (∇²_z ℓ) J] at each state.

    J is the Jacobian of the model's outputs z with respect to the parameters, and ℓ the loss of a sample. G is the
    Hessian of the training loss with the model replaced by its linearisation.

    Parameters
    ----------
    every : Schedule, optional
        When to measure.
    k : int, optional
        Number of eigenvalues.
    samples : int, optional
        Maximum number of training samples; a larger set is replaced by a fixed random subset of this size.

    References
    ----------
    Schraudolph 2002, doi:10.1162/08997660260028683; Martens 2020, arXiv 1412.1193.
    """

    name = "gauss_newton"
    default_schedule = Every(100)
    cost = "about three products with the Gauss-Newton matrix of the training loss, each three to four gradients"
    source = "doi:10.1162/08997660260028683; arXiv 1412.1193"

    def __init__(self, every: Schedule | None = None, k: int = 1, samples: int = LARGEST_SET) -> None:
        super().__init__(every, samples)
        self._solver = Solver(k)

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self.attach_curvature(subject)
        self._tracker, k = EigenvalueTracker(self._solver), self._solver.k
        quantity = Quantity(
            "gauss_newton_top_eigenvalues",
            "loss per squared norm",
            "largest eigenvalues of the training loss's Gauss-Newton matrix",
            (Axis("rank", [str(rank) for rank in range(1, k + 1)]),),
        )
        return [Buffer(quantity.name, (k,))], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        slots[0].copy_(self._tracker.follow(GaussNewtonOperator(self._curvature.mean_loss)).values)

    def state_dict(self) -> dict[str, Any]:
        return self._tracker.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._tracker.load_state_dict(state)
