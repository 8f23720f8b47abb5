import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import write_staircase

from slingshot_analysis import InputError, read_log
from slingshot_analysis.watching import GrowingCurve, Watcher

pytestmark = pytest.mark.usefixtures("without_pauses")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_a_curve_loses_no_extreme(lengths, seed):
    rng = np.random.default_rng(seed)
    curve, buckets = GrowingCurve(buckets=16), 16
    step = np.cumsum(rng.integers(1, 5, sum(lengths)))
    value = rng.normal(size=len(step))
    for part in np.split(np.arange(len(step)), np.cumsum(lengths)[:-1]):
        curve.extend(step[part], value[part])
    assert len(curve.steps) <= buckets
    assert (curve.low.min(), curve.high.max()) == (value.min(), value.max())
    bucket = np.searchsorted(curve.steps, step, side="right") - 1
    assert all(curve.low[at] == value[bucket == at].min() for at in range(len(curve.steps)))
    assert curve.last == value[-1]


def test_a_curve_passes_over_what_is_not_finite():
    curve = GrowingCurve()
    curve.extend(np.arange(4), np.array([1.0, np.inf, np.nan, 3.0]))
    assert curve.steps.tolist() == [0, 3]


def test_a_growing_log(growing_log):
    path, grow = growing_log
    grow(5_900)
    watcher = Watcher(path, read_log)
    assert watcher.look() == []
    (state,) = watcher.states
    assert (state.step, state.slingshots, state.norm_name, state.loss_name) == (5_890, (), "total_norm", "train_loss")
    assert state.phase.startswith("growth since 5,0")
    grow(6_020)
    events = {event.kind: event for event in watcher.look()}
    assert "ended" not in events
    assert (events["transition"].step, events["transition"].seen) == (6_000, 6_010)
    assert events["transition"].run == "run"
    grow(10_000)
    events |= {event.kind: event for event in watcher.look()}
    assert events["slingshot"].step == events["spike"].step == 6_000
    (state,) = watcher.states
    assert (state.step, state.slingshots, state.transitions, state.ended) == (9_990, (6_000,), (), "")
    assert state.pace > 0
    assert not watcher.ended
    os.utime(path, (0, 0))  # nothing was written for decades
    assert [event.kind for event in watcher.look()] == ["ended"]
    assert watcher.ended


def test_what_happened_before_is_no_event(growing_log):
    path, grow = growing_log
    grow(10_000)
    watcher = Watcher(path, read_log)
    assert watcher.look() == watcher.look() == []
    assert watcher.states[0].slingshots == (6_000,)


def test_a_trace_is_read_while_another_process_writes_it(tmp_path):
    path = tmp_path / "run.h5"
    command = [sys.executable, str(Path(__file__).with_name("writing_process.py")), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def grow(end):
            print(end, file=process.stdin, flush=True)
            process.stdout.readline()

        grow(5_900)
        watcher = Watcher(tmp_path, read_log)
        watcher.look()
        (state,) = watcher.states
        assert (state.step, state.steps, state.ended) == (5_899, 10_000, "")
        grow(6_010)
        assert ("transition", 6_000) in [(event.kind, event.step) for event in watcher.look()]
        assert watcher.states[0].seconds_left > 0
        grow(10_000)
        assert "slingshot" in [event.kind for event in watcher.look()]
        process.stdin.close()
        process.wait()
    assert [event.kind for event in watcher.look()] == ["ended"]
    assert watcher.states[0].ended == "finished"
    assert not watcher.ended  # another run of the folder may be about to start
    os.utime(path, (0, 0))
    watcher.look()
    assert watcher.ended


def test_a_folder_gets_more_runs(tmp_path):
    write_staircase(tmp_path / "a.h5")
    watcher = Watcher(tmp_path, read_log)
    watcher.look()
    write_staircase(tmp_path / "b.h5", None)
    (tmp_path / "notes.json").write_text("{")
    watcher.look()
    assert {state.run: state.slingshots for state in watcher.states} == {"a": (6_000,), "b": ()}


def test_a_trace_that_is_replaced_begins_anew(tmp_path):
    watched = write_staircase(tmp_path / "a.h5")
    watcher = Watcher(watched, read_log)
    watcher.look()
    write_staircase(tmp_path / "new.h5", None, steps=4_000).replace(watched)
    watcher.look()
    assert [(state.step, state.slingshots) for state in watcher.states] == [(3_990, ())]


def test_a_file_that_is_missing_damaged_or_empty(tmp_path):
    with pytest.raises(InputError, match=r"missing\.csv: no such file or folder; start the run first"):
        Watcher(tmp_path / "missing.csv", read_log)
    damaged, empty = tmp_path / "damaged.csv", tmp_path / "empty.csv"
    damaged.write_bytes(b"\x80\x04\x95")
    with pytest.raises(InputError, match="pickle"):
        Watcher(damaged, read_log).look()
    empty.write_text("")
    watcher = Watcher(empty, read_log)
    assert (watcher.look(), watcher.states, watcher.ended) == ([], [], False)
    empty.unlink()
    with pytest.raises(InputError, match="can't be read any more"):
        watcher.look()
