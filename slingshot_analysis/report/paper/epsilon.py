"""Norm and accuracy over ε and the learning rate (Figures 6 and 13 to 15)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import grid_of_runs
from slingshot_analysis.report.paper._runs import PaperRun

SHOWS = "norm and accuracy over ε and the learning rate (Figures 6 and 13 to 15)"


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw a panel for each configuration."""
    return grid_of_runs(runs, columns="optimizer.eps", rows="optimizer.lr")
