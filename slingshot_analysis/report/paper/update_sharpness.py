"""Sharpness along the update, beside the norm (Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import CURVATURE, HEIGHT, beside_norm
from slingshot_analysis.report.paper._runs import Array, PaperRun, named, varied

SHOWS = "the sharpness along the update beside the norm, one row for each run, and around transitions (Figure 3)"

AROUND, MOST_ROWS = 64, 6


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw a row for each run."""
    key = varied(runs, ("data.operation", "setup", "seed")) or "setup"
    shown = runs[:MOST_ROWS]
    figure = Figure(figsize=(6.8, HEIGHT * len(shown) + 0.3))
    panels = figure.subplots(len(shown), 2, squeeze=False, width_ratios=(2, 1))
    for (left, right), run in zip(panels, shown, strict=True):
        step, sharpness = _joined(run)
        beside_norm(left, run, step, sharpness, "update\nsharpness", CURVATURE, True)
        left.set_title(named(key, run.value(key)))
        right.set_yscale("log")
        for at in run.transitions:
            near = (np.abs(step - at) <= AROUND) & (sharpness > 0)
            right.plot(step[near] - at, sharpness[near], color=CURVATURE, linewidth=0.6, alpha=0.7)
        right.axvline(0, color="#2b2b2b", linestyle=(0, (4, 3)), linewidth=0.5)
        right.set_title(f"{len(run.transitions)} transitions")
    panels[-1, 0].set_xlabel("update")
    panels[-1, 1].set_xlabel("updates after the transition")
    return figure


def _joined(run: PaperRun) -> tuple[Array, Array]:
    """Return the sharpness at all steps at which the probe or the flight recorder measured it."""
    parts = [run.samples(name) for name in ("update_sharpness", "event_update_sharpness") if name in run.trace]
    if not parts:
        parts = [run.samples("update_sharpness")]
    step, value = (np.concatenate(both) for both in zip(*parts, strict=True))
    order = np.argsort(step, kind="stable")
    return step[order], value[order]
