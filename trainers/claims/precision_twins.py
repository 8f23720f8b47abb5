"""Losses that keep their precision have no slingshots: twins of the runs at ε 1e-8 (Figure 6)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import none_with_slingshots

LEAST_RUNS = 20


def twin(run: Measured) -> str:
    """Return in which way a run differs from the plain one."""
    config = run.config
    if config.get("orthogonal_gradient"):
        return "orthogonal gradient"
    if config.get("loss") == "stablemax":
        return "StableMax"
    if config.get("dtype") == "float64":
        return "float64"
    return "float64 loss" if config.get("loss_dtype") == "float64" else "float32"


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the twins with slingshots, for each kind."""
    kinds = "float64", "float64 loss", "StableMax", "orthogonal gradient"
    found = {kind: [run for run in runs if twin(run) == kind] for kind in kinds}
    together = none_with_slingshots([run for part in found.values() for run in part], "twins", LEAST_RUNS)
    if min(len(part) for part in found.values()) == 0:
        return Finding("not decided", "there are not runs of all four kinds", together.n)
    parts = (f"{sum(run.slingshots > 0 for run in part)} of {len(part)} with {kind}" for kind, part in found.items())
    return Finding(together.verdict, f"slingshots in {', '.join(parts)}", together.n, together.numbers)


CLAIM = Claim(
    title="ε decides by precision: twins in float64, with the loss in float64, StableMax or orthogonal gradients have "
    "no slingshots.",
    figures="not in the paper",
    sweeps={"small": ("parity_precision",), "paper": ("parity_precision",)},
    rule="None of the twins has a slingshot, of at least 20 of all four kinds together.",
    decide=decide,
    draws="precision",
    core_hours=0.5,
)
