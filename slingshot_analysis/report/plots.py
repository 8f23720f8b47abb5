"""What the method ``plot`` of a run, an analysis and a comparison draws; `slingshot_analysis.drawing` finds it here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from slingshot_analysis.analysis import Analysis, analyze
from slingshot_analysis.analysis.signals import Signals, as_signals
from slingshot_analysis.errors import InputError
from slingshot_analysis.many_runs import Comparison
from slingshot_analysis.readers import read_log
from slingshot_analysis.report.across import figure_across_runs
from slingshot_analysis.report.figure import run_figure
from slingshot_analysis.report.picture import Given
from slingshot_analysis.trace import Trace


def plot_trace(run: Trace, panels: Sequence[str], axes: Given) -> Figure:
    """Return the figure of a run, which is analyzed for it."""
    return run_figure(analyze(run), run, panels=panels, axes=axes)


def plot_analysis(
    analysis: Analysis, run: Trace | Mapping[str, Any] | None, panels: Sequence[str], axes: Given
) -> Figure:
    """Return the figure of an analysis, with the signals given or those of its file."""
    if run is None:
        signals: Signals = _read_again(analysis)
    else:
        signals = run if isinstance(run, Trace) else as_signals(run)
    return run_figure(analysis, signals, panels=panels, axes=axes)


def plot_comparison(comparison: Comparison, against: str, axes: Given) -> Figure:
    """Return one figure of the runs of a comparison."""
    return figure_across_runs(comparison.runs, against, axes)


def _read_again(analysis: Analysis) -> Trace:
    if not analysis.path:
        raise InputError("the signals of this analysis came from no file: give them with run=")
    for run in read_log(analysis.path):
        if run.name == analysis.name:
            return run
    raise InputError(f"{analysis.path}: holds no run {analysis.name!r} any more; give its signals with run=")
