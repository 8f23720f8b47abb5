"""The figure of two numbers of the configuration, such as β₁ and β₂: slingshots and accuracy as colours."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slingshot_analysis.many_runs import cells, configuration_keys, short_names
from slingshot_analysis.report.across._style import wrapped
from slingshot_analysis.report.picture import Given, panels_of

PANELS = {
    "slingshots": ("slingshots, mean", "YlGnBu", "{:.3g}"),
    "best_val_accuracy": ("best validation accuracy, mean", "YlOrRd", "{:.2f}"),
}


CHARACTERS_PER_INCH = 13
"""Characters of a title that fit into an inch."""


def heatmap_figure(runs: pd.DataFrame, x: str, y: str, given: Given = None) -> Figure:
    """Draw slingshots and accuracy at each pair of values of two numbers.

    The runs of a pair are pooled over all other keys.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`.
    x, y : str
        Columns of numbers in which runs differ.
    given : sequence of Axes, optional
        Axes to draw into, one for each panel.

    Returns
    -------
    Figure
        The figure.

    Raises
    ------
    InputError
        If `x` or `y` is no such column.
    """
    table = cells(runs, x, y)
    tables = {name: table.pivot(index=y, columns=x, values=name).sort_index(ascending=False) for name in PANELS}
    counts = table.pivot(index=y, columns=x, values="runs").sort_index(ascending=False)
    rows, columns = counts.shape
    size = (max(7.0, 2.4 + 1.6 * columns), max(3.2, 1.7 + 0.6 * rows))
    figure, panels, is_new = panels_of(given, 2, size, ncols=2)
    for axes, (name, (words, colors, form)) in zip(panels, PANELS.items(), strict=True):
        _draw(axes, tables[name], counts, colors, form)
        axes.set_title(words, fontsize=10)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    few, many = int(table["runs"].min()), int(table["runs"].max())
    title = f"{table['runs'].sum()} runs, {few if few == many else f'{few} to {many}'} in a cell"
    if pooled := _pooled(runs, x, y):
        title += f", pooled over {', '.join(pooled)}"
    if is_new:
        figure.suptitle(wrapped(title, int(CHARACTERS_PER_INCH * size[0])), fontsize=9)
    return figure


def _pooled(runs: pd.DataFrame, x: str, y: str) -> list[str]:
    """Return the short names of the keys that differ within a cell."""
    others = [key for key in configuration_keys(runs) if key not in (x, y)]
    cell = runs.groupby([x, y])
    return list(short_names([key for key in others if (cell[key].nunique(dropna=False) > 1).any()]).values())


def _draw(axes: Axes, table: pd.DataFrame, counts: pd.DataFrame, colors: str, form: str) -> None:
    values = table.to_numpy(dtype=np.float64)
    known, there = values[np.isfinite(values)], counts.notna().to_numpy()
    top = 1.0 if form.endswith("2f}") else max(float(known.max(initial=0)), 1.0)
    axes.imshow(np.ma.masked_invalid(values), cmap=colors, vmin=0, vmax=top, aspect="auto")
    axes.set_xticks(range(len(table.columns)), [f"{value:g}" for value in table.columns])
    axes.set_yticks(range(len(table.index)), [f"{value:g}" for value in table.index])
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        words = form.format(value) if np.isfinite(value) else "-"
        if there[row, column]:
            dark = np.isfinite(value) and value > 0.6 * top
            axes.text(column, row, words, ha="center", va="center", color="white" if dark else "black", fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
