"""Vision Transformers have slingshots, and generalise after them (Figures 5, 7 and 17)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import at_least

LEAST_SHARE, LEAST_RUNS = 0.8, 5


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs with slingshots whose best accuracy comes after the first of them."""
    outcomes = [
        run.slingshots > 0
        and (run.analysis.best_val_accuracy_after or 0) > (run.analysis.best_val_accuracy_before or 0)
        for run in runs
    ]
    does = "have slingshots and their best accuracy after the first"
    return at_least(outcomes, LEAST_SHARE, "runs", does, LEAST_RUNS)


CLAIM = Claim(
    title="Vision Transformers on CIFAR-10 have slingshots, and their best accuracy comes after them.",
    figures="5, 7, 17",
    sweeps={"small": ("vit_short",), "paper": ("cifar10_vit",)},
    rule="80% or more of at least 5 runs have slingshots, and a higher best accuracy after the first one than before.",
    decide=decide,
    draws="accuracy_at_transitions",
    core_hours=0.2,
    shortened="50 updates of one network in place of 20,000 of sixteen, which take a GPU some days",
)
