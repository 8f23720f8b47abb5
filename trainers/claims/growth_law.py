"""In growth phases the norm does not grow as c log t (appendix F)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.trace import Trace
from trainers.claims._claim import Claim, Finding, Measured, samples
from trainers.claims._rules import at_least

FITTED_PART, LEAST_ROWS = 2 / 3, 12
LEAST_SHARE, LEAST_PHASES = 0.8, 10


def line_is_better(run: Trace, analysis: Analysis) -> list[bool]:
    """Return, for the growth phase before each transition, whether a line a + b t predicts its last third better than
    a + c log t does, where both are fitted to the first two thirds.
    """
    steps, norms = samples(run, analysis.norm_signal or "last_layer_norm")
    found = []
    for event in analysis.certain:
        if event.growth_start is None:
            continue
        inside = (steps >= max(event.growth_start, 1)) & (steps < event.interval[0])
        step, norm = steps[inside], norms[inside]
        if len(step) < LEAST_ROWS:
            continue
        fitted = int(FITTED_PART * len(step))
        log = np.polyval(np.polyfit(np.log(step[:fitted]), norm[:fitted], 1), np.log(step[fitted:]))
        line = np.polyval(np.polyfit(step[:fitted], norm[:fitted], 1), step[fitted:])
        log_error, error = (np.mean((law - norm[fitted:]) ** 2) for law in (log, line))
        found.append(bool(log_error > error))
    return found


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the growth phases that the logarithm of time predicts worse."""
    outcomes = [worse for run in runs for worse in run.found]
    does = "are predicted better by a line than by c log t"
    return at_least(outcomes, LEAST_SHARE, "growth phases", does, LEAST_PHASES)


CLAIM = Claim(
    title="Before a slingshot the norm grows unlike c log t, the law of gradient descent.",
    figures="App. F",
    sweeps={"small": ("parity_features",), "paper": ("parity",)},
    rule="Fitted to the first two thirds of a growth phase that ends in a transition, a line a + b t predicts the last "
    "third with a smaller mean square error than a + c log t, in 80% or more of at least 10 phases.",
    measure=line_is_better,
    decide=decide,
    draws="growth_law",
    core_hours=0.1,
)
