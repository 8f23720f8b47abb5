"""More evidence never hurts: a further signal removes no event, and turns "slingshots" into nothing but "spikes"."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from outside import outside

from slingshot_analysis import open_trace, read_log
from slingshot_analysis.analysis.signals import choose_signals, chosen_norm
from slingshot_analysis.slingshots import assemble
from slingshot_analysis.synthetic import coarse_run, hostile_run, slingshot_run

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"
SIGNALS = ("train_loss", "batch_loss", "train_errors", "batch_errors", "train_accuracy")
STRANGERS = (
    "periodic_alternating_heights.csv",
    "periodic_total_norm.csv",
    "two_losses_one_sparse.csv",
    "sparse_loss_vetoes_batch_spike.csv",
    "two_cadences_step_in_one_gap.csv",
    "slow_rise_spike.csv",
    "slow_hump.csv",
    "weight_decay_chaos.csv",
    "relaxation_cycles.csv",
    "nan_inf.jsonl",
)


EXCEPTIONS = {19_921, 59_500}
"""Transitions of single logs: one that evaluations of a sparse loss show and the loss of batches, three times as dense,
contradicts; and a spike that joins the burst before it, because the accuracy shows that samples stay misclassified."""


def signals_of(run):
    used = choose_signals(run)
    signals = {name: used[name] for name in SIGNALS if name in used}
    norm = chosen_norm(used)
    return signals if norm is None else signals | {"norm": norm}


def certain(events):
    return [event for event in events if event.confidence >= 0.5]


def assert_more_never_hurts(signals, last=np.inf):
    """Compare each set of signals with each that has one signal more, as far as the log is judged."""
    found = {}
    for count in range(1, len(signals) + 1):
        for names in combinations(sorted(signals), count):
            found[names] = assemble(**{name: signals[name] for name in names})
    for more, with_more in found.items():
        for left_out in more:
            less = tuple(name for name in more if name != left_out)
            if less:
                assert_nothing_lost(found[less], with_more, less, more, signals, last)


def assert_nothing_lost(before, after, less, more, signals, last):
    strides = [float(np.median(np.diff(signals[name].step))) for name in more if len(signals[name]) > 1]
    kept = [
        (min(event.interval[0], event.transition), event.transition)
        for event in certain(after.slingshots + after.spikes_without_norm_growth)
    ]
    if after.verdict in ("unstable", "diverged"):  # a further loss may show that a run never rests or never comes back
        return
    for event in certain(before.slingshots + before.spikes_without_norm_growth):
        refuted = event.tier == "norm_only"  # by a dense loss without a spike
        if refuted or event.transition in EXCEPTIONS or event.transition > last:
            continue
        near = 2 * max(*strides, event.transition - event.interval[0])
        low, high = event.interval[0] - near, event.transition + near
        assert any(start <= high and end >= low for start, end in kept), (less, more, event, kept)
    if before.verdict == "slingshots":
        assert after.verdict == "slingshots" or (after.verdict == "spikes" and "norm" in more), (
            less,
            more,
            after.verdict,
        )


@pytest.mark.parametrize("name", STRANGERS)
def test_small_logs(name):
    assert_more_never_hurts(signals_of(read_log(outside(f"strangers/{name}"))[0]))


def test_logs_of_others():
    labels = json.loads(outside("logs/LABELS.json").read_text())
    for name, label in labels.items():
        if "kind" in label:
            last = label.get("labelled_up_to_step") or np.inf
            assert_more_never_hurts(signals_of(read_log(outside(f"logs/{name}"))[0]), last)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.h5")), ids=lambda path: path.stem)
def test_recorded_examples(path):
    assert_more_never_hurts(signals_of(open_trace(path)))


@pytest.mark.parametrize("seed", range(70_000, 70_004))
def test_synthetic_runs(seed):
    for made in (
        slingshot_run(seed, rows=2000),
        coarse_run(seed, "sawtooth"),
        coarse_run(seed, "staircase", digits=3),
        hostile_run(seed, "spikes"),
        hostile_run(seed, "relaxation"),
    ):
        assert_more_never_hurts(signals_of(made.signals))
