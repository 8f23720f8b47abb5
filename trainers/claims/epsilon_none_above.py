"""No slingshots at a larger ε (Figures 6 and 13 to 15)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import none_with_slingshots, with_value

LEAST_RUNS = 30


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs with slingshots at both values."""
    found = {eps: with_value(runs, optimizer__eps=eps) for eps in (1e-7, 1e-6)}
    together = none_with_slingshots([run for part in found.values() for run in part], "runs", LEAST_RUNS)
    parts = (f"{sum(run.slingshots > 0 for run in part)} of {len(part)} at {eps:g}" for eps, part in found.items())
    return Finding(together.verdict, f"runs with slingshots: {', '.join(parts)}", together.n, together.numbers)


CLAIM = Claim(
    title="ε decides: there are no slingshots at ε 1e-7 and 1e-6.",
    figures="6, 13-15",
    sweeps={"small": ("parity_grid",), "paper": ("parity_epsilon",)},
    rule="No run at 1e-7 or 1e-6 has a slingshot, of at least 30.",
    decide=decide,
    draws="epsilon",
    core_hours=0.5,
)
