"""On the hypercube slingshots are robust to β, 0 included (Figures 18 to 21)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import at_least

LEAST_RUNS = 15


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the pairs that do not diverge and have slingshots; (0, 0) must be one of them."""
    whole = [run for run in runs if run.analysis.verdict != "diverged"]
    found = at_least([run.slingshots > 0 for run in whole], 1.0, "pairs", "have slingshots", LEAST_RUNS)
    none = [run for run in whole if run.config["optimizer.beta1"] == run.config["optimizer.beta2"] == 0]
    slung = sum(run.slingshots for run in none)
    verdict = "does not hold" if found.verdict == "holds" and not slung else found.verdict
    because = f"{found.because}, (0, 0) {slung}; {len(runs) - len(whole)} pairs diverge and stay at chance"
    return Finding(verdict, because, f"{len(runs)} pairs of β", found.numbers | {"at_zero": slung})


CLAIM = Claim(
    title="On the hypercube slingshots are robust to β1 and β2, with both 0 included.",
    figures="18-21",
    sweeps={"small": ("hypercube_grid",), "paper": ("hypercube_betas",)},
    rule="Every pair of β that does not diverge, of at least 15, has a slingshot, and (0, 0) is one of them.",
    decide=decide,
    draws="hypercube",
    core_hours=0.3,
)
