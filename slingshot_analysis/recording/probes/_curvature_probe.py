"""Base class of the probes of the curvature of the training loss."""

from __future__ import annotations

from slingshot_analysis.recording.curvature.samples import LARGEST_SET
from slingshot_analysis.recording.curvature.shared import Curvatures
from slingshot_analysis.recording.probes._base import Probe
from slingshot_analysis.recording.schedule import Schedule
from slingshot_analysis.recording.subject import Subject


class CurvatureProbe(Probe):
    """A probe of the curvature of the training loss. Curvature probes share one graph, and one budget if it is set.

    Parameters
    ----------
    every : Schedule, optional
        When to measure.
    samples : int, optional
        Maximum number of training samples; a larger set is replaced by a fixed random subset of this size.
    """

    waits = True

    shared: Curvatures | None = None
    """What the curvature probes of a run share; None for a probe that makes its own."""

    def __init__(self, every: Schedule | None = None, samples: int = LARGEST_SET) -> None:
        super().__init__(every)
        self._samples = samples

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        """Return whether the run has training data."""
        return subject.train_data is not None

    def attach_curvature(self, subject: Subject) -> None:
        """Prepare for a run."""
        self._curvature = (self.shared or Curvatures(subject)).over(self._samples)
