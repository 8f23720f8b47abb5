"""The figure of a dose response: slingshots and accuracy against one number of the configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from slingshot_analysis.across_runs import dose_response, labels_of
from slingshot_analysis.report.across.style import LINES, number_axis, save, wrapped

__all__ = ["draw_dose_response"]

SPACING = 0.08
"""Inches between the intervals of two lines at one value."""
PANELS = {
    "share": "share of runs with slingshots",
    "slingshots": "slingshots, mean",
    "best_val_accuracy": "best validation accuracy, mean",
}


def draw_dose_response(runs: pd.DataFrame, key: str, path: Path) -> Path:
    """Draw what runs do at each value of a number, with a line for each configuration in all else, up to six.

    Parameters
    ----------
    runs : DataFrame
        Of `runs_table`.
    key : str
        A column of numbers in which runs differ, such as ``optimizer.eps``.
    path : Path
        File to write.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If `key` is no such column.
    """
    table = dose_response(runs, key)
    told = pd.Series(labels_of(runs, without=[key]), index=runs.index)
    values, totals = table.groupby("others")[key].nunique(), table.groupby("others")["runs"].sum()
    telling = totals[values > 1].sort_values(ascending=False, kind="stable")
    if telling.empty:
        telling = totals
    shown = telling.index[: len(LINES)].tolist()
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    panels = figure.subplots(1, len(PANELS))
    for i, (color, others) in enumerate(zip(LINES, shown, strict=False)):
        aside = ScaledTranslation(SPACING * (i - (len(shown) - 1) / 2), 0, figure.dpi_scale_trans)
        part, single = table[table["others"] == others], runs[told == others]
        for axes, name in zip(panels, PANELS, strict=True):
            low, high = part[f"{name}_low"], part[f"{name}_high"]
            place = {"color": color, "transform": axes.transData + aside}
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
    runs_shown = int(totals[shown].sum())
    title = (
        f"{runs_shown} of {len(runs)} runs (dots); 95% intervals: Wilson (share), bootstrap over 5 runs or more (means)"
    )
    figure.suptitle(title, fontsize=9)
    if len(shown) > 1:
        handles, words = panels[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="outside lower center", ncols=min(len(shown), 3), fontsize=8, frameon=False)
    return save(figure, path)
