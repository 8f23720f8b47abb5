"""Parts of figures: a curve beside the norm, marks of transitions, and grids of small panels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from slingshot_analysis.report.paper._runs import Array, PaperRun, extremes, named, values_of

Color = str | tuple[float, float, float, float]

NORM, TRAIN, VALIDATION, FEATURES, CURVATURE = "#1f4e79", "#5b8c5a", "#c44e52", "#7b5ea7", "#e0a030"
"""Colours of the quantities, alike in all figures."""

WIDTH, HEIGHT = 2.3, 1.55
"""Size of a small panel in inches."""

MOST_LINES, FAINT = 20, 0.35
"""Largest number of runs that a panel shows, and the opacity of their curves."""


def curve(axes: Axes, step: Array, value: Array, color: Color, label: str = "", alpha: float = 1.0) -> None:
    """Draw a curve; values that a logarithmic axis can't show are left out."""
    shown = value > 0 if axes.get_yscale() == "log" else np.isfinite(value)
    axes.plot(*extremes(step[shown], value[shown]), color=color, label=label, alpha=alpha)


def mark_transitions(axes: Axes, steps: Sequence[float]) -> None:
    """Draw a dashed line at each transition."""
    for step in steps:
        axes.axvline(step, color="#2b2b2b", linestyle=(0, (4, 3)), linewidth=0.5, alpha=0.6, zorder=1)


def beside_norm(axes: Axes, run: PaperRun, step: Array, value: Array, label: str, color: str, log: bool) -> None:
    """Draw a quantity, and the norm of the last layer on the axis at the right, as the paper does."""
    axes.set_yscale("log" if log else "linear")
    curve(axes, step, value, color)
    axes.set_ylabel(label, color=color)
    right = axes.twinx()
    curve(right, *run.norm(), NORM)
    right.set_ylabel("norm", color=NORM)
    right.grid(visible=False)
    mark_transitions(axes, run.transitions)


def grid_of_runs(runs: Sequence[PaperRun], columns: str, rows: str | None = None) -> Figure:
    """Draw norm and validation accuracy in a panel for each value of one or two entries of the configuration.

    Parameters
    ----------
    runs : sequence of PaperRun
        The runs; those that agree in both entries share a panel.
    columns, rows : str
        Entries of the configuration by dotted name.
    """
    across, down = values_of(runs, columns), values_of(runs, rows) if rows else [None]
    size = (WIDTH * len(across) + 0.4, HEIGHT * len(down) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(down), len(across), squeeze=False, sharex=True, sharey=True)
    for i, row in enumerate(down):
        for j, column in enumerate(across):
            axes: Axes = panels[i, j]
            own = [run for run in runs if run.value(columns) == column and (rows is None or run.value(rows) == row)]
            right = norm_and_accuracy(axes, own)
            slung = sum(bool(run.transitions) for run in own)
            above = f"{named(columns, column)}\n" if i == 0 else ""
            axes.set_title(f"{above}slingshots in {slung} of {len(own)}" if len(own) > 1 else f"{above}{_count(own)}")
            if j == 0:
                axes.set_ylabel(f"{named(rows, row)}\nnorm" if rows else "norm", color=NORM)
            if j == len(across) - 1:
                right.set_ylabel("validation\naccuracy", color=VALIDATION)
            else:
                right.tick_params(labelright=False)
            if i == len(down) - 1:
                axes.set_xlabel("update")
    return figure


def norm_and_accuracy(axes: Axes, runs: Sequence[PaperRun]) -> Axes:
    """Draw norm (left) and validation accuracy (right) of some runs, and return the right axis."""
    right, alpha = axes.twinx(), 1.0 if len(runs) < 2 else FAINT
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    for run in runs[:MOST_LINES]:
        curve(axes, *run.norm(), NORM, alpha=alpha)
        curve(right, *run.samples("val_accuracy"), VALIDATION, alpha=alpha)
    if len(runs) == 1:
        mark_transitions(axes, runs[0].transitions)
    right.set_ylim(-0.03, 1.03)
    right.grid(visible=False)
    return right


def _count(runs: Sequence[PaperRun]) -> str:
    return f"{len(runs[0].transitions)} slingshots" if runs else "no run"
