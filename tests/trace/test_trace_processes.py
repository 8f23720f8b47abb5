import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from writing_process import GROUPS

from slingshot_analysis.errors import InputError
from slingshot_analysis.trace import TraceWriter, continue_trace, open_trace


def start(path, seed, end):
    command = [sys.executable, str(Path(__file__).parent / "writing_process.py"), str(path), str(seed), str(end)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def check_rows(trace):
    """Check that the rows are a prefix of what is written, and return the fewest rows of any quantity."""
    signals = {name: trace[name] for name in trace}
    loss, norm, val = signals["batch_loss"], signals["parameter_norm"], signals["val_loss"]
    np.testing.assert_array_equal(loss.step, np.arange(len(loss)))
    np.testing.assert_array_equal(loss.value, loss.step / 2)
    np.testing.assert_array_equal(norm.value, np.column_stack([norm.step, -norm.step]))
    np.testing.assert_array_equal(val.step, 3 * np.arange(len(val)))
    np.testing.assert_array_equal(val.value, np.arange(len(val)) / 4)
    return min(len(signal) for signal in signals.values())


def test_a_growing_file_is_read_from_another_process(tmp_path):
    path = tmp_path / "run.h5"
    with start(path, 0, 400_000) as process:
        process.stdout.readline()
        trace = open_trace(path)
        seen = [0]
        while process.poll() is None:
            seen.append(check_rows(trace))
        process.stdout.read()
    assert process.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    assert trace.finished
    assert check_rows(trace) >= 400_000


def test_a_trace_that_another_process_writes_can_be_neither_replaced_nor_continued(tmp_path):
    path = tmp_path / "run.h5"
    with start(path, 0, 10**9) as process:
        process.stdout.readline()
        message = rf"run.h5: another process \({process.pid}\) is recording it; wait for its end, stop it"
        with pytest.raises(InputError, match=message):
            TraceWriter(path, GROUPS, overwrite=True)
        with pytest.raises(InputError, match=message):
            continue_trace(path, GROUPS, step=0)
        process.kill()
    TraceWriter(path, GROUPS, overwrite=True).close()  # a killed process holds nothing
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("seed", range(8))
def test_sigkill_loses_nothing_that_was_flushed(tmp_path, seed):
    path = tmp_path / "run.h5"
    with start(path, seed, 10**9) as process:
        flushed = process.stdout.readline()
        time.sleep(random.Random(seed).uniform(0, 0.15))
        process.kill()
        flushed = (process.stdout.read().rsplit("\n", 2)[-2:-1] or [flushed])[0] or flushed
    trace = open_trace(path)
    assert not trace.finished
    assert "unfinished" in repr(trace)
    assert check_rows(trace) >= int(flushed)


def test_sigkill_at_the_start_leaves_nothing_an_empty_trace_or_a_clear_error(tmp_path):
    runs = [tmp_path / f"run{number}.h5" for number in range(6)]
    for number, path in enumerate(runs):
        with start(path, number, 10**9) as process:
            while not path.exists():
                time.sleep(0.0005)
            time.sleep(0.001 * number)
            process.kill()
            process.stdout.read()
        try:
            check_rows(open_trace(path))
        except InputError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert "is empty: its writer was killed before it began" in str(error)  # noqa: PT017
