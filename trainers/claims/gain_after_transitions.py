"""Validation accuracy is gained after transitions (Figures 2, 6, 13 and 17): the test of gain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from slingshot_analysis.association import pool_gain_associations
from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import by_test
from trainers.claims.jumps_at_transitions import family

LEVEL, LEVEL_OF_A_FAMILY, CYCLES_OF_A_FAMILY = 0.01, 0.05, 30


def decide(runs: Sequence[Measured]) -> Finding:
    """Pool the tests of all runs, and those of each family."""
    families = defaultdict(list)
    for run in runs:
        if run.analysis.gain_association is not None:
            families[family(run)].append(run.analysis.gain_association)
    if not families:
        return Finding("not decided", "no run has two evaluations", f"{len(runs)} runs")
    pooled = {name: pool_gain_associations(tests) for name, tests in families.items()}
    total = pool_gain_associations(pooled.values())
    because = "; ".join(
        f"{name}: {test.early_share:.2f} of the gain in the first halves of {test.cycles} cycles, "
        f"{test.expected_share:.2f} expected ({'no test' if test.p_value is None else f'p = {test.p_value:.2g}'})"
        for name, test in pooled.items()
        if test.early_share is not None and test.expected_share is not None
    )
    n = f"{total.cycles} cycles of {len(runs)} runs"
    found = by_test(total.p_value, None, LEVEL, f"{because}; pooled", n)
    against = [
        name
        for name, test in pooled.items()
        if test.cycles >= CYCLES_OF_A_FAMILY and (test.p_value is None or test.p_value >= LEVEL_OF_A_FAMILY)
    ]
    return Finding("does not hold", found.because, n, found.numbers) if against else found


CLAIM = Claim(
    title="Validation accuracy is gained after transitions rather than before them.",
    figures="2, 6, 13, 17",
    sweeps={"small": ("parity_grid", "hypercube_grid"), "paper": ("parity_epsilon", "hypercube_betas", "division")},
    rule="More of the gain falls into the first halves of the cycles than by chance: the test by random signs gives "
    "p < 0.01 for all runs pooled, and for no family with 30 cycles or more p >= 0.05.",
    decide=decide,
    draws="accuracy_at_transitions",
    core_hours=0.8,
)
