"""On the hypercube the best accuracy comes after slingshots begin (Figures 18 to 21)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import by_test

LEVEL = 0.05


def decide(runs: Sequence[Measured]) -> Finding:
    """Compare the best accuracy after the first transition with that before it, run by run."""
    from scipy import stats

    pairs = [
        (run.analysis.best_val_accuracy_before, run.analysis.best_val_accuracy_after)
        for run in runs
        if run.slingshots and run.analysis.verdict != "diverged"
    ]
    signs = [after > before for before, after in pairs if before is not None and after is not None and before != after]
    n = f"{len(pairs)} runs with slingshots"
    if not signs:
        return by_test(None, None, LEVEL, "no run has slingshots and an accuracy before and after", n)
    p_value = float(stats.binomtest(sum(signs), len(signs), alternative="greater").pvalue)
    because = f"the best accuracy is higher after the first transition in {sum(signs)} of {len(signs)} runs"
    return by_test(p_value, 0.5 ** len(signs), LEVEL, because, n)


CLAIM = Claim(
    title="On the hypercube the best accuracy comes after slingshots begin.",
    figures="18-21",
    sweeps={"small": ("hypercube_grid",), "paper": ("hypercube_betas",)},
    rule="The best validation accuracy from the first transition on exceeds that before in more runs than by chance: "
    "sign test, p < 0.05.",
    decide=decide,
    draws="hypercube",
    core_hours=0.3,
)
