"""The trace of the Hessian of the training loss."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from slingshot_analysis.recording.curvature import LARGEST_SET, estimate_trace
from slingshot_analysis.recording.probes._base import Buffer, Moment
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.schedule import Every, Schedule
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.trace import Quantity


class HessianTrace(CurvatureProbe):
    """`hessian_trace`: tr ∇²L at each state, the sum of all eigenvalues, estimated by Hutch++. L is the training loss.

    `hessian_trace_error` is the standard deviation of the estimate. The random signs are the same at every state, so
    they do not add noise to changes of the trace along a run.

    Parameters
    ----------
    every : Schedule, optional
        When to measure.
    products : int, optional
        Number of products with the Hessian at each state; at least 6.
    samples : int, optional
        Maximum number of training samples; a larger set is replaced by a fixed random subset of this size.

    References
    ----------
    Meyer, Musco, Musco and Woodruff 2021, arXiv 2010.09649.
    """

    name = "hessian_trace"
    default_schedule = Every(1000)
    cost = "30 products with the Hessian of the training loss; its graph is shared with other probes"
    source = "arXiv 2010.09649"

    def __init__(self, every: Schedule | None = None, products: int = 30, samples: int = LARGEST_SET) -> None:
        super().__init__(every, samples)
        self._products = products

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self.attach_curvature(subject)
        unit = "loss per squared norm"
        quantities = [
            Quantity("hessian_trace", unit, "trace of the training loss's Hessian"),
            Quantity("hessian_trace_error", unit, "standard deviation of that estimate"),
        ]
        return [Buffer(quantity.name) for quantity in quantities], quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        estimate = estimate_trace(self._curvature.hessian(), self._products)
        slots[0].fill_(estimate.value)
        slots[1].fill_(estimate.standard_error)
