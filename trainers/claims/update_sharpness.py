"""The sharpness along the update peaks at the transition (Figure 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.trace import Trace
from trainers.claims._claim import Claim, Finding, Measured, samples
from trainers.claims._rules import at_least

BEFORE, AROUND = (-64, -10), 64
NEAR, LEAST_RATIO, LEAST_SHARE, LEAST_TRANSITIONS = 20, 10.0, 0.9, 5


def peaks(run: Trace, analysis: Analysis) -> list[tuple[int, float]]:
    """Return, for each recorded transition, the lag of the peak and its ratio to the median before."""
    if "event_update_sharpness" not in run:
        return []
    step, value = samples(run, "event_update_sharpness")
    step, value = step[np.isfinite(value)], value[np.isfinite(value)]
    found = []
    for event in analysis.certain:
        lag = step - event.transition
        before, around = (lag >= BEFORE[0]) & (lag <= BEFORE[1]), np.abs(lag) <= AROUND
        if before.any() and (around & ~before).any():
            top = np.flatnonzero(around)[np.argmax(value[around])]
            found.append((int(lag[top]), float(value[top] / np.median(np.abs(value[before])))))
    return found


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the transitions with a high and near peak."""
    found = [peak for run in runs for peak in run.found]
    outcomes = [abs(lag) <= NEAR and ratio >= LEAST_RATIO for lag, ratio in found]
    return at_least(outcomes, LEAST_SHARE, "recorded transitions", "have such a peak", LEAST_TRANSITIONS)


CLAIM = Claim(
    title="The sharpness along the update peaks at the transition: + − × ÷.",
    figures="3",
    sweeps={"small": ("operations_sharpness",), "paper": ("curvature",)},
    rule="Within 20 updates of a transition stands the largest update sharpness of the 64 updates on either side, and "
    "it is 10 times the median of the updates 64 to 10 before, or more, at 90% or more of at least 5 transitions.",
    measure=peaks,
    decide=decide,
    draws="update_sharpness",
    core_hours=0.6,
)
