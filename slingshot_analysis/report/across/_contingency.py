"""The figure of slingshots against grokking: the two-by-two table, and a bar for each configuration."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from slingshot_analysis.association import Contingency, Proportion, contingency
from slingshot_analysis.many_runs import by_configuration
from slingshot_analysis.report.across._style import wrapped
from slingshot_analysis.report.picture import Given, panels_of

CELLS = {
    "both": ("slingshots and grokking", "#5b8c5a"),
    "slingshot_only": ("slingshots only", "#1f4e79"),
    "grokked_only": ("grokking only", "#e0a030"),
    "neither": ("neither", "#c44e52"),
    "undecided": ("undecided", "#d0d0d0"),
}
"""Label and colour of each cell; green, blue and red are the colours of Figure 4 of the paper."""

ON_BARS = {"slingshot_only": "white"}
"""Colour of the number on a bar, where black would be hard to read."""
MOST_BARS = 60
"""Largest number of configurations that have a bar."""
BAR_LABEL = 40
"""Characters in a line of the label of a bar."""


def contingency_figure(runs: pd.DataFrame, given: Given = None) -> Figure:
    """Draw how many runs had slingshots, grokked, did both or neither.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`.
    given : sequence of Axes, optional
        Axes to draw into, one for each panel.

    Returns
    -------
    Figure
        The figure.

    References
    ----------
    .. [1] V. Thilak et al., 2022, Figure 4. arXiv:2206.04817
    """
    decided = runs[runs["verdict"] != "undecided"]
    found = contingency((decided["verdict"] == "slingshots").tolist(), decided["grokking_step"].notna().tolist())
    groups = by_configuration(runs)
    shown = groups.iloc[:MOST_BARS]
    tallest = max(wrapped(label, BAR_LABEL).count("\n") + 1 for label in shown["configuration"])
    lines = len(shown) * max(2.0, tallest + 0.6)
    size = (11, max(3.6, 1.2 + 0.17 * lines))
    figure, (left, right), _ = panels_of(given, 2, size, ncols=2, width_ratios=[1, 1.7])
    _draw_table(left, found, int(groups["undecided"].sum()))
    _draw_bars(right, shown)
    if len(shown) < len(groups):
        right.set_title(f"{len(groups) - len(shown)} more configurations are left out", fontsize=9)
    return figure


def _draw_table(axes: Axes, found: Contingency, undecided: int) -> None:
    cells = [("both", "slingshot_only"), ("grokked_only", "neither")]
    for row, names in enumerate(cells):
        for column, name in enumerate(names):
            axes.add_patch(_square(column, row, CELLS[name][1]))
            axes.text(column + 0.5, row + 0.5, f"{getattr(found, name)}", ha="center", va="center", fontsize=18)
    axes.set(xlim=(0, 2), ylim=(2, 0), xticks=[0.5, 1.5], yticks=[0.5, 1.5], aspect="equal")
    axes.set_xticklabels(["grokked", "did not grok"])
    axes.set_yticklabels(["slingshots", "none"], rotation=90, va="center")
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    words = [
        f"grokked with slingshots: {_words(found.grokked_with_slingshot)}",
        f"grokked without: {_words(found.grokked_without_slingshot)}",
    ]
    if found.fisher_greater is not None:
        words.append(f"Fisher's exact test, one-sided: p = {found.fisher_greater:.2g}")
    if found.boschloo_greater is not None:
        words.append(f"Boschloo's exact test, one-sided: p = {found.boschloo_greater:.2g}")
    if undecided:
        words.append(f"{undecided} undecided left out")
    axes.text(0, 2.1, "\n".join(words), va="top", fontsize=8.5)


def _draw_bars(axes: Axes, groups: pd.DataFrame) -> None:
    start = pd.Series(0, index=groups.index)
    for name, (label, color) in CELLS.items():
        counts = groups[name]
        if counts.any():
            bars = axes.barh(range(len(groups)), counts, left=start, color=color, label=label, height=0.72)
            inside = [str(n) if n else "" for n in counts]
            axes.bar_label(bars, inside, label_type="center", fontsize=8, color=ON_BARS.get(name, "black"))
        start = start + counts
    axes.set_yticks(range(len(groups)), [wrapped(label, BAR_LABEL) for label in groups["configuration"]], fontsize=8.5)
    axes.invert_yaxis()
    axes.set_xlabel("runs")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize=8, frameon=False)


def _square(column: int, row: int, color: str) -> Rectangle:
    return Rectangle((column + 0.02, row + 0.02), 0.96, 0.96, color=color, alpha=0.45, linewidth=0)


def _words(share: Proportion) -> str:
    if share.interval is None:
        return "no such run"
    low, high = share.interval
    return f"{share.count} of {share.runs} (95%: {low:.2f} to {high:.2f})"
