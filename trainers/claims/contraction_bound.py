"""The adaptive method g/(|g| + ε) contracts exactly below its bound ‖A‖ < 2ε/μ (appendix D)."""

from __future__ import annotations

from collections.abc import Sequence

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.trace import Trace
from trainers.claims._claim import Claim, Finding, Measured, samples
from trainers.claims._rules import at_least

CONVERGED, LEAST_RUNS = 1e-10, 4


def remainder(run: Trace, analysis: Analysis) -> float:
    """Return the objective at the end, divided by that at the start."""
    value = samples(run, "batch_loss")[1]
    return float(value[-1] / value[0])


def decide(runs: Sequence[Measured]) -> Finding:
    """Compare whether each run converges with what the bound says."""
    outcomes = []
    for run in runs:
        bound = 2 * float(run.config["optimizer.eps"]) / float(run.config["optimizer.lr"])
        outcomes.append((run.found < CONVERGED) == (float(run.config["model.spectral_norm"]) < bound))
    norms = ", ".join(f"{run.found:.1g} at {run.config['model.spectral_norm']}" for run in runs)
    found = at_least(outcomes, 1.0, "quadratics", "do as the bound says", LEAST_RUNS)
    return Finding(found.verdict, f"{found.because}; f at the end over f at the start, by ‖A‖: {norms}", found.n)


CLAIM = Claim(
    title="On a quadratic the adaptive method converges exactly where ‖A‖ < 2ε/μ.",
    figures="App. D",
    sweeps={"small": ("quadratic",), "paper": ("quadratic",)},
    rule="Of at least 4 quadratics, those with ‖A‖ below 2ε/μ lower the objective to less than 1e-10 of its first "
    "value, and those above do not.",
    measure=remainder,
    decide=decide,
    draws="contraction",
    core_hours=0.01,
)
