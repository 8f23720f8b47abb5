"""Late in training a batch amplifies rounding otherwise than a run alone: what happens is compared over seeds."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import fisher_exact, mannwhitneyu

from slingshot_analysis import analyze
from trainers.batch import record_batch
from trainers.recorded_run import record
from trainers.setups import find_setup

SEEDS, STEPS = range(8), 30_000


def first_transitions(paths):
    analyses = [analyze(path) for path in paths]
    return [min((s.transition for s in analysis.slingshots), default=None) for analysis in analyses]


@pytest.mark.slow
def test_slingshots_come_as_often_and_as_early_as_alone(tmp_path):
    setups = [dataclasses.replace(find_setup("parity_3_50"), seed=seed, steps=STEPS) for seed in SEEDS]
    paths = [tmp_path / f"{setup.seed}.h5" for setup in setups]
    assert record_batch(setups, paths, probes="light", device="cpu") == ["finished"] * len(setups)
    together = first_transitions(paths)
    alone = first_transitions([record(s, tmp_path / "alone", probes="light", device="cpu") for s in setups])
    seen = [[step for step in steps if step is not None] for steps in (together, alone)]
    assert min(map(len, seen)) >= 4
    assert fisher_exact([[len(steps), len(SEEDS) - len(steps)] for steps in seen]).pvalue > 0.05
    assert mannwhitneyu(*seen).pvalue > 0.01
    assert 0.7 < np.median(seen[0]) / np.median(seen[1]) < 1.4
