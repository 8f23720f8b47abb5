"""Networks with depth have slingshots, also without a nonlinearity (Figures 1 and 10 to 12)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import all_with_slingshots

DEEP = "cifar10_mlp2_200", "cifar10_fcn6_200", "cifar10_deep_linear_200"
LEAST_RUNS = 9


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs with Adam on networks of two layers or more that have slingshots."""
    chosen = [run for run in runs if run.config["setup"] in DEEP and run.config["optimizer.kind"] == "Adam"]
    return all_with_slingshots(chosen, "runs of deep networks", LEAST_RUNS)


CLAIM = Claim(
    title="Depth brings slingshots: MLPs of 2 and 6 layers, and a deep linear network.",
    figures="1, 10-12",
    sweeps={"small": ("images_optimizers",), "paper": ("images_optimizers",)},
    rule="All runs with Adam on a 2-layer MLP, a 6-layer network and a 6-layer deep linear network, 3 of each, have "
    "slingshots.",
    decide=decide,
    draws="optimizers",
    core_hours=1.5,
)
