"""The recorded runs in examples/data: small, whole, and with the slingshots that docs/experiments.md tells of."""

import json
from pathlib import Path

import numpy as np
import pytest

from slingshot_analysis import analyze, evaluate, open_trace

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "data"
TRANSITIONS = {
    "cifar10_deep_linear_200": (31, 616, 19_682),
    "cifar10_fcn6_200": (20, 630, 12_273),
    "hypercube": (6, 606, 22_863),
}
"""Number of slingshots in the whole trace, first and last transition."""


def test_they_are_small():
    assert sorted(path.stem for path in FOLDER.glob("*.h5")) == sorted(TRANSITIONS)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2 * 2**20


@pytest.mark.parametrize("name", TRANSITIONS)
def test_they_tell_where_they_come_from(name):
    trace = open_trace(FOLDER / f"{name}.h5")
    assert trace.finished
    assert trace.attributes["setup"] == name
    assert trace.attributes["command"].startswith(f"slingshot record --setup {name}")
    assert trace.attributes["seed"] == trace.config["seed"] == 0
    assert json.loads(trace.attributes["libraries"])["torch"]
    assert "rows on either side" in trace.attributes["thinned"]
    assert len(np.unique(np.diff(trace["batch_loss"].step))) > 1


@pytest.mark.parametrize("name", TRANSITIONS)
def test_the_slingshots_of_the_whole_trace_are_found(name):
    count, first, last = TRANSITIONS[name]
    found = analyze(FOLDER / f"{name}.h5")
    transitions = [event.transition for event in found.slingshots if event.confidence >= 0.5]
    assert found.verdict == "slingshots"
    assert (len(transitions), transitions[0], transitions[-1]) == (count, first, last)


def test_the_detector_against_misclassified_samples():
    traces = [open_trace(path) for path in sorted(FOLDER.glob("*.h5"))]
    score = evaluate(traces, "misclassification", margin=400).pooled
    assert score.f1 > 0.97
