"""Norm and accuracy with SGD over the learning rate (Figure 25)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import grid_of_runs
from slingshot_analysis.report.paper._runs import PaperRun

SHOWS = "norm and accuracy with SGD over the learning rate (Figure 25)"


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw a panel for each configuration."""
    return grid_of_runs(runs, columns="optimizer.lr", rows="optimizer.kind")
