"""SGD has no slingshots (Figure 25)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import none_with_slingshots

LEAST_RUNS = 3


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs with slingshots."""
    return none_with_slingshots(runs, "runs", LEAST_RUNS)


CLAIM = Claim(
    title="SGD has no slingshots on division.",
    figures="25",
    sweeps={"small": ("division_sgd",), "paper": ("sgd",)},
    rule="No run with SGD has a slingshot, of at least 3 learning rates.",
    decide=decide,
    draws="sgd",
    core_hours=1.0,
)
