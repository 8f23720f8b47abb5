"""At a transition the effective step passes 2/L (Figure 16)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import at_least

EVENT = "all effective steps > 2/L"
LEAST_SHARE, LEAST_TRANSITIONS = 0.9, 5


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the transitions before which the smallest effective step crosses 2/L."""
    certain = {(id(run), event.transition) for run in runs for event in run.analysis.certain}
    lags = [
        order.lags.get(EVENT)
        for run in runs
        for order in run.analysis.order
        if (id(run), order.transition) in certain and "update sharpness peaks" in order.lags
    ]
    outcomes = [lag is not None and lag <= 0 for lag in lags]
    return at_least(outcomes, LEAST_SHARE, "recorded transitions", "have the crossing before them", LEAST_TRANSITIONS)


CLAIM = Claim(
    title="The effective step passes 2/L, the largest stable step, at transitions.",
    figures="16",
    sweeps={"small": ("parity_effective_step",), "paper": ("parity",)},
    rule="The smallest effective step of all parameters crosses 2/L from below within the 64 updates before the "
    "transition, at 90% or more of at least 5 transitions whose curvature the flight recorder has.",
    decide=decide,
    draws="effective_step",
    core_hours=0.2,
)
