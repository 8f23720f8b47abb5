"""Colours, labels and axes that the figures of many runs share."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slingshot_analysis.report.picture import DPI

LINES = ("#1f4e79", "#c44e52", "#e0a030", "#5b8c5a", "#7b5ea7", "#7f7f7f")
"""Colours of configurations; the first two are the colours of training and validation in the figure of a run."""

MOST_LINES = 3
"""Largest number of lines of a label; the rest is cut."""

WIDE_RANGE = 20
"""Smallest ratio of the largest to the smallest value for which an axis is logarithmic."""

TICKS = 4
"""Largest number of intervals between the ticks of a narrow axis."""


def wrapped(label: str, width: int = 34) -> str:
    """Break a label into lines, up to three."""
    return "\n".join(textwrap.wrap(label, width, break_on_hyphens=False, max_lines=MOST_LINES, placeholder=" …"))


def number_axis(axes: Axes, values: Iterable[float], name: str) -> None:
    """Name the horizontal axis, and make it logarithmic where the values span a wide range; 0 still has a place."""
    given = np.unique(np.fromiter(values, dtype=np.float64))
    positive = given[given > 0]
    if len(positive) > 1 and positive[-1] / positive[0] >= WIDE_RANGE and given[0] >= 0:
        if given[0] == 0:
            axes.set_xscale("symlog", linthresh=positive[0])
        else:
            axes.set_xscale("log")
    else:
        axes.locator_params(axis="x", nbins=TICKS)
    axes.set_xlabel(name)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure and return its file."""
    figure.savefig(path, dpi=DPI)
    return path
