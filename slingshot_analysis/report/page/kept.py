"""What the page needs of a run besides its analysis. The process that has read a run makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.many_runs import thin_curves
from slingshot_analysis.report.page.cycles import Aligned, align
from slingshot_analysis.report.page.figure import figure_json, words_of_steps
from slingshot_analysis.report.page.panels import shown_signals
from slingshot_analysis.signal import Signal
from slingshot_analysis.trace import Trace

COLUMNS_OF_ALL = 50_000
"""Number of parts, over all runs of a page, into which long signals are thinned."""
FEWEST, MOST = 200, 2000
"""Smallest and largest number of parts of one run."""


@dataclass(frozen=True)
class KeptRun:
    """The figure of a run as JSON, its signals around transitions, and its thinned curves."""

    figure: str
    aligned: Sequence[Aligned]
    curves: Mapping[str, Signal]


@dataclass(frozen=True)
class KeepRun:
    """Keeps of a run what the page shows: an argument of `analyze_files`.

    Parameters
    ----------
    columns : int
        Number of equal parts of the run into which long signals are thinned.
    """

    columns: int

    def __call__(self, run: Trace, analysis: Analysis) -> KeptRun:
        """Return what is kept of a run."""
        signals = shown_signals(run)
        figure = figure_json(analysis, signals, self.columns, words_of_steps(run))
        return KeptRun(figure, align(analysis, signals), thin_curves(signals))


def columns_for(files: int) -> int:
    """Return the number of parts of each run that keeps a page of so many files small.

    Examples
    --------
    >>> columns_for(1), columns_for(50), columns_for(5000)
    (2000, 1000, 200)
    """
    return max(FEWEST, min(MOST, COLUMNS_OF_ALL // max(files, 1)))
