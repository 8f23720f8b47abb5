"""Gradient descent has no slingshots on the deep linear network (Figures 1 and 10 to 12, Table 1)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import none_with_slingshots, with_value

LEAST_RUNS = 3


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs with gradient descent that have slingshots."""
    return none_with_slingshots(
        with_value(runs, setup="cifar10_deep_linear_200_gd"), "runs with gradient descent", LEAST_RUNS
    )


CLAIM = Claim(
    title="Gradient descent has no slingshots.",
    figures="1, 10-12, Table 1",
    sweeps={"small": ("images_optimizers",), "paper": ("images_optimizers",)},
    rule="None of 3 or more runs with gradient descent has a slingshot.",
    decide=decide,
    draws="optimizers",
    core_hours=1.5,
)
