"""On the hypercube ε 1e-5 is best (Figures 18 to 21)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import too_few, verdict
from trainers.claims.division_cycles import by_epsilon

BEST, LEAST_VALUES, LEAST_SEEDS = 1e-5, 4, 3


def decide(runs: Sequence[Measured]) -> Finding:
    """Compare the mean best accuracies over the values of ε."""
    found = {eps: part for eps, part in by_epsilon(runs).items() if len(part) >= LEAST_SEEDS}
    if len(found) < LEAST_VALUES:
        return too_few(len(found), LEAST_VALUES, f"values of ε with {LEAST_SEEDS} seeds")
    means = {eps: float(np.mean([run.best_accuracy for run in part])) for eps, part in found.items()}
    best = max(means, key=lambda eps: means[eps])
    because = ", ".join(f"{mean:.3f} at {eps:g}" for eps, mean in means.items())
    return Finding(verdict(best == BEST), f"mean best accuracies: {because}", f"{len(runs)} runs", {"best": best})


CLAIM = Claim(
    title="On the hypercube ε 1e-5 generalises best.",
    figures="18-21",
    sweeps={"small": ("hypercube_eps",), "paper": ("hypercube_epsilon",)},
    rule="The mean over at least 3 seeds of the best validation accuracy is largest at ε 1e-5, of at least 4 values.",
    decide=decide,
    draws="hypercube",
    core_hours=1.0,
)
