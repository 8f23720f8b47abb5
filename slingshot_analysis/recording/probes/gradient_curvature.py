"""Curvature of the training loss along the preconditioned gradient, beside the bound on it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.recording.curvature import preconditioner
from slingshot_analysis.recording.curvature.preconditioner import largest_rate
from slingshot_analysis.recording.probes._base import Buffer, Moment
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.optimizer_state import (
    adaptive_states,
    keeps_second_moment,
    require_second_moment,
)
from slingshot_analysis.trace import Quantity


class GradientCurvature(CurvatureProbe):
    """`gradient_curvature`: gᵀP⁻¹HP⁻¹g / gᵀP⁻¹g at each state, with g and H of the training loss.

    P is the optimizer's preconditioner, as for the probe `preconditioned`. `gradient_curvature_bound` is 2/η, with the
    largest learning rate η. On the quadratic with this g and H, the step −η P⁻¹g raises the loss exactly where the
    curvature is above the bound. The largest eigenvalue of P⁻¹H may stay above the bound for long; the loss spikes once
    the gradient has turned towards its eigenvector. NaN before the first update.

    Parameters
    ----------
    every : Schedule, optional
        When to measure.
    samples : int, optional
        Maximum number of training samples; a larger set is replaced by a fixed random subset of this size.

    References
    ----------
    Bai et al. 2025, arXiv 2506.04805, on the curvature of the preconditioned Hessian along the gradient.
    """

    name = "gradient_curvature"
    default_schedule = Every(100)
    cost = "one product with the Hessian of the training loss; its graph is shared with other probes"
    source = "arXiv 2506.04805"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return super().fits(subject) and keeps_second_moment(subject.optimizer)

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._optimizer, self._parameters = require_second_moment(subject, self.name), subject.parameters
        self.attach_curvature(subject)
        unit = "1 / learning rate"
        quantities = [
            Quantity("gradient_curvature", unit, "curvature of the preconditioned loss along the gradient"),
            Quantity("gradient_curvature_bound", unit, "2 / learning rate, above which a step raises the loss"),
        ]
        return [Buffer(quantity.name) for quantity in quantities], quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        states = list(adaptive_states(self._optimizer, self._parameters).values())
        if all(state is None for state in states):
            for slot in slots:
                slot.fill_(torch.nan)
            return
        hessian = self._curvature.hessian()
        step = hessian.gradient / preconditioner(states, self._curvature.mean_loss.sizes)
        slots[0].copy_(torch.dot(step, hessian(step)) / torch.dot(step, hessian.gradient))
        rate = largest_rate(states)
        slots[1].fill_(2 / rate if rate else torch.inf)
