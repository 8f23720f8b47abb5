"""Corrections by hand: kept beside the run, and heeded."""

import json

import numpy as np
import pytest

from slingshot_analysis import InputError, Signal, analyze
from slingshot_analysis.labels import Labels, SpikeLabel, labels_path, read_labels, write_labels
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


def test_labels_of_all_kinds_survive_the_file(run):
    labels = Labels((1,), (), (SpikeLabel(5, "not finite"), SpikeLabel(7)), (9,), (11,), (13,))
    write_labels(run, labels)
    assert read_labels(run) == labels


def test_labels_of_the_first_version_are_read(run):
    text = '{"format": "slingshot-labels", "version": 1, "runs": {"run": {"add": [7], "remove": [9]}}}'
    labels_path(run).write_text(text)
    assert read_labels(run) == Labels((7,), (9,))


@pytest.mark.parametrize("spike", ["7", '{"step": 7, "outcome": "gone"}'])
def test_damaged_labels_of_spikes_are_an_error(run, spike):
    own = '{"loss_spikes": {"add": [' + spike + "]}}"
    labels_path(run).write_text('{"format": "slingshot-labels", "version": 2, "runs": {"run": ' + own + "}}")
    with pytest.raises(InputError, match=r"run\.csv\.labels\.json: (is not a file of labels|unknown outcome 'gone')"):
        read_labels(run)


@pytest.mark.parametrize("where", ["peak", "within", "far"])
def test_a_label_of_a_spike_applies_from_its_rise_to_its_peak(where):
    step = np.arange(6000)
    loss = 2.5 + np.random.default_rng(0).normal(0, 0.01, 6000)
    loss[3000:3200] += np.interp(np.arange(200), [0, 50, 200], [0.5, 1.5, 0])
    signals = {"train_loss": Signal(step, loss)}
    (spike,) = analyze(signals).loss_spikes
    assert spike.peak > spike.start + 30
    at = {"peak": spike.peak + 9, "within": (spike.start + spike.peak) // 2, "far": spike.peak + 90}[where]
    found = analyze(signals, labels=Labels(removed_spikes=(at,))).loss_spikes
    assert found == ((spike,) if where == "far" else ())


def test_a_loss_spike_that_is_removed_is_no_slingshot():
    step = np.arange(10_000)
    norm = np.exp(np.interp(step, [0, 500, 5000, 6000, 10_000], [0, 1, 1.01, 1.5, 1.51]))
    loss = np.exp(-step / 300)
    loss[6000:] += np.exp(-(step[6000:] - 6000) / 200)
    signals = {"last_layer_norm": Signal(step, norm), "train_loss": Signal(step, loss)}
    assert analyze(signals).verdict == "slingshots"
    found = analyze(signals, labels=Labels(removed_spikes=(6000,)))
    assert (found.verdict, found.loss_spikes, found.slingshots) == ("none", (), ())
    assert analyze(signals, labels=Labels(removed_spikes=(9000,))).verdict == "slingshots"


def test_an_added_climb_lasts_as_long_as_the_accuracy_rises():
    step = np.arange(0, 10_000, 100)
    accuracy = np.interp(step, [4000, 4500], [0.3, 0.302])
    labels = Labels(added_climbs=(4050,))
    signals = {"train_loss": Signal(step, np.full(100, 2.0)), "val_accuracy": Signal(step, accuracy)}
    assert analyze(signals).accuracy_climbs == ()
    (climb,) = analyze(signals, labels=labels).accuracy_climbs
    assert (climb.onset, climb.end, climb.before, climb.after) == (4000, 4500, 0.3, 0.302)


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
