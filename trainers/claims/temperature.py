"""Normalised features and weights: generalisation without slingshots at τ = 0.25 (Figures 47 to 49)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import GENERALISES, at_least, with_value


def decide(runs: Sequence[Measured]) -> Finding:
    """Look at the runs at τ = 0.25."""
    chosen = with_value(runs, model__temperature=0.25)
    outcomes = [run.best_accuracy >= GENERALISES and not run.slingshots for run in chosen]
    found = at_least(outcomes, 1.0, "runs at 0.25", "generalise without a slingshot", 1)
    each = "; ".join(
        f"{run.config['model.temperature']}: best accuracy {run.best_accuracy:.2f}, {run.slingshots} slingshots"
        for run in runs
    )
    return Finding(found.verdict, f"{found.because}; by τ: {each or 'none'}", found.n, found.numbers)


CLAIM = Claim(
    title="With normalised features and weights, division generalises without slingshots at the temperature τ = 0.25.",
    figures="47-49",
    sweeps={"small": ("division_temperature",), "paper": ("normalized",)},
    rule="Each run at τ = 0.25 reaches a validation accuracy of 0.95 and has no slingshot.",
    decide=decide,
    draws="temperature",
    core_hours=1.4,
)
