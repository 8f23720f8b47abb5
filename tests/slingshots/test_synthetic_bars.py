"""The composite detector on synthetic runs with known truth; ``benchmarks/detection.py`` measures it on many more."""

import pytest

from slingshot_analysis.evaluation import pool_scores, score_events
from slingshot_analysis.slingshots import detect_slingshots
from slingshot_analysis.synthetic import NEGATIVE_KINDS, negative_run, slingshot_run

STEPS = 100_000
SEEDS = range(40_000, 40_003)


def found(run, inputs):
    signals = {name: run.signals[name] for name in inputs}
    events = detect_slingshots(norm=run.signals["last_layer_norm"], **signals)
    return [event for event in events if event.confidence >= 0.5]


@pytest.mark.parametrize(("inputs", "margin", "least"), [((), 0.01, 0.95), (("batch_loss",), 0.001, 0.98)])
def test_transitions_and_onsets_are_found(inputs, margin, least):
    transitions, onsets = [], []
    for style in ("accelerating", "exponential"):
        for shape in ("staircase", "sawtooth", "inverse"):
            for seed in SEEDS:
                run = slingshot_run(seed, steps=STEPS, style=style, shape=shape, underflow=bool(seed % 2))
                events = found(run, inputs)
                transitions.append(score_events([e.transition for e in events], run.transitions, margin * STEPS))
                starts = [e.growth_start for e in events if e.growth_start is not None]
                onsets.append(score_events(starts, run.onsets, 0.01 * STEPS))
    assert pool_scores(transitions).f1 >= least
    assert pool_scores(onsets).f1 >= 0.88


@pytest.mark.parametrize("inputs", [(), ("batch_loss",)])
def test_runs_without_slingshots_have_hardly_an_event(inputs):
    runs = [negative_run(seed, kind, rows=rows) for rows in (2000, 20_000) for kind in NEGATIVE_KINDS for seed in SEEDS]
    assert sum(len(found(run, inputs)) for run in runs) <= 0.05 * len(runs)
