"""Division: a smaller ε brings more cycles (Figures 4 and 50)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import too_few, verdict

LEAST_VALUES = 3


def by_epsilon(runs: Sequence[Measured]) -> dict[float, list[Measured]]:
    """Return the runs at each ε, from the smallest on."""
    found: dict[float, list[Measured]] = {}
    for run in sorted(runs, key=lambda run: float(run.config["optimizer.eps"])):
        found.setdefault(float(run.config["optimizer.eps"]), []).append(run)
    return found


def decide(runs: Sequence[Measured]) -> Finding:
    """Compare the mean numbers of slingshots from one ε to the next."""
    found = by_epsilon(runs)
    if len(found) < LEAST_VALUES:
        return too_few(len(found), LEAST_VALUES, "values of ε")
    means = [float(np.mean([run.slingshots for run in part])) for part in found.values()]
    falls = means[-1] < means[0] and all(later <= earlier for earlier, later in pairwise(means))
    because = ", ".join(f"{mean:g} slingshots at {eps:g}" for mean, eps in zip(means, found, strict=True))
    return Finding(verdict(falls), because, f"{len(runs)} runs")


CLAIM = Claim(
    title="ε on division: there are more cycles at a smaller ε.",
    figures="4, 50",
    sweeps={"small": ("division_epsilon",), "paper": ("datasets_epsilon",)},
    rule="The mean number of slingshots does not rise from any ε to the next larger one, and is smaller at the largest "
    "than at the smallest, of at least 3 values.",
    decide=decide,
    draws="grokking",
    core_hours=3.3,
)
