"""A linear model has no slingshots (Figures 1 and 10 to 12)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import none_with_slingshots, with_value

LEAST_RUNS = 3


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs of the linear model that have slingshots."""
    return none_with_slingshots(with_value(runs, setup="cifar10_linear_200"), "runs of the linear model", LEAST_RUNS)


CLAIM = Claim(
    title="A linear model has no slingshots.",
    figures="1, 10-12",
    sweeps={"small": ("images_optimizers",), "paper": ("images_optimizers",)},
    rule="None of 3 or more runs of the linear model has a slingshot.",
    decide=decide,
    draws="optimizers",
    core_hours=1.5,
)
