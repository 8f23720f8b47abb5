"""VGG11 with and without batch normalisation has slingshots (Figures 8 and 9)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import all_with_slingshots


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the networks with slingshots."""
    chosen = [run for run in runs if "vgg11" in str(run.config["setup"])]
    return all_with_slingshots(chosen, "VGG networks", 2)


CLAIM = Claim(
    title="VGG11 has slingshots, with and without batch normalisation.",
    figures="8, 9",
    sweeps={"small": ("vgg_short",), "paper": ("cifar10_200",)},
    rule="Both networks have slingshots within 20,000 updates.",
    decide=decide,
    draws="optimizers",
    core_hours=0.2,
    shortened="300 updates in place of 20,000, which take a GPU an hour or two, and one core about 12 hours",
)
