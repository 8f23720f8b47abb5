"""The number of slingshots against one number of the configuration: the rule of three claims."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slingshot_analysis.many_runs import rank_sum_test
from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import by_test

LEVEL = 0.01


def depends_on(key: str, sweep: str, words: str) -> Claim:
    """Return the claim that the number of slingshots depends on a number of the configuration.

    Parameters
    ----------
    key : str
        Dotted name of the number.
    sweep : str
        The sweep that varies it.
    words : str
        What it is called.
    """

    def decide(runs: Sequence[Measured]) -> Finding:
        counts: dict[float, list[int]] = {}
        for run in runs:
            counts.setdefault(float(run.config[key]), []).append(run.slingshots)
        if len(counts) < 2:
            return Finding("not decided", "the runs have a single value", f"{len(runs)} runs")
        low, high = counts[min(counts)], counts[max(counts)]
        p_value, smallest = rank_sum_test(low + high, [False] * len(low) + [True] * len(high))
        means = ", ".join(f"{np.mean(counts[value]):.1f} at {value:g}" for value in sorted(counts))
        return by_test(p_value, smallest, LEVEL, f"mean number of slingshots: {means}", f"{len(runs)} runs")

    return Claim(
        title=f"The number of slingshots depends on the {words}.",
        figures="not in the paper",
        sweeps={"small": (sweep,), "paper": (sweep,)},
        rule=f"The numbers of slingshots at the largest and at the smallest {words} differ: Wilcoxon's exact rank-sum "
        "test, two-sided, p < 0.01.",
        decide=decide,
        draws="cycles",
        core_hours=0.1,
    )
