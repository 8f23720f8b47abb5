"""With weight decay the accuracy comes early (Figures 44 to 46)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.trace import Trace
from trainers.claims._claim import Claim, Finding, Measured, samples
from trainers.claims._rules import GENERALISES, at_least
from trainers.claims.weight_decay_slingshots import LEAST_RUNS, decayed


def first_general(run: Trace, analysis: Analysis) -> float:
    """Return the first evaluation at which the validation accuracy is 0.95; infinite if there is none."""
    step, accuracy = samples(run, "val_accuracy")
    reached = np.flatnonzero(accuracy >= GENERALISES)
    return float(step[reached[0]]) if len(reached) else math.inf


def decide(runs: Sequence[Measured]) -> Finding:
    """Compare each run with weight decay with the one without on the same operation."""
    plain = {run.config["data.operation"]: run.found for run in runs if not float(run.config["optimizer.weight_decay"])}
    outcomes = [
        run.found < plain[run.config["data.operation"]]
        for run in decayed(runs)
        if run.config["data.operation"] in plain
    ]
    return at_least(outcomes, 1.0, "runs with weight decay", "reach 0.95, and earlier than without", LEAST_RUNS)


CLAIM = Claim(
    title="With weight decay the accuracy comes early.",
    figures="44-46",
    sweeps={"small": ("operations_weight_decay",), "paper": ("weight_decay",)},
    rule="Each run with weight decay, of at least 6, reaches a validation accuracy of 0.95 earlier than the run "
    "without decay on the same operation.",
    measure=first_general,
    decide=decide,
    draws="weight_decay",
    core_hours=1.0,
)
