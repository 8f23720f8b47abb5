"""With weight decay slingshots vanish (Figures 44 to 46)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import none_with_slingshots

LEAST_RUNS = 6


def decayed(runs: Sequence[Measured]) -> list[Measured]:
    """Return the runs with weight decay."""
    return [run for run in runs if float(run.config["optimizer.weight_decay"]) > 0]


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs with weight decay that have slingshots."""
    return none_with_slingshots(decayed(runs), "runs with weight decay", LEAST_RUNS)


CLAIM = Claim(
    title="With weight decay slingshots vanish.",
    figures="44-46",
    sweeps={"small": ("operations_weight_decay",), "paper": ("weight_decay",)},
    rule="No run with weight decay has a slingshot, of at least 6.",
    decide=decide,
    draws="weight_decay",
    core_hours=1.0,
)
