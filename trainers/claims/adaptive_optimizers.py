"""AdamW and RMSProp have slingshots too (Figures 10 to 12, Table 1)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import all_with_slingshots

LEAST_RUNS = 6


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs with AdamW or RMSProp that have slingshots."""
    chosen = [run for run in runs if run.config["optimizer.kind"] in ("AdamW", "RMSProp")]
    return all_with_slingshots(chosen, "runs with AdamW and RMSProp", LEAST_RUNS)


CLAIM = Claim(
    title="AdamW and RMSProp have slingshots on the deep linear network.",
    figures="10-12, Table 1",
    sweeps={"small": ("images_optimizers",), "paper": ("images_optimizers",)},
    rule="All runs with AdamW and RMSProp, 3 of each, have slingshots.",
    decide=decide,
    draws="optimizers",
    core_hours=1.5,
)
