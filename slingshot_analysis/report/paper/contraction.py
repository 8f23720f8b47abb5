"""The adaptive method on quadratics below and above its bound (appendix D)."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import curve
from slingshot_analysis.report.paper._runs import PaperRun, named

SHOWS = "the objective of quadratics below and above the bound ‖A‖ = 2ε/μ (appendix D)"


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw a line for each spectral norm, dashed above the bound."""
    figure = Figure(figsize=(4.2, 2.6))
    axes = figure.subplots()
    axes.set_yscale("log")
    colors = mpl.colormaps["viridis"].resampled(max(2, len(runs) + 1))
    ordered = sorted(runs, key=lambda run: float(str(run.value("model.spectral_norm"))))
    for place, run in enumerate(ordered):
        norm, eps, lr = (float(str(run.value(k))) for k in ("model.spectral_norm", "optimizer.eps", "optimizer.lr"))
        bound = 2 * eps / lr
        curve(axes, *run.samples("batch_loss"), colors(place), named("model.spectral_norm", norm))
        if norm >= bound:
            axes.lines[-1].set_linestyle("--")
    axes.set_xlabel("update")
    axes.set_ylabel("objective")
    axes.set_title("dashed: above the bound")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
