"""Features move at transitions, and hardly during norm growth: sparse parity (Figures 2e and 2f)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.trace import Trace
from trainers.claims._claim import Claim, Finding, Measured, samples
from trainers.claims._rules import at_least

UPDATES_AFTER = 200
LEAST_RATIO, LEAST_SHARE, LEAST_TRANSITIONS = 3.0, 0.8, 5


def ratios(run: Trace, analysis: Analysis) -> list[float]:
    """Return, for each transition after a growth phase, the mean change of the last layer's features after it, divided
    by their mean change in that phase.
    """
    step, layers = samples(run, "feature_change")
    change = layers[:, -1]
    found = []
    for event in analysis.certain:
        if event.growth_start is None:
            continue
        growth = (step >= event.growth_start) & (step < event.interval[0])
        after = (step >= event.transition) & (step < event.transition + UPDATES_AFTER)
        if growth.any() and after.any():
            found.append(float(np.mean(change[after]) / np.mean(change[growth])))
    return found


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the transitions whose ratio exceeds the threshold."""
    all_ratios = [ratio for run in runs for ratio in run.found]
    does = f"have a ratio above {LEAST_RATIO:g}"
    outcomes = [ratio > LEAST_RATIO for ratio in all_ratios]
    found = at_least(outcomes, LEAST_SHARE, "transitions", does, LEAST_TRANSITIONS)
    if not all_ratios:
        return found
    median = float(np.median(all_ratios))
    return Finding(
        found.verdict,
        f"{found.because}; the median ratio is {median:.1f}",
        f"{len(all_ratios)} transitions of {len(runs)} runs",
        found.numbers | {"median": median},
    )


CLAIM = Claim(
    title="Features move from growth to plateau, at the transition, and not during norm growth: parity.",
    figures="2, 6",
    sweeps={"small": ("parity_features",), "paper": ("parity",)},
    rule="The mean feature change of the last layer in the 200 updates from a transition on, divided by its mean in "
    "the growth phase before, exceeds 3 at 80% or more of at least 5 transitions.",
    measure=ratios,
    decide=decide,
    draws="features",
    core_hours=0.1,
)
