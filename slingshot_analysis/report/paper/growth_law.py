"""Growth phases of the norm beside a + c log t and a line (appendix F)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import CURVATURE, HEIGHT, NORM, VALIDATION, WIDTH
from slingshot_analysis.report.paper._runs import PaperRun

SHOWS = "growth phases of the norm, and what a + c log t and a line predict of their last third (appendix F)"

FITTED_PART, LEAST_ROWS, PANELS = 2 / 3, 12, 4


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw the longest growth phases before transitions, up to four."""
    phases = [
        (event.interval[0] - event.growth_start, run, event.growth_start, event.interval[0])
        for run in runs
        for event in run.analysis.certain
        if event.growth_start is not None
    ]
    phases.sort(key=lambda phase: -phase[0])
    shown = max(1, min(PANELS, len(phases)))
    figure = Figure(figsize=(WIDTH * shown + 0.3, HEIGHT + 0.5))
    panels = figure.subplots(1, shown, squeeze=False)[0]
    for axes, (_, run, first, last) in zip(panels, phases, strict=False):
        step, norm = run.norm()
        inside = (step >= max(first, 1)) & (step < last)
        step, norm = step[inside], norm[inside]
        if len(step) < LEAST_ROWS:
            continue
        part = int(FITTED_PART * len(step))
        log = np.polyval(np.polyfit(np.log(step[:part]), norm[:part], 1), np.log(step))
        line = np.polyval(np.polyfit(step[:part], norm[:part], 1), step)
        axes.plot(step, norm, color=NORM, linewidth=1.4, label="norm")
        axes.plot(step, log, color=VALIDATION, label="a + c log t")
        axes.plot(step, line, color=CURVATURE, label="a + b t")
        axes.axvline(step[part - 1], color="#7f7f7f", linewidth=0.5)
        axes.set_title(f"seed {run.value('seed')}")
        axes.set_xlabel("update")
    panels[0].set_ylabel("norm")
    if panels[0].lines:
        panels[0].legend()
    figure.suptitle("fitted up to the grey line", fontsize=8)
    return figure
