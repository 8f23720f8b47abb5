"""Division: no grokking without a slingshot (Figures 4 and 50)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import too_few


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs that grok, with and without a slingshot before."""
    grokked = [run for run in runs if run.analysis.grokking_step is not None]
    if not grokked:
        return too_few(0, 1, "runs that grok")
    before = [
        any(event.transition < (run.analysis.grokking_step or 0) for event in run.analysis.certain) for run in grokked
    ]
    because = f"{before.count(False)} of {len(grokked)} runs that grok have no slingshot before"
    return Finding(
        "holds" if all(before) else "does not hold", because, f"{len(grokked)} runs that grok of {len(runs)}"
    )


CLAIM = Claim(
    title="ε on division: there is no grokking without a slingshot.",
    figures="4, 50",
    sweeps={"small": ("division_epsilon",), "paper": ("datasets_epsilon",)},
    rule="Every run that groks has a slingshot before its grokking step; without any such run it is not decided.",
    decide=decide,
    draws="grokking",
    core_hours=3.3,
)
