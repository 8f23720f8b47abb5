"""With weight decay grokking vanishes: accuracy does not come long after fitting (Figures 44 to 46)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import at_least
from trainers.claims.weight_decay_slingshots import LEAST_RUNS, decayed


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs with weight decay that have no grokking step."""
    outcomes = [run.analysis.grokking_step is None for run in decayed(runs)]
    return at_least(outcomes, 1.0, "runs with weight decay", "have no grokking step", LEAST_RUNS)


CLAIM = Claim(
    title="With weight decay grokking vanishes.",
    figures="44-46",
    sweeps={"small": ("operations_weight_decay",), "paper": ("weight_decay",)},
    rule="No run with weight decay, of at least 6, has a grokking step, that is, reaches 0.95 at least 1,000 updates "
    "after the training set was fitted and ten times as late.",
    decide=decide,
    draws="weight_decay",
    core_hours=1.0,
)
