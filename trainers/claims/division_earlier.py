"""Division: a smaller ε brings earlier grokking (Figure 50)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import too_few, verdict
from trainers.claims.division_cycles import by_epsilon


def decide(runs: Sequence[Measured]) -> Finding:
    """Compare the first grokking steps from one ε to the next."""
    first = {
        eps: min(math.inf if (step := run.analysis.grokking_step) is None else step for run in part)
        for eps, part in by_epsilon(runs).items()
    }
    grokked = [step for step in first.values() if math.isfinite(step)]
    if len(first) < 2 or not grokked:
        return too_few(len(grokked), 1, "values of ε with grokking")
    steps = list(first.values())
    later = all(a <= b for a, b in pairwise(steps)) and steps[0] < steps[-1]
    because = ", ".join(
        f"{step:,.0f} at {eps:g}" if math.isfinite(step) else f"none at {eps:g}" for eps, step in first.items()
    )
    return Finding(verdict(later), f"grokking steps: {because}", f"{len(runs)} runs")


CLAIM = Claim(
    title="ε on division: grokking comes earlier at a smaller ε.",
    figures="50",
    sweeps={"small": ("division_epsilon",), "paper": ("datasets_epsilon",)},
    rule="The first grokking step at each ε is no later than at the next larger one (never is latest), and earlier at "
    "the smallest than at the largest; without any grokking it is not decided.",
    decide=decide,
    draws="grokking",
    core_hours=3.3,
)
