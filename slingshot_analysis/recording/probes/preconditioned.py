"""The largest eigenvalue of the Hessian relative to the preconditioner of an adaptive optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.curvature import (
    EigenvalueTracker,
    PreconditionedOperator,
    preconditioner,
    stability_threshold,
)
from slingshot_analysis.recording.probes._base import Buffer, Moment
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.optimizer_state import adaptive_states, has_threshold, require_second_moment
from slingshot_analysis.trace import Quantity


class Preconditioned(CurvatureProbe):
    """`preconditioned_top_eigenvalue`: the largest eigenvalue of P⁻¹ ∇²L at each state, P from the optimizer's state.

    For Adam, P = (1 − β₁ᵗ)(√(v/(1 − β₂ᵗ)) + ε) after t updates. `preconditioned_ratio` is the eigenvalue divided by the
    threshold (2 + 2β₁)/((1 − β₁) η), above which Adam diverges on a quadratic with this P. For RMSprop, P = √v + ε, and
    the threshold is 2/η. The eigenvalue is computed as that of the symmetric matrix P^(-1/2) H P^(-1/2). NaN before the
    first update.

    Parameters
    ----------
    every : Schedule, optional
        When to measure.
    samples : int, optional
        Maximum number of training samples; a larger set is replaced by a fixed random subset of this size.

    References
    ----------
    Cohen et al. 2022, arXiv 2207.14484.
    """

    name = "preconditioned"
    default_schedule = Every(100)
    cost = "three to six products with the Hessian of the training loss; its graph is shared with other probes"
    source = "arXiv 2207.14484"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return super().fits(subject) and has_threshold(subject.optimizer)

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._optimizer, self._parameters = require_second_moment(subject, self.name), subject.parameters
        if not has_threshold(self._optimizer):
            raise InputError(
                f"the probe 'preconditioned' has no stability threshold for {type(self._optimizer).__name__}: leave "
                "it out of probes="
            )
        self._tracker = EigenvalueTracker()
        self.attach_curvature(subject)
        quantities = [
            Quantity(
                "preconditioned_top_eigenvalue",
                "1 / learning rate",
                "largest eigenvalue of P^-1 H, P the optimizer's preconditioner",
            ),
            Quantity(
                "preconditioned_ratio", "", "preconditioned_top_eigenvalue over the optimizer's stability threshold"
            ),
        ]
        return [Buffer(quantity.name) for quantity in quantities], quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        states = list(adaptive_states(self._optimizer, self._parameters).values())
        if all(state is None for state in states):
            for slot in slots:
                slot.fill_(torch.nan)
            return
        diagonal = preconditioner(states, self._curvature.mean_loss.sizes)
        value = self._tracker.follow(PreconditionedOperator(self._curvature.hessian(), diagonal)).values[0]
        slots[0].copy_(value)
        slots[1].copy_(value / stability_threshold(states))

    def state_dict(self) -> dict[str, Any]:
        return self._tracker.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._tracker.load_state_dict(state)
