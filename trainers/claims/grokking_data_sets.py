"""Data sets of the appendix: those with slingshots generalise (Figures 4 and 26 to 43)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import GENERALISES, at_least

LEAST_SHARE, LEAST_DATA_SETS = 0.8, 5


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the data sets with slingshots and a high accuracy."""
    outcomes = [run.slingshots > 0 and run.best_accuracy > GENERALISES for run in runs]
    does = "have slingshots and an accuracy above 0.95"
    return at_least(outcomes, LEAST_SHARE, "data sets", does, LEAST_DATA_SETS)


CLAIM = Claim(
    title="Operations and splits: runs with slingshots generalise (the green class of the scatter and the 2×2 table).",
    figures="4, 26-43",
    sweeps={"small": ("five_data_sets",), "paper": ("datasets",)},
    rule="80% or more of at least 5 data sets (4 of 5) have slingshots and a validation accuracy above 0.95.",
    decide=decide,
    draws="grokking",
    core_hours=2.0,
)
