"""Corrections by hand: kept beside the run, and heeded."""

import json

import numpy as np
import pytest

from slingshot_analysis import InputError, Signal, analyze
from slingshot_analysis.labels import Labels, labels_path, read_labels, write_labels
from slingshot_analysis.readers import read_log


@pytest.fixture
def run(tmp_path):
    step = np.arange(0, 20_000, 20)
    loss = np.exp(-step / 400) + 1e-9
    loss[step >= 9000] += np.exp(-(step[step >= 9000] - 9000) / 200)
    file = tmp_path / "run.csv"
    file.write_text("step,train_loss\n" + "".join(f"{s},{v}\n" for s, v in zip(step, loss, strict=True)))
    return read_log(file)[0]


def test_labels_survive_the_file_and_leave_other_runs_alone(run):
    labels_path(run).write_text(
        json.dumps({"format": "slingshot-labels", "version": 1, "runs": {"other": {"add": [7], "remove": []}}})
    )
    write_labels(run, Labels((18280,), (9000,)))
    assert read_labels(run) == Labels((18280,), (9000,))
    assert json.loads(labels_path(run).read_text())["runs"]["other"] == {"add": [7], "remove": []}


def test_analysis_heeds_them(run):
    assert [s.transition for s in analyze(run).slingshots] == [9000]
    write_labels(run, Labels(added=(15_000,), removed=(9040,)))
    found = analyze(run)
    assert [(s.transition, s.confidence) for s in found.slingshots] == [(15_000, 1.0)]
    assert found.verdict == "slingshots"
    assert any("labels by hand" in note for note in found.notes)
    assert [s.transition for s in analyze(run, labels=Labels()).slingshots] == [9000]


def test_an_added_label_near_a_found_event_makes_it_sure(run):
    found = analyze(run, labels=Labels(added=(9100,))).slingshots
    assert [(s.transition, s.confidence) for s in found] == [(9000, 1.0)]


@pytest.mark.parametrize("text", ["[", "{}", '{"format": "slingshot-labels", "version": 99, "runs": {}}', "[1]"])
def test_a_damaged_file_is_named_and_left_alone(run, text):
    labels_path(run).write_text(text)
    with pytest.raises(InputError, match=r"run\.csv\.labels\.json"):
        analyze(run)
    with pytest.raises(InputError, match=r"run\.csv\.labels\.json"):
        write_labels(run, Labels((1,)))
    assert labels_path(run).read_text() == text


def test_signals_from_no_file_have_no_labels():
    signals = {"train_loss": Signal([0, 1, 2], [3.0, 2.0, 1.0])}
    assert analyze(signals).slingshots == ()
