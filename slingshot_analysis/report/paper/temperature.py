"""Norm and accuracy over the temperature τ of a normalised head (Figures 47 to 49)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import grid_of_runs
from slingshot_analysis.report.paper._runs import PaperRun

SHOWS = "norm and accuracy over the temperature τ of a normalised head (Figures 47 to 49)"


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw a panel for each configuration."""
    return grid_of_runs(runs, columns="model.temperature", rows="data.operation")
