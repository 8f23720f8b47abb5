"""Coarse logs of regular cycles, logs without slingshots, thinned and shifted logs, growth phases."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from slingshot_analysis import Signal, analyze, open_trace, segment_norm
from slingshot_analysis.slingshots import assemble
from slingshot_analysis.synthetic import HOSTILE_VERDICTS, CoarseShape, coarse_run, hostile_run

SEEDS = range(80_000, 80_008)
EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "data").glob("*.h5"))
GIVEN = {
    "everything": ("train_loss", "train_accuracy", "total_norm"),
    "without the norm": ("train_loss", "train_accuracy"),
    "without the accuracy": ("train_loss", "total_norm"),
}


def assembled(made, names):
    return assemble(**{("norm" if name == "total_norm" else name): made.signals[name] for name in names})


@pytest.mark.parametrize("names", GIVEN.values(), ids=GIVEN)
def test_coarse_cycles_are_found(names):
    found, true = 0, 0
    for shape in get_args(CoarseShape):
        for seed in SEEDS:
            made = coarse_run(seed, shape, digits=3 + seed % 2)
            result = assembled(made, names)
            stride = made.signals["train_loss"].step[1]
            steps = np.array([event.transition for event in result.slingshots if event.confidence >= 0.5])
            late = steps[:, None] - made.transitions[None, :]
            found += ((late >= -1.5 * stride) & (late <= 2.5 * stride)).any(axis=0).sum()
            true += len(made.transitions)
            assert result.verdict == "slingshots"
    assert found >= 0.98 * true


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE_VERDICTS if kind not in ("zero_chaos", "relaxation")])
def test_logs_without_slingshots(kind):
    results = [assembled(hostile_run(seed, kind), GIVEN["everything"]) for seed in SEEDS]
    right = [result.verdict in HOSTILE_VERDICTS[kind] for result in results]
    assert sum(right) >= len(right) - 1


def test_relaxation_cycles_are_no_divergence():
    results = [assembled(hostile_run(seed, "relaxation"), GIVEN["everything"]) for seed in SEEDS]
    assert all(result.verdict != "diverged" for result in results)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_third_row_gives_the_same_answer(path):
    trace = open_trace(path)
    names = ["last_layer_norm", "batch_loss", "batch_errors", "train_loss", "train_errors"]
    whole = analyze({name: trace[name] for name in names})
    thin = analyze({name: Signal(trace[name].step[::3], trace[name].value[::3], name) for name in names})
    assert abs(thin.terminal_phase_start - whole.terminal_phase_start) <= 20
    assert thin.verdict == whole.verdict
    before, after = ([event.transition for event in each.certain] for each in (whole, thin))
    assert len(before) == len(after)
    assert np.abs(np.subtract(before, after)).max() <= 20


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_growth_starts_are_starts_of_growth_phases(path):
    trace = open_trace(path)
    found = analyze(trace)
    norm = trace["last_layer_norm"]
    phases = segment_norm(norm.step, norm.value)
    assert [(p.kind, p.start, p.end) for p in found.phases] == [(p.kind, p.start, p.end) for p in phases]
    growths = {phase.start for phase in phases if phase.kind == "growth"}
    assert {event.growth_start for event in found.slingshots} <= growths | {None}
    assert sum(event.growth_start is None for event in found.slingshots) <= 2
    assert sum(phase.end - phase.start < 100 for phase in phases if phase.kind == "growth") < len(growths) / 2


def test_shifting_the_steps_changes_nothing():
    trace = open_trace(EXAMPLES[-1])
    names = ["last_layer_norm", "batch_loss", "batch_errors", "train_errors", "val_accuracy"]
    signals = {name: (trace[name].step, trace[name].value) for name in names}
    here = analyze(signals)
    there = analyze({name: (step + 1_000_000, value) for name, (step, value) in signals.items()})
    assert [event.transition + 1_000_000 for event in here.certain] == [event.transition for event in there.certain]
    assert here.grokking_step + 1_000_000 == there.grokking_step
    assert [fit.excess for fit in here.norm_growth] == pytest.approx([fit.excess for fit in there.norm_growth])


def test_a_log_that_counts_epochs_can_grok():
    epoch = np.arange(0, 301, 1.0)
    found = analyze(
        {
            "train_loss": (epoch, 4 * np.exp(-epoch)),
            "train_accuracy": (epoch, np.where(epoch < 3, 0.5, 1.0)),
            "val_accuracy": (epoch, np.where(epoch < 200, 0.1, 0.99)),
        }
    )
    assert found.grokking_step == 200
