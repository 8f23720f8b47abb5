"""SGD does not generalise on division (Figure 25)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import at_least

LARGEST_ACCURACY, LEAST_RUNS = 0.05, 3


def decide(runs: Sequence[Measured]) -> Finding:
    """Compare the best accuracy of each run with a value near chance."""
    outcomes = [run.best_accuracy < LARGEST_ACCURACY for run in runs]
    found = at_least(outcomes, 1.0, "runs", "stay below 0.05", LEAST_RUNS)
    bests = ", ".join(f"{run.best_accuracy:.3f} at learning rate {run.config['optimizer.lr']}" for run in runs)
    return Finding(found.verdict, f"{found.because}; best accuracies: {bests or 'none'}", found.n, found.numbers)


CLAIM = Claim(
    title="SGD does not grok on division.",
    figures="25",
    sweeps={"small": ("division_sgd",), "paper": ("sgd",)},
    rule="The best validation accuracy stays below 0.05 (chance is 0.01) at each of at least 3 learning rates.",
    decide=decide,
    draws="sgd",
    core_hours=1.0,
)
