"""The figure of curves over seeds: a column for each configuration, with median, quartiles and single runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from slingshot_analysis.many_runs import band, by_configuration, labels_of
from slingshot_analysis.report.across._style import save, wrapped
from slingshot_analysis.report.figure import TRAIN, TRANSITION, VALIDATION
from slingshot_analysis.signal import Signal

COLUMNS = 5
"""Number of configurations in one picture."""
MOST_PICTURES = 10
"""Largest number of pictures."""
MOST_LINES = 10
"""Largest number of runs of a configuration that are drawn one by one, beside their median."""

PANELS = {
    "norm": ("norm", TRAIN, True),
    "loss": ("training loss", TRAIN, True),
    "val_accuracy": ("validation accuracy", VALIDATION, False),
}
"""Label and colour of each curve, and whether its axis is logarithmic."""


def draw_overlay(runs: pd.DataFrame, curves: Sequence[Mapping[str, Signal]], path: Path) -> list[Path]:
    """Draw the curves of all runs, a column for each configuration, five to a picture and 50 at most.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`.
    curves : sequence of mapping of str to Signal
        The curves of `thin_curves`, one mapping for each row of `runs`.
    path : Path
        File of the first picture; the others are numbered.

    Returns
    -------
    list of Path
        The files written; empty if no run has a curve.
    """
    names = [name for name in PANELS if any(name in own for own in curves)]
    if not names:
        return []
    labels = labels_of(runs)
    order = by_configuration(runs)["configuration"].tolist()
    members = {label: [i for i, own in enumerate(labels) if own == label] for label in order}
    shown = order[: COLUMNS * MOST_PICTURES]
    pages = [shown[i : i + COLUMNS] for i in range(0, len(shown), COLUMNS)]
    written = []
    for number, page in enumerate(pages, start=1):
        figure = Figure(figsize=(1.2 + 3.1 * max(len(page), 2), 1.2 + 2.1 * len(names)), layout="constrained")
        grid = figure.subplots(len(names), len(page), sharex="col", sharey="row", squeeze=False)
        for column, label in enumerate(page):
            for row, name in enumerate(names):
                axes = grid[row, column]
                _draw(axes, name, [curves[i][name] for i in members[label] if name in curves[i]])
                for step in runs["first_transition"].iloc[members[label]].dropna():
                    axes.axvline(step, color=TRANSITION, linestyle=(0, (4, 3)), linewidth=0.6, alpha=0.6)
                if column == 0:
                    axes.set_ylabel(_named(name, curves))
            count = len(members[label])
            grid[0, column].set_title(f"{wrapped(label)}\n{count} run{'' if count == 1 else 's'}", fontsize=9)
            grid[-1, column].set_xlabel("step")
        left_out = len(order) - len(shown)
        more = f" ({number} of {len(pages)})" if len(pages) > 1 else ""
        more += f"; {left_out} configurations are left out" if left_out else ""
        figure.suptitle(
            f"line: median, band: quartiles, thin: single runs, dashed: first transitions{more}", fontsize=9
        )
        written.append(save(figure, path if number == 1 else path.with_stem(f"{path.stem}-{number}")))
    return written


def _named(name: str, curves: Sequence[Mapping[str, Signal]]) -> str:
    """Return the label of an axis: the name of the signal, if it is the same in all runs."""
    signals = {own[name].name for own in curves if name in own}
    words = signals.pop().replace("_", " ") if len(signals) == 1 and name != "val_accuracy" else PANELS[name][0]
    return f"{words}, highest" if name == "loss" else words


def _draw(axes: Axes, name: str, curves: Sequence[Signal]) -> None:
    _, color, logarithmic = PANELS[name]
    if logarithmic:
        axes.set_yscale("log")
        if name == "norm":  # norms seldom span more than two decades: write 6, not 6 x 10^0
            axes.yaxis.set_major_formatter(LogFormatter())
            axes.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
    else:
        axes.set_ylim(-0.02, 1.04)
    if len(curves) <= MOST_LINES:
        for curve in curves:
            value = curve.value.astype(np.float64)
            shown = value > 0 if logarithmic else np.isfinite(value)
            axes.plot(curve.step[shown], value[shown], color=color, linewidth=0.5, alpha=0.35)
    joined = band(curves, logarithmic=logarithmic)
    axes.fill_between(joined.step, joined.low, joined.high, color=color, alpha=0.22, linewidth=0)
    axes.plot(joined.step, joined.median, color=color, linewidth=1.4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
    axes.locator_params(axis="x", nbins=4)
