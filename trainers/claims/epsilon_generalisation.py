"""Generalisation stays poor where ε is large (Figures 6 and 13 to 15)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import at_least

POOR = 0.6
LEAST_SHARE, LEAST_RUNS = 0.95, 30


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs at large ε without slingshots whose best accuracy is near chance."""
    chosen = [run for run in runs if float(run.config["optimizer.eps"]) >= 1e-7 and not run.slingshots]
    bests = [run.best_accuracy for run in chosen]
    found = at_least([best < POOR for best in bests], LEAST_SHARE, "runs", "stay below 0.6", LEAST_RUNS)
    if not bests:
        return found
    because = f"{found.because}; the median of their best accuracies is {np.median(bests):.2f}"
    return Finding(found.verdict, because, f"{len(bests)} runs", found.numbers)


CLAIM = Claim(
    title="ε decides: where there are no slingshots, at ε 1e-7 and 1e-6, generalisation stays poor.",
    figures="6, 13-15",
    sweeps={"small": ("parity_grid",), "paper": ("parity_epsilon",)},
    rule="The best validation accuracy stays below 0.6 (chance is 0.5) in 95% or more of at least 30 runs at 1e-7 or "
    "1e-6 without slingshots.",
    decide=decide,
    draws="epsilon",
    core_hours=0.5,
)
