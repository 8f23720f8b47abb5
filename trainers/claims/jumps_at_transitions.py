"""Jumps of the validation accuracy come at transitions (Figures 2, 6, 13 and 17): the test of jumps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from slingshot_analysis.association import Association, pool_associations
from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import by_test

LEVEL, LEVEL_OF_A_FAMILY, JUMPS_OF_A_FAMILY = 0.001, 0.05, 10


def family(run: Measured) -> str:
    """Return the first word of a setup's name, such as "parity"."""
    return str(run.config.get("setup", "")).partition("_")[0]


def decide(runs: Sequence[Measured]) -> Finding:
    """Pool the tests of all runs, and those of each family."""
    if not runs:
        return Finding("not decided", "there are no runs", "0 runs")
    families = defaultdict(list)
    for run in runs:
        families[family(run)].append(run.analysis.association)
    pooled = {name: pool_associations(tests) for name, tests in families.items()}
    total = pool_associations(pooled.values())
    because = "; ".join(_words(name, test) for name, test in pooled.items())
    n = f"{total.jumps} jumps and {total.transitions} transitions of {len(runs)} runs"
    found = by_test(total.p_value, None, LEVEL, f"{because}; pooled", n)
    against = [
        name
        for name, test in pooled.items()
        if test.jumps >= JUMPS_OF_A_FAMILY and (test.p_value is None or test.p_value >= LEVEL_OF_A_FAMILY)
    ]
    return Finding("does not hold", found.because, n, found.numbers) if against else found


def _words(name: str, test: Association) -> str:
    p_value = "no test" if test.p_value is None else f"p = {test.p_value:.2g}"
    near, expected = test.jumps_near_transitions, test.expected
    return f"{name}: {near} of {test.jumps} jumps near a transition, {expected:.1f} expected ({p_value})"


CLAIM = Claim(
    title="The validation accuracy jumps at transitions.",
    figures="2, 6, 13, 17",
    sweeps={"small": ("parity_grid", "hypercube_grid"), "paper": ("parity_epsilon", "hypercube_betas", "division")},
    rule="Jumps of the validation accuracy are near transitions more often than by chance: the exact test of all runs "
    "pooled gives p < 0.001, and that of no family with 10 jumps or more p >= 0.05.",
    decide=decide,
    draws="accuracy_at_transitions",
    core_hours=0.8,
)
