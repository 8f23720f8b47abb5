"""The classifier moves farther from its initialisation than the representation (Figures 22 to 24)."""

from __future__ import annotations

from collections.abc import Sequence

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.trace import Trace
from trainers.claims._claim import Claim, Finding, Measured, samples
from trainers.claims._rules import at_least

LEAST_RATIO, LEAST_RUNS = 2.0, 1


def ratio(run: Trace, analysis: Analysis) -> float:
    """Return the cosine distance of the classifier at the end, divided by that of the representation."""
    classifier, representation = (
        samples(run, f"cosine_distance_{part}")[1][-1] for part in ("classifier", "representation")
    )
    return float(classifier / representation)


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs with slingshots in which the classifier moves much farther."""
    ratios = [run.found for run in runs if run.slingshots]
    outcomes = [ratio > LEAST_RATIO for ratio in ratios]
    found = at_least(outcomes, 1.0, "runs with slingshots", "have a ratio above 2", LEAST_RUNS)
    because = f"{found.because}; ratios {', '.join(f'{ratio:.2f}' for ratio in sorted(ratios))}"
    return Finding(found.verdict, because, found.n, found.numbers)


CLAIM = Claim(
    title="On division the classifier moves farther from its initialisation than the representation.",
    figures="22-24",
    sweeps={"small": ("division_epsilon",), "paper": ("division",)},
    rule="At the end of each run with slingshots, and of at least one, the cosine distance of the classifier from its "
    "initialisation is more than 2 times that of the representation.",
    measure=ratio,
    decide=decide,
    draws="distances",
    core_hours=3.3,
)
