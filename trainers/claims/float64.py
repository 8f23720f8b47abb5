"""float64 removes the slingshots that float32 has."""

from __future__ import annotations

from collections.abc import Sequence

from slingshot_analysis.association import contingency
from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import by_test
from trainers.claims.precision_twins import twin

LEVEL = 0.01


def decide(runs: Sequence[Measured]) -> Finding:
    """Compare how many runs have slingshots in each dtype."""
    float32, float64 = ([run for run in runs if twin(run) == kind] for kind in ("float32", "float64"))
    slung = [run.slingshots > 0 for run in (*float32, *float64)]
    cross = contingency([True] * len(float32) + [False] * len(float64), slung)
    counts = f"{cross.both} of {len(float32)} runs in float32, {cross.grokked_only} of {len(float64)} in float64"
    n = f"{len(slung)} runs"
    return by_test(cross.boschloo_greater, cross.smallest_boschloo, LEVEL, f"slingshots in {counts}", n)


CLAIM = Claim(
    title="float64 removes the slingshots of float32.",
    figures="not in the paper",
    sweeps={"small": ("parity_precision",), "paper": ("parity_precision",)},
    rule="Runs in float32 have slingshots more often than runs in float64 with the same seeds: Boschloo's exact test, "
    "p < 0.01.",
    decide=decide,
    draws="precision",
    core_hours=0.5,
)
