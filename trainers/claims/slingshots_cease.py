"""Slingshots cease where the effective step stays below 2/L (Figure 16)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.trace import Trace
from trainers.claims._claim import Claim, Finding, Measured, samples
from trainers.claims._rules import at_least

LAST_PART = 0.25
LEAST_BELOW, LEAST_SHARE, LEAST_RUNS = 0.9, 0.8, 3


def share_below(run: Trace, analysis: Analysis) -> float | None:
    """Return the share of the last quarter in which the smallest effective step is below 2/L; None for a run without
    slingshots, and for one that still has one there.
    """
    start = analysis.steps[1] - LAST_PART * (analysis.steps[1] - analysis.steps[0])
    if not analysis.certain or analysis.certain[-1].transition >= start:
        return None
    step, quantiles = samples(run, "effective_step_quantiles")
    late = step >= start
    least = np.nanmin(quantiles[late][..., 0], axis=1)
    limit = np.interp(step[late], *samples(run, "max_stable_step"))
    return float(np.mean(least < limit))


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs that stay below 2/L after their last slingshot."""
    shares = [run.found for run in runs if run.found is not None]
    what = "runs whose slingshots have ceased"
    return at_least([share >= LEAST_BELOW for share in shares], LEAST_SHARE, what, "stay below 2/L", LEAST_RUNS)


CLAIM = Claim(
    title="Later slingshots cease, while the effective step stays below 2/L.",
    figures="16",
    sweeps={"small": ("parity_effective_step",), "paper": ("parity",)},
    rule="Of the runs that have slingshots, but none in their last quarter, at least 3 in number, 80% or more have the "
    "smallest effective step below 2/L in 90% of the measurements of that quarter.",
    measure=share_below,
    decide=decide,
    draws="effective_step",
    core_hours=0.2,
)
