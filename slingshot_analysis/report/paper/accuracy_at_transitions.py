"""Validation accuracy around transitions, and the lags of its jumps (Figures 2, 6, 13 and 17)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import NORM, VALIDATION
from slingshot_analysis.report.paper._runs import PaperRun

SHOWS = "validation accuracy around transitions, and the lags of its jumps behind them (Figures 2, 6, 13 and 17)"

REACH, BINS = 10_000.0, 41


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw the accuracy around each transition at the left, and the lags at the right."""
    figure = Figure(figsize=(6.8, 2.5))
    left, right = figure.subplots(1, 2)
    transitions = 0
    for run in runs:
        step, accuracy = run.samples("val_accuracy")
        for at in run.transitions:
            near = np.abs(step - at) <= REACH
            left.plot(step[near] - at, accuracy[near], color=VALIDATION, linewidth=0.4, alpha=0.35)
            transitions += 1
    left.axvline(0, color="#2b2b2b", linestyle=(0, (4, 3)), linewidth=0.5)
    left.locator_params(axis="x", nbins=5)
    left.set_xlabel("updates after the transition")
    left.set_ylabel("validation accuracy")
    left.set_title(f"{transitions} transitions of {len(runs)} runs")
    tests = [run.analysis.association for run in runs]
    lags = [lag for test in tests for lag in test.lags]
    right.hist(lags, bins=np.linspace(-REACH, REACH, BINS).tolist(), color=NORM)
    near_ones, jumps = sum(test.jumps_near_transitions for test in tests), sum(test.jumps for test in tests)
    expected = sum(test.expected for test in tests)
    right.set_title(f"{near_ones} of {jumps} jumps near a transition, {expected:.1f} expected")
    right.locator_params(axis="x", nbins=5)
    right.set_xlabel("updates from the nearest transition to the jump")
    right.set_ylabel("jumps")
    return figure
