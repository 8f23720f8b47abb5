"""What is measured of a row depends neither on the rows that are computed with it, nor on a restart."""

import copy

import numpy as np
import pytest

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.recording import PROBES, Every


def record(path, training, updates, at=(), resume=None, finished=True):
    def settle(step, *_):
        if step in at:
            recorder.state_dict()

    data = {"train_data": training.data, "val_data": training.data}
    probes = [probe(every=Every(3)) for probe in PROBES.values()]
    recorder = Recorder(path, training.model, training.optimizer, probes=probes, resume=resume, **data)
    training.run(updates, recorder, settle)
    state = copy.deepcopy(recorder.state_dict())
    recorder.close(finished=finished)
    return state


def assert_identical(a, b):
    a, b = open_trace(a), open_trace(b)
    assert a.names == b.names
    for name in a.names:
        np.testing.assert_array_equal(a[name].step, b[name].step, err_msg=name)
        np.testing.assert_array_equal(a[name].value, b[name].value, err_msg=name)


def test_rows_settled_at_random_steps(tmp_path, loop):
    at = set(np.random.default_rng(0).choice(100, 25, replace=False))
    for name, steps in (("once.h5", ()), ("often.h5", at)):
        record(tmp_path / name, loop(batch_sizes=(8, 5)), 100, steps)
    assert_identical(tmp_path / "once.h5", tmp_path / "often.h5")


@pytest.mark.parametrize("stop", [30, 44])
def test_a_resumed_run(tmp_path, loop, stop):
    record(tmp_path / "whole.h5", loop(), 60)
    training = loop()
    state = record(tmp_path / "parts.h5", training, stop, finished=False)
    record(tmp_path / "parts.h5", training, 60 - stop, resume=state)
    assert_identical(tmp_path / "whole.h5", tmp_path / "parts.h5")
