"""How far the classifier and the representation move from their initialisation (Figures 22 to 24)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import HEIGHT, NORM, VALIDATION, WIDTH, curve, mark_transitions
from slingshot_analysis.report.paper._runs import PaperRun, named

SHOWS = "cosine distances of classifier and representation from their initialisation (Figures 22 to 24)"

MOST_RUNS = 4


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw a panel for each run, up to four."""
    shown = runs[:MOST_RUNS]
    figure = Figure(figsize=(WIDTH * len(shown) + 0.6, HEIGHT + 0.4))
    for axes, run in zip(figure.subplots(1, len(shown), squeeze=False, sharey=True)[0], shown, strict=True):
        for part, color in (("classifier", VALIDATION), ("representation", NORM)):
            curve(axes, *run.samples(f"cosine_distance_{part}"), color, part)
        mark_transitions(axes, run.transitions)
        axes.set_title(named("optimizer.eps", run.value("optimizer.eps")))
        axes.set_xlabel("update")
    figure.axes[0].set_ylabel("cosine distance")
    figure.axes[0].legend()
    return figure
