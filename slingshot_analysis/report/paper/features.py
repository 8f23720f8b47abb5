"""Feature change beside the norm, and around transitions (Figures 2e and 2f)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slingshot_analysis.association import event_triggered_average
from slingshot_analysis.report.paper._panels import FEATURES, TRAIN, beside_norm
from slingshot_analysis.report.paper._runs import PaperRun, fastest_cycles

SHOWS = "feature change of the first and the last layer beside the norm, and around transitions (Figures 2e, 2f)"

BEFORE, AFTER = 2000.0, 1000.0


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw the run with the most slingshots above, and all transitions below."""
    run = fastest_cycles(runs)
    step, change = run.samples("feature_change")
    figure = Figure(figsize=(6.6, 3.6))
    panels = figure.subplots(2, 2)
    for axes, column, label in ((panels[0, 0], 0, "first layer"), (panels[0, 1], -1, "last layer")):
        beside_norm(axes, run, step, change[:, column], f"feature change,\n{label}", FEATURES, True)
        axes.set_xlabel("update")
    for axes, column in ((panels[1, 0], 0), (panels[1, 1], -1)):
        axes.set_yscale("log")
        for own in runs:
            own_step, own_change = own.samples("feature_change")
            for at in own.transitions:
                near = (own_step >= at - BEFORE) & (own_step <= at + AFTER)
                axes.plot(own_step[near] - at, own_change[near, column], color=FEATURES, linewidth=0.3, alpha=0.3)
        _draw_mean(axes, runs, column)
        axes.axvline(0, color="#2b2b2b", linestyle=(0, (4, 3)), linewidth=0.5)
        axes.set_xlabel("updates after the transition")
        axes.set_ylabel("feature change")
        axes.set_title(f"{sum(len(own.transitions) for own in runs)} transitions of {len(runs)} runs")
    return figure


def _draw_mean(axes: Axes, runs: Sequence[PaperRun], column: int) -> None:
    """Draw the geometric mean over all transitions."""
    parts = []
    for run in runs:
        step, change = run.samples("feature_change")
        if run.transitions:
            parts.append(event_triggered_average((step, change[:, column]), run.transitions, BEFORE, AFTER, log=True))
    if parts:
        count = np.sum([part.n for part in parts], axis=0)
        total = np.sum([np.nan_to_num(part.mean) * part.n for part in parts], axis=0)
        known = count > 0
        axes.plot(parts[0].lag[known], np.exp(total[known] / count[known]), color=TRAIN, linewidth=1.4, label="mean")
        axes.legend()
