"""With weight decay the instability stays (Figures 44 to 46)."""

from __future__ import annotations

from collections.abc import Sequence

from trainers.claims._claim import Claim, Finding, Measured
from trainers.claims._rules import at_least
from trainers.claims.weight_decay_slingshots import LEAST_RUNS, decayed

LEAST_SHARE = 0.8


def decide(runs: Sequence[Measured]) -> Finding:
    """Count the runs with weight decay whose loss spikes after they fitted the training set."""
    outcomes = [
        run.analysis.verdict == "unstable"
        or any(spike.start > (run.analysis.terminal_phase_start or 0) for spike in run.analysis.loss_spikes)
        for run in decayed(runs)
        if run.analysis.terminal_phase_start is not None
    ]
    return at_least(outcomes, LEAST_SHARE, "runs with weight decay", "spike after fitting", LEAST_RUNS)


CLAIM = Claim(
    title="With weight decay the instability of the loss stays.",
    figures="44-46",
    sweeps={"small": ("operations_weight_decay",), "paper": ("weight_decay",)},
    rule="80% or more of the runs with weight decay, of at least 6, have a spike of the training loss after the "
    "training set was fitted.",
    decide=decide,
    draws="weight_decay",
    core_hours=1.0,
)
