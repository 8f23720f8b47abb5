"""The number of slingshots of each run against one number of the configuration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from slingshot_analysis.errors import InputError
from slingshot_analysis.report.paper._panels import NORM
from slingshot_analysis.report.paper._runs import WORDS, PaperRun, values_of, varied

SHOWS = "slingshots of each run against width, batch size, learning rate or ε"

KEYS = "model.width", "batch_size", "optimizer.lr", "optimizer.eps"
SPREAD = 0.3


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw a column of points for each value, with their mean."""
    key = varied(runs, KEYS)
    if key is None:
        raise InputError(f"cycles: the runs differ in none of {', '.join(KEYS)}; give runs that do")
    figure = Figure(figsize=(3.2, 2.4))
    axes = figure.subplots()
    values = values_of(runs, key)
    for place, value in enumerate(values):
        counts = [len(run.transitions) for run in runs if run.value(key) == value]
        offsets = np.linspace(-SPREAD, SPREAD, len(counts)) if len(counts) > 1 else np.zeros(1)
        axes.plot(place + offsets, counts, "o", color=NORM, markersize=3, alpha=0.6)
        axes.hlines(np.mean(counts), place - SPREAD, place + SPREAD, color="#c44e52")
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    axes.set_xlabel(WORDS[key])
    axes.set_ylabel("slingshots of a run")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("points: runs; lines: means")
    return figure
