"""The figure of a dose response: slingshots and accuracy against one number of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from slingshot_analysis.many_runs import dose_response, labels_of
from slingshot_analysis.report.across._style import LINES, number_axis, wrapped
from slingshot_analysis.report.picture import Given, panels_of

SPACING = 0.08
"""Distance in inches of the intervals of two lines that share a value."""
PANELS = {
    "share": "share of runs with slingshots",
    "slingshots": "slingshots, mean",
    "best_val_accuracy": "best validation accuracy, mean",
}


def dose_response_figure(runs: pd.DataFrame, key: str, given: Given = None) -> Figure:
    """Draw slingshots and accuracy at each value of a number, with a line for each configuration in all other keys.

    At most six lines are drawn, those with the most runs.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`.
    key : str
        A column of numbers in which runs differ, such as ``optimizer.eps``.
    given : sequence of Axes, optional
        Axes to draw into, one for each panel.

    Returns
    -------
    Figure
        The figure.

    Raises
    ------
    InputError
        If `key` is no such column.
    """
    table = dose_response(runs, key)
    told = pd.Series(labels_of(runs, without=[key]), index=runs.index)
    doses, totals = table.groupby("others")[key].nunique(), table.groupby("others")["runs"].sum()
    telling = totals[doses > 1] if (doses > 1).any() else totals
    shown = telling.sort_values(ascending=False, kind="stable").index[: len(LINES)].tolist()
    figure, panels, is_new = panels_of(given, len(PANELS), (11, 4.2), ncols=len(PANELS))
    shifts = _shifts({others: set(table[key][table["others"] == others]) for others in shown})
    for color, others in zip(LINES, shown, strict=False):
        aside = ScaledTranslation(shifts[others], 0, figure.dpi_scale_trans)
        part, single = table[table["others"] == others], runs[told == others]
        for axes, name in zip(panels, PANELS, strict=True):
            low, high = part[f"{name}_low"], part[f"{name}_high"]
            place: dict[str, Any] = {"color": color, "transform": axes.transData + aside}
            dots = [] if name == "share" else [(single[key], single[name])]
            for points in ((part[key], part[name]), (part[key], low), (part[key], high), *dots):
                axes.update_datalim(np.column_stack(points).astype(np.float64))
            axes.plot(part[key], part[name], "o-", linewidth=1.4, markersize=4, label=wrapped(others, 48), **place)
            axes.vlines(part[key], low, high, linewidth=1, **place)
            for at, values in dots:
                axes.plot(at, values.astype(float), "o", markersize=3, alpha=0.35, mew=0, **place)
    for axes, (name, words) in zip(panels, PANELS.items(), strict=True):
        number_axis(axes, runs[key].dropna().astype(np.float64), key)
        axes.margins(x=0.12)
        axes.autoscale_view()
        axes.set_ylabel(words)
        if name != "slingshots":
            axes.set_ylim(-0.04, 1.04)
        axes.spines[["top", "right"]].set_visible(False)
    title = f"{int(totals[shown].sum())} of {len(runs)} runs{_which(len(shown), doses, key)}"
    intervals = "dots: runs; 95% intervals: Wilson (share), bootstrap over 5 runs or more (means)"
    if is_new:
        figure.suptitle(f"{title}\n{intervals}", fontsize=9)
    if len(shown) > 1 and not is_new:
        panels[0].legend(fontsize=8, frameon=False)
    elif len(shown) > 1:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(shown), 3), fontsize=8, frameon=False)
    return figure


def _shifts(values: Mapping[str, set[float]]) -> dict[str, float]:
    """Return the shift of each line in inches: lines that share a value with another stand side by side."""
    shared = [name for name, own in values.items() if any(own & other for key, other in values.items() if key != name)]
    places = {name: SPACING * (i - (len(shared) - 1) / 2) for i, name in enumerate(shared)}
    return {name: places.get(name, 0.0) for name in values}


def _which(shown: int, doses: pd.Series, key: str) -> str:
    """Say which configurations are shown, unless all are."""
    telling = int((doses > 1).sum())
    if shown == len(doses):
        return ""
    largest = " largest" if shown < (telling or len(doses)) else ""
    return f": the {shown}{largest} configurations" + (f" with two values of {key} or more" if telling else "")
