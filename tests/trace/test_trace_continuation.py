"""Traces that go on after a kill."""

import json

import pytest

from slingshot_analysis.errors import InputError
from slingshot_analysis.trace import Group, Quantity, TraceWriter, open_trace
from slingshot_analysis.trace.continuation import continue_trace

GROUPS = [Group("every_1", [Quantity("batch_loss", "nat")]), Group("every_10", [Quantity("val_accuracy", "fraction")])]


@pytest.fixture
def killed(tmp_path):
    """A run that was killed after step 20."""
    writer = TraceWriter(tmp_path / "run.h5", GROUPS, {"seed": 3, "device": "cpu", "command": "train"})
    writer.append("every_1", step=range(21), batch_loss=[1.0] * 21)
    writer.append("every_10", step=[0, 10, 20], val_accuracy=[0.0, 0.1, 0.2])
    writer.close(finished=False)
    return tmp_path / "run.h5"


def test_rows_from_the_step_on_are_measured_anew(killed):
    with continue_trace(killed, GROUPS, step=10) as writer:
        writer.append("every_1", step=[10, 11], batch_loss=[2.0, 2.0])
        writer.append("every_10", step=10, val_accuracy=0.5)
    trace = open_trace(killed)
    assert trace.finished
    assert trace["batch_loss"].step.tolist() == list(range(12))
    assert trace["batch_loss"].value.tolist() == [1.0] * 10 + [2.0] * 2
    assert (trace["val_accuracy"].step.tolist(), trace["val_accuracy"].value.tolist()) == ([0, 10], [0.0, 0.5])


def test_old_attributes_are_kept_and_each_continuation_says_what_has_changed(killed):
    again = {"seed": 3, "device": "cuda", "workers": 2, "config": {"lr": 1}, "command": "train --resume"}
    continue_trace(killed, GROUPS, 10, again).close(finished=False)
    continue_trace(killed, GROUPS, 15).close()
    trace = open_trace(killed)
    assert {name: trace.attributes[name] for name in ("seed", "device", "command")} == {
        "seed": 3,
        "device": "cpu",
        "command": "train",
    }
    first, second = (
        {name: value for name, value in one.items() if name != "time"}
        for one in json.loads(trace.attributes["resumed"])
    )
    assert first == {"step": 10, "device": "cuda", "workers": 2}
    assert second == {"step": 15}


def test_other_quantities_are_refused_and_a_finished_trace_goes_on(killed):
    with pytest.raises(InputError, match="differ in val_accuracy"):
        continue_trace(killed, GROUPS[:1], 10)
    TraceWriter(killed, GROUPS, overwrite=True).close()
    continue_trace(killed, GROUPS, 10).close(finished=False)
    assert not open_trace(killed).finished
