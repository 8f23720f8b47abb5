"""Effective steps beside the largest stable step 2/L (Figure 16)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import CURVATURE, NORM, curve, mark_transitions
from slingshot_analysis.report.paper._runs import PaperRun, fastest_cycles

SHOWS = "the effective steps of the parameters beside 2/L along a run, and around transitions (Figure 16)"

AROUND = 64


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw the run with the most slingshots at the left, and all recorded transitions at the right."""
    run = fastest_cycles(runs)
    figure = Figure(figsize=(6.8, 2.4))
    left, right = figure.subplots(1, 2)
    left.set_yscale("log")
    step, quantiles = run.samples("effective_step_quantiles")
    measured = np.isfinite(quantiles).any(axis=(1, 2))  # there are no steps before the first update
    step, quantiles = step[measured], quantiles[measured]
    ends = np.nanmin(quantiles[..., 0], axis=1), np.nanmax(quantiles[..., -1], axis=1)
    left.fill_between(step, *ends, color=NORM, alpha=0.15, linewidth=0)
    curve(left, step, np.nanmedian(quantiles[..., 2], axis=1), NORM, "effective step, median")
    curve(left, *run.samples("max_stable_step"), CURVATURE, "2/L")
    mark_transitions(left, run.transitions)
    left.set_title("band: all effective steps; dashed: transitions")
    left.set_xlabel("update")
    left.set_ylabel("step per gradient")
    left.legend()

    right.set_yscale("log")
    shown = 0
    for own in runs:
        if "event_effective_step" not in own.trace:
            continue
        event, steps = own.samples("event_effective_step")
        stable = np.interp(event, *own.samples("event_max_stable_step"))
        for at in own.transitions:
            near = np.abs(event - at) <= AROUND
            ratio = steps[near, 0] / stable[near]
            right.plot(event[near][ratio > 0] - at, ratio[ratio > 0], color=NORM, linewidth=0.5, alpha=0.5)
            shown += bool(near.any())
    right.axhline(1, color=CURVATURE)
    right.axvline(0, color="#2b2b2b", linestyle=(0, (4, 3)), linewidth=0.5)
    right.set_title(f"{shown} recorded transitions of {len(runs)} runs")
    right.set_xlabel("updates after the transition")
    right.set_ylabel("smallest effective step\ndivided by 2/L")
    return figure
