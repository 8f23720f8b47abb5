"""Child processes that read files: one for each, or one for many."""

import os
import signal
import sys

import numpy as np
import pytest

from slingshot_analysis import InputError
from slingshot_analysis.readers import one_child
from slingshot_analysis.readers._gate import MOST_CALLS, isolated

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files are read in a child process on Linux only")


def process(path):
    return os.getpid()


def crash(path):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(path):
    raise ValueError("no such table")


def numbers(path):
    return np.arange(100_000), path


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.h5").touch()
    return tmp_path / "a.h5"


def test_each_file_has_its_own_child(path):
    assert len({isolated(path, process), isolated(path, process), os.getpid()}) == 3


def test_one_child_reads_many_files_and_ends_with_the_context(path):
    with one_child():
        found = {isolated(path, process) for _ in range(3)}
        values, _ = isolated(path, numbers)
        assert values[-1] == 99_999
    assert len(found) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(found.pop(), 0)


def test_a_generator_that_is_dropped_in_one_context_may_end_in_the_next(path):
    def read():
        with one_child():
            yield isolated(path, process)

    dropped = read()
    next(dropped)
    with one_child():
        first = isolated(path, process)
        dropped.close()
        assert isolated(path, process) == first
    assert isolated(path, process) != isolated(path, process)


def test_a_child_reads_no_more_than_so_many_files(path):
    with one_child():
        found = [isolated(path, process) for _ in range(MOST_CALLS + 1)]
    assert found[0] == found[-2] != found[-1]


@pytest.mark.parametrize(
    ("function", "message"), [(crash, r"a\.h5: is damaged"), (fail, r"a\.h5: is damaged.*no such table")]
)
def test_a_file_that_cannot_be_read_ends_the_child_and_the_next_gets_a_new_one(path, function, message):
    with one_child():
        first = isolated(path, process)
        with pytest.raises(InputError, match=message):
            isolated(path, function)
        assert isolated(path, process) != first
