"""A small ε brings slingshots (Figures 6 and 13 to 15)."""

from __future__ import annotations

from collections.abc import Sequence

from slingshot_analysis.association import contingency
from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import by_test, too_few, with_value

LEVEL, LEAST_RUNS = 0.01, 10


def decide(runs: Sequence[Measured]) -> Finding:
    """Test each learning rate, and decide by the least certain of them."""
    tests = []
    for lr in sorted({run.config["optimizer.lr"] for run in runs}, key=float):
        small, large = (with_value(runs, optimizer__lr=lr, optimizer__eps=eps) for eps in (1e-8, 1e-6))
        if min(len(small), len(large)) < LEAST_RUNS:
            return too_few(min(len(small), len(large)), LEAST_RUNS, f"runs at ε 1e-8 or 1e-6 with learning rate {lr}")
        slung = [run.slingshots > 0 for run in (*small, *large)]
        cross = contingency([True] * len(small) + [False] * len(large), slung)
        counts = f"learning rate {lr}: {cross.both} of {len(small)} against {cross.grokked_only} of {len(large)}"
        tests.append((cross.boschloo_greater, cross.smallest_boschloo, counts))
    if not tests:
        return too_few(0, LEAST_RUNS, "runs")
    largest, smallest = max(p or 0.0 for p, _, _ in tests), max(s or 0.0 for _, s, _ in tests)
    because = "; ".join(f"{counts} (p = {p:.1g})" for p, _, counts in tests)
    return by_test(largest, smallest, LEVEL, f"{because}; the largest", f"{len(runs)} runs")


CLAIM = Claim(
    title="ε decides: there are slingshots at ε 1e-8, for each of three learning rates.",
    figures="6, 13-15",
    sweeps={"small": ("parity_grid",), "paper": ("parity_epsilon",)},
    rule="At each learning rate, runs at 1e-8 have slingshots more often than runs at 1e-6: Boschloo's exact test, "
    "p < 0.01, with at least 10 runs of each.",
    decide=decide,
    draws="epsilon",
    core_hours=0.5,
)
