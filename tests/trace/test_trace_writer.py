import os
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slingshot_analysis.errors import InputError
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Group, Quantity, TraceWriter, open_trace
from slingshot_analysis.trace.schema import CHUNK_ROWS

GROUP = Group("every_1", [Quantity("batch_loss"), Quantity("feature_change", axes=[Axis("layer", ["a", "b"])])])


def test_what_was_written_is_read_back(run, rows):
    trace = open_trace(run)
    for name in ("batch_loss", "batch_errors", "parameter_norm"):
        np.testing.assert_array_equal(trace[name].step, rows["step"])
        np.testing.assert_array_equal(trace[name].value, rows[name])
    assert trace["batch_errors"].value.dtype == np.int64
    assert trace["val_accuracy"].value.dtype == np.float32
    np.testing.assert_array_equal(trace["val_accuracy"].step, np.arange(0, 1300, 10))


def test_plain_h5py_reads_a_closed_file(run, rows):
    with h5py.File(run, "r") as file:
        np.testing.assert_array_equal(file["every_1/parameter_norm"][:], rows["parameter_norm"])
        assert file["every_1/batch_loss"].compression == "gzip"
        assert file.attrs["finished"] == 1


@settings(max_examples=40, deadline=None)
@given(blocks=st.lists(st.one_of(st.none(), st.integers(0, 1200)), max_size=8), flushes=st.sets(st.integers(0, 7)))
def test_any_split_into_appends_reads_back_the_same(tmp_path_factory, blocks, flushes):
    path = tmp_path_factory.mktemp("split") / "run.h5"
    done = 0
    with TraceWriter(path, [GROUP]) as writer:
        for number, size in enumerate(blocks):
            if size is None:
                writer.append("every_1", step=3 * done, batch_loss=done / 3, feature_change=[done, -done])
                done += 1
            else:
                rows = np.arange(done, done + size)
                values = {"batch_loss": rows / 3, "feature_change": np.column_stack([rows, -rows])}
                writer.append("every_1", step=3 * rows, **values)
                done += size
            if number in flushes:
                writer.flush()
                assert len(open_trace(path)["batch_loss"]) == done
    rows = np.arange(done)
    trace = open_trace(path)
    np.testing.assert_array_equal(trace["batch_loss"].step, 3 * rows)
    np.testing.assert_array_equal(trace["batch_loss"].value, rows / 3)
    np.testing.assert_array_equal(trace["feature_change"].value, np.column_stack([rows, -rows]))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"step": 4, "batch_loss": 1.0, "feature_change": [1, 2]}, "step: got 4; expected .* larger than 4"),
        ({"step": 5, "batch_loss": 1.0}, "no value for quantity 'feature_change'"),
        ({"step": 5, "batch_los": 1.0, "feature_change": [1, 2]}, "'batch_los'; did you mean 'batch_loss'"),
        ({"step": 5, "batch_loss": [1.0], "feature_change": [1, 2]}, r"'batch_loss': got .* \(1,\); .* shape \(\)"),
        (
            {"step": 5, "batch_loss": 1.0, "feature_change": 1.0},
            r"'feature_change': .* expected .* shape \(2,\)",
        ),
        ({"step": 5, "batch_loss": "1.0", "feature_change": [1, 2]}, "'batch_loss': got <U3"),
        ({"step": 5, "batch_loss": None, "feature_change": [1, 2]}, "'batch_loss': got object"),
        ({"step": 5, "batch_loss": 1.0, "feature_change": [[1], [2, 3]]}, "'feature_change': got list"),
        ({"step": 5.0, "batch_loss": 1.0, "feature_change": [1, 2]}, "step: got float64 .* expected an integer"),
        ({"step": [5, 5], "batch_loss": [1, 2], "feature_change": [[1, 2]] * 2}, "step: got 5, 5; expected increasing"),
        ({"step": [3, 5], "batch_loss": [1, 2], "feature_change": [[1, 2]] * 2}, "larger than 4"),
        ({"step": [5, 6], "batch_loss": [1], "feature_change": [[1, 2]] * 2}, r"'batch_loss': .* expected .* \(2,\)"),
        ({"step": [5, 6], "batch_loss": [1, 2], "feature_change": [1, 2]}, r"'feature_change': .* shape \(2, 2\)"),
        ({"step": [5, 6], "batch_loss": [1, 2]}, "no value for quantity 'feature_change'"),
        ({"step": [5], "norm": [1], "batch_loss": [1], "feature_change": [[1, 2]]}, "unknown quantity 'norm'"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_not_kept(tmp_path, row, words):
    path = tmp_path / "run.h5"
    with TraceWriter(path, [GROUP]) as writer:
        writer.append("every_1", step=4, batch_loss=1.0, feature_change=[1, 2])
        with pytest.raises(InputError, match=f"group 'every_1'.*{words}"):
            writer.append("every_1", **row)
        writer.append("every_1", step=7, batch_loss=2.0, feature_change=[3, 4])
    trace = open_trace(path)
    assert trace["batch_loss"].step.tolist() == [4, 7]
    assert trace["feature_change"].value.tolist() == [[1, 2], [3, 4]]


def test_floats_are_not_cut_to_integers_and_steps_begin_at_zero(tmp_path):
    with TraceWriter(tmp_path / "run.h5", [Group("every_1", [Quantity("batch_errors", dtype="int64")])]) as writer:
        with pytest.raises(InputError, match=r"'batch_errors': got float64 .* expected int64"):
            writer.append("every_1", step=0, batch_errors=0.5)
        with pytest.raises(InputError, match=r"step: got -1; .* not negative"):
            writer.append("every_1", step=-1, batch_errors=0)


def test_unknown_group_and_closed_writer(tmp_path):
    path = tmp_path / "run.h5"
    with TraceWriter(path, [GROUP]) as writer, pytest.raises(InputError, match=r"unknown group 'every'; .*'every_1'"):
        writer.append("every", step=0)
    writer.close()
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: is closed"):
        writer.append("every_1", step=0, batch_loss=0.0, feature_change=[1, 2])


def test_an_existing_file_stays_as_it_is(run, groups):
    before = run.read_bytes()
    with pytest.raises(InputError, match=r"run.h5: exists; replace it with overwrite=True"):
        TraceWriter(run, groups)
    with pytest.raises(InputError, match="attribute 'config'"):
        TraceWriter(run, groups, {"config": object()}, overwrite=True)
    assert run.read_bytes() == before
    assert [path.name for path in run.parent.iterdir()] == ["run.h5"]
    with TraceWriter(run, groups, overwrite=True):
        pass
    assert open_trace(run).steps is None


def test_folders_are_made_and_unusable_places_named(tmp_path):
    with TraceWriter(tmp_path / "a" / "b" / "run.h5", [GROUP]):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/run.h5: can't be written|file/run.h5: exists"):
        TraceWriter(tmp_path / "file" / "run.h5", [GROUP])
    with pytest.raises(InputError, match="is a folder"):
        TraceWriter(tmp_path / "a", [GROUP], overwrite=True)


def test_an_exception_keeps_the_rows_and_leaves_finished_at_zero(tmp_path):
    path = tmp_path / "run.h5"

    def diverge():
        with TraceWriter(path, [GROUP]) as writer:
            writer.append("every_1", step=0, batch_loss=1.0, feature_change=[1, 2])
            raise KeyError("diverged")

    with pytest.raises(KeyError, match="diverged"):
        diverge()
    with h5py.File(path, "r") as file:
        assert file.attrs["finished"] == 0
        assert file["every_1/batch_loss"][:].tolist() == [1.0]


def test_a_file_moved_while_written_is_told(tmp_path):
    writer = TraceWriter(tmp_path / "run.h5", [GROUP])
    (tmp_path / "run.h5").rename(tmp_path / "other.h5")
    with pytest.raises(InputError, match=r"run.h5: was moved or replaced"):
        writer.close()
    assert not open_trace(tmp_path / "other.h5").finished


def test_one_row_flushes_do_not_swell_the_file(tmp_path):
    path = tmp_path / "run.h5"
    names = [f"q{number}" for number in range(5)]
    noise = np.random.default_rng(0).normal(size=(1500, 5))
    with TraceWriter(path, [Group("every_1", [Quantity(name) for name in names])]) as writer:
        for step, row in enumerate(noise):
            writer.append("every_1", step=step, **dict(zip(names, row.tolist(), strict=True)))
            writer.flush()
    raw = CHUNK_ROWS * 6 * 8
    assert path.stat().st_size < 2 * raw + 40_000


def test_rows_are_flushed_after_two_seconds(tmp_path, monkeypatch):
    now = 100.0
    monkeypatch.setattr("slingshot_analysis.trace.writer.time.monotonic", lambda: now)
    path = tmp_path / "run.h5"
    with TraceWriter(path, [Group("every_1", [Quantity("batch_loss")])]) as writer:
        writer.append("every_1", step=0, batch_loss=1.0)
        with h5py.File(path, "r", locking=False) as file:
            assert len(file["every_1/step"]) == 0
        now = 102.1
        writer.append("every_1", step=1, batch_loss=1.0)
        with h5py.File(path, "r", locking=False) as file:
            assert len(file["every_1/step"]) == 2
        now = 104.0
        writer.append("every_1", step=2, batch_loss=1.0)  # the last flush was at 102.1
        with h5py.File(path, "r", locking=False) as file:
            assert len(file["every_1/step"]) == 2


def test_everything_but_rows_exists_before_swmr_starts(tmp_path, groups, rows):
    def contents(path):
        found = {}
        with h5py.File(path, "r", locking=False) as file:
            nodes = {"/": file}
            file.visititems(lambda name, node: nodes.update({name: node}))
            for name, node in nodes.items():
                found[name] = {key: str(node.attrs[key]) for key in node.attrs if key not in ("finished", *REFERENCES)}
        return found

    REFERENCES = ("DIMENSION_LIST", "REFERENCE_LIST")
    writer = TraceWriter(tmp_path / "run.h5", groups, {"setup": "quadratic"})
    before = contents(tmp_path / "run.h5")
    writer.append("every_1", **rows)
    writer.close()
    assert contents(tmp_path / "run.h5") == before
    assert {"axes/parameter", "every_1/step", "every_1/parameter_norm", "every_10/val_accuracy"} <= before.keys()


FULL_DISK = """
import os, resource, sys
import numpy as np
from slingshot_analysis.errors import InputError
from slingshot_analysis.trace import Group, Quantity, TraceWriter


def truncate(path, size, real=os.truncate):  # a full disk still lets a file grow by a hole, a limit does not
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    real(path, size)


os.truncate = truncate
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    with TraceWriter(sys.argv[1], [Group("every_1", [Quantity("batch_loss")])]) as writer:
        for start in range(0, 100_000, 512):
            writer.append("every_1", step=np.arange(start, start + 512), batch_loss=np.random.normal(size=512))
except InputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a file size limit")
def test_a_full_disk_is_told_and_keeps_what_was_written(tmp_path):
    for size in (2_000, 100_000):
        path = tmp_path / f"run{size}.h5"
        command = [sys.executable, "-c", FULL_DISK, str(path), str(size)]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        assert told.startswith(f"{path}: can't be written (File too large)")
    assert not (tmp_path / "run2000.h5").exists()
    assert len(open_trace(path)["batch_loss"]) >= 512


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", lambda: 1)() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"run.h5: can't be written \(.*Permission denied"):
        TraceWriter(tmp_path / "run.h5", [GROUP])


def test_writer_needs_no_torch():
    code = "import sys; from slingshot_analysis.trace import TraceWriter; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "False"


def fails(*_):
    raise OSError("errno = 28, error message = 'No space left on device'")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_trace_that_can_not_be_made_leaves_the_folder_as_it_was(tmp_path, groups, monkeypatch, overwrite):
    path = tmp_path / "run.h5"
    if overwrite:
        TraceWriter(path, groups, {"seed": 1}).close()
    monkeypatch.setattr("slingshot_analysis.trace._header._write_header", fails)
    with pytest.raises(InputError, match=r"can't be written \(No space left on device\)"):
        TraceWriter(path, groups, overwrite=overwrite)
    assert list(tmp_path.iterdir()) == [path] * overwrite
    assert not overwrite or open_trace(path).attributes["seed"] == 1


def test_after_a_failed_write_the_writer_is_closed(tmp_path, monkeypatch):
    writer = TraceWriter(tmp_path / "run.h5", [Group("every_1", [Quantity("batch_loss")])])
    writer.append("every_1", step=0, batch_loss=0.7)
    writer.flush()
    monkeypatch.setattr("slingshot_analysis.trace._block.Rows.write_quantities", fails)
    writer.append("every_1", step=1, batch_loss=0.6)
    with pytest.raises(InputError, match="No space left on device"):
        writer.flush()
    with pytest.raises(InputError, match="is closed"):
        writer.append("every_1", step=2, batch_loss=0.5)
    writer.close()
    trace = open_trace(tmp_path / "run.h5")
    assert (trace["batch_loss"].value.tolist(), trace.finished) == ([0.7], False)
