"""The largest eigenvalues of the Hessian of the training loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from slingshot_analysis.recording.curvature import LARGEST_SET, EigenvalueTracker, Solver
from slingshot_analysis.recording.probes._base import Buffer, Moment
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.schedule import Every, Schedule
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity


class Hessian(CurvatureProbe):
    """`hessian_top_eigenvalues`: the algebraically largest eigenvalues λ of ∇²L at each state, L the training loss.

    L is the mean over the whole training set or a fixed subset of it, with the model in evaluation mode. The model
    computes in its own dtype, and its loss is computed in float64. `max_stable_step` is 2/λ₁, the learning rate above
    which gradient descent diverges on a quadratic; it is infinite where λ₁ ≤ 0. `hessian_residual` is ‖H x − λ x‖ of
    each pair; the relative error of λ is about the square of residual/λ. `hessian_products` is the number of products
    with H that the search took. Values are NaN where H is not finite.

    Parameters
    ----------
    every : Schedule, optional
        When to measure.
    k : int, optional
        Number of eigenvalues.
    method : {"lanczos", "power"}, optional
        How to find them: by Lanczos' method, or by power iteration, the slower choice (see `Solver`).
    samples : int, optional
        Maximum number of training samples; a larger set is replaced by a fixed random subset of this size.

    References
    ----------
    Thilak et al. 2022, Figure 16 and appendix D, arXiv 2206.04817; Cohen et al. 2021, arXiv 2103.00065.
    """

    name = "hessian"
    default_schedule = Every(100)
    cost = "about three products with the Hessian of the training loss, each two to three gradients"
    source = "arXiv 2206.04817, Figure 16; arXiv 2103.00065"

    def __init__(
        self, every: Schedule | None = None, k: int = 1, samples: int = LARGEST_SET, method: str = "lanczos"
    ) -> None:
        super().__init__(every, samples)
        self._solver = Solver(k, method)

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self.attach_curvature(subject)
        self._tracker, k = EigenvalueTracker(self._solver), self._solver.k
        axis, unit = Axis("rank", [str(rank) for rank in range(1, k + 1)]), "loss per squared norm"
        quantities = [
            Quantity("hessian_top_eigenvalues", unit, "largest eigenvalues of the training loss's Hessian", (axis,)),
            Quantity("hessian_residual", unit, "norm of H x - lambda x of each eigenpair found", (axis,)),
            Quantity("hessian_products", "products", "products with the Hessian that the search took", dtype="int64"),
            Quantity("max_stable_step", "learning rate", "2 / largest eigenvalue; infinite where that is below 0"),
        ]
        return [
            Buffer(quantities[0].name, (k,)),
            Buffer(quantities[1].name, (k,)),
            Buffer(quantities[2].name, (), torch.int64),
            Buffer(quantities[3].name),
        ], quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        top = self._tracker.follow(self._curvature.hessian())
        slots[0].copy_(top.values)
        slots[1].copy_(top.residuals)
        slots[2].fill_(top.products)
        slots[3].copy_(2 / top.values[0].clamp(min=0))

    def state_dict(self) -> dict[str, Any]:
        return self._tracker.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._tracker.load_state_dict(state)
