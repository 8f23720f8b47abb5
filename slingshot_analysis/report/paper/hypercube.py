"""Slingshots and accuracy on the hypercube over β1 and β2, or over ε (Figures 18 to 21)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import grid_of_runs
from slingshot_analysis.report.paper._runs import Array, PaperRun, values_of, varied

SHOWS = "slingshots and best accuracy over β1 and β2, or norm and accuracy over ε, on the hypercube (Figures 18 to 21)"

CHANCE = 1 / 8
"""Accuracy of a run that diverged."""
BRIGHT = 0.6
"""Share of the colour map above which its colours need black text."""


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw two heat maps over β1 and β2 if they vary, and else panels over ε."""
    if varied(runs, ("optimizer.beta1", "optimizer.beta2")) is None:
        return grid_of_runs(runs, columns="optimizer.eps")
    figure = Figure(figsize=(6.4, 2.8))
    left, right = figure.subplots(1, 2)
    down, across = values_of(runs, "optimizer.beta1"), values_of(runs, "optimizer.beta2")
    for axes, measure, title, form in (
        (left, lambda run: float(len(run.transitions)), "slingshots", "{:.0f}"),
        (right, _best, "best validation accuracy", "{:.2f}"),
    ):
        cells = _cells(runs, down, across, measure)
        image = axes.imshow(cells, cmap="viridis", aspect="auto")
        for (i, j), value in np.ndenumerate(cells):
            diverged = any(run.analysis.verdict == "diverged" for run in _at(runs, down[i], across[j]))
            text = "–" if np.isnan(value) else form.format(value) + ("*" if diverged else "")
            colour = "black" if image.norm(value) > BRIGHT else "white"
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=7)
        axes.set_xticks(range(len(across)), [f"{value:g}" for value in across])
        axes.set_yticks(range(len(down)), [f"{value:g}" for value in down])
        axes.set_xlabel("β2")
        axes.set_ylabel("β1")
        axes.grid(visible=False)
        axes.set_title(f"{title} (*: diverged)")
    return figure


def _best(run: PaperRun) -> float:
    """Return the best accuracy of a run; one that diverged is drawn at chance."""
    if run.analysis.verdict == "diverged":
        return CHANCE
    bests = run.analysis.best_val_accuracy_before, run.analysis.best_val_accuracy_after
    return max((best for best in bests if best is not None), default=np.nan)


def _at(runs: Sequence[PaperRun], beta1: object, beta2: object) -> list[PaperRun]:
    return [run for run in runs if (run.value("optimizer.beta1"), run.value("optimizer.beta2")) == (beta1, beta2)]


def _cells(
    runs: Sequence[PaperRun], down: list[object], across: list[object], measure: Callable[[PaperRun], float]
) -> Array:
    cells = np.full((len(down), len(across)), np.nan)
    for i, beta1 in enumerate(down):
        for j, beta2 in enumerate(across):
            if own := _at(runs, beta1, beta2):
                cells[i, j] = np.mean([measure(run) for run in own])
    return cells
