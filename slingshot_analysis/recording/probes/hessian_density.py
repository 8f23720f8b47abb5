"""The spectral density of the Hessian of the training loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.recording.curvature import LARGEST_SET, spectral_density
from slingshot_analysis.recording.probes._base import Buffer, Moment
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.schedule import Every, Schedule
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity


class HessianDensity(CurvatureProbe):
    """`hessian_density_nodes`, `hessian_density_weights`: the density of eigenvalues of ∇²L, L the training loss.

    The density is a sum of point masses at ascending nodes, with weights that sum to 1. Stochastic Lanczos quadrature
    finds them: Σ weight · node^k is an estimate of tr(H^k) / dimension. The random starts are the same at every state.
    For a model with fewer parameters than `steps`, the last nodes are NaN and have weight 0.

    Parameters
    ----------
    every : Schedule, optional
        When to measure.
    starts, steps : int, optional
        Number of random starts, and of products from each.
    samples : int, optional
        Maximum number of training samples; a larger set is replaced by a fixed random subset of this size.

    References
    ----------
    Ubaru, Chen and Saad 2017, doi:10.1137/16M1104974; Ghorbani, Krishnan and Xiao 2019, arXiv 1901.10159.
    """

    name = "hessian_density"
    default_schedule = Every(5000)
    cost = "120 products with the Hessian of the training loss; its graph is shared with other probes"
    source = "doi:10.1137/16M1104974; arXiv 1901.10159"

    def __init__(
        self, every: Schedule | None = None, starts: int = 4, steps: int = 30, samples: int = LARGEST_SET
    ) -> None:
        super().__init__(every, samples)
        self._starts, self._steps = starts, steps

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self.attach_curvature(subject)
        nodes = self._starts * self._steps
        axis = Axis("node", [str(i) for i in range(1, nodes + 1)])
        quantities = [
            Quantity("hessian_density_nodes", "loss per squared norm", "eigenvalues that carry the density", (axis,)),
            Quantity("hessian_density_weights", "", "share of the spectrum at each node", (axis,)),
        ]
        return [Buffer(quantity.name, (nodes,)) for quantity in quantities], quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        density = spectral_density(self._curvature.hessian(), self._starts, self._steps)
        found = len(density.nodes)
        for slot, values, missing in zip(slots, (density.nodes, density.weights), (torch.nan, 0.0), strict=True):
            slot[:found] = torch.from_numpy(values).to(slot.device)
            slot[found:] = missing
