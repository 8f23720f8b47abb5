"""The largest eigenvalue of each layer's block of the Hessian of the training loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from slingshot_analysis.recording.curvature import EigenvalueTracker
from slingshot_analysis.recording.probes._base import Buffer, Moment
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity


class HessianBlocks(CurvatureProbe):
    """`hessian_block_top_eigenvalue`: the largest eigenvalue of each layer's block of ∇²L, L the training loss.

    A layer is a module with parameters of its own, such as a weight and a bias. Its block is the diagonal block of the
    Hessian that belongs to these parameters. No eigenvalue of a block exceeds the largest one of the whole Hessian.

    Parameters
    ----------
    every : Schedule, optional
        When to measure.
    samples : int, optional
        Maximum number of training samples; a larger set is replaced by a fixed random subset of this size.

    References
    ----------
    Zhang et al. 2024, "Why Transformers Need Adam: A Hessian Perspective", arXiv 2402.16788 (spectra of blocks).
    """

    name = "hessian_blocks"
    default_schedule = Every(1000)
    cost = "about three products with each layer's block; the graph is shared with other probes"
    source = "arXiv 2402.16788"

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self.attach_curvature(subject)
        self._blocks: dict[str, list[str]] = {}
        for name in subject.parameters:
            self._blocks.setdefault(name.rpartition(".")[0] or name, []).append(name)
        self._trackers = [EigenvalueTracker() for _ in self._blocks]
        quantity = Quantity(
            "hessian_block_top_eigenvalue",
            "loss per squared norm",
            "largest eigenvalue of each layer's block of the training loss's Hessian",
            (Axis("block", list(self._blocks)),),
        )
        return [Buffer(quantity.name, (len(self._blocks),))], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        hessian = self._curvature.hessian()
        for i, (tracker, names) in enumerate(zip(self._trackers, self._blocks.values(), strict=True)):
            slots[0][i] = tracker.follow(hessian.block(names)).values[0]

    def state_dict(self) -> dict[str, Any]:
        return {"trackers": [tracker.state_dict() for tracker in self._trackers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for tracker, of_tracker in zip(self._trackers, state["trackers"], strict=True):
            tracker.load_state_dict(of_tracker)
