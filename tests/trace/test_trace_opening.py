"""Opening a file that its writer, or another process, has in its hands."""

import h5py
import pytest

from slingshot_analysis.errors import InputError
from slingshot_analysis.trace import Group, Quantity, TraceWriter, open_trace


def a_trace(path, rows=1):
    """Write a trace of one group and return its path."""
    with TraceWriter(path, [Group("every_1", [Quantity("batch_loss", "nat")])]) as writer:
        for step in range(rows):
            writer.append("every_1", step=step, batch_loss=step + 1.0)
    return path


@pytest.mark.parametrize("reason", ["truncated file", "file is already open for write"])
def test_a_writer_that_closes_its_file_is_waited_for(tmp_path, monkeypatch, reason):
    path, opened, tries = a_trace(tmp_path / "run.h5"), h5py.File, []

    def busy(*args, **options):
        tries.append(options)
        if len(tries) < 5:
            raise OSError(reason)
        return opened(*args, **options)

    monkeypatch.setattr("slingshot_analysis.trace._file.h5py.File", busy)
    assert open_trace(path).steps == (0, 0)
    assert not any(options["locking"] for options in tries)


def test_a_lock_of_another_process_hinders_neither_reading_nor_the_end_of_writing(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "run.h5"
    with TraceWriter(path, [Group("every_1", [Quantity("batch_loss", "nat")])]) as writer, path.open("rb") as other:
        writer.append("every_1", step=0, batch_loss=1.0)
        fcntl.flock(other, fcntl.LOCK_EX)
        assert not open_trace(path).finished
        writer.close()
        assert open_trace(path).finished


def test_a_path_through_a_file_names_no_file(tmp_path):
    with pytest.raises(InputError, match=r"run\.h5: no such file"):
        open_trace(a_trace(tmp_path / "trace.h5") / "run.h5")


def test_the_rows_of_a_short_run_are_compressed_when_it_ends(tmp_path):
    with h5py.File(a_trace(tmp_path / "run.h5", rows=100)) as file:
        assert [file[f"every_1/{name}"].id.get_chunk_info(0).filter_mask for name in ("step", "batch_loss")] == [0, 0]


def test_rows_of_another_shape_than_the_axes_are_described(run):
    with h5py.File(run, "r+") as file:
        old = dict(file["every_1/parameter_norm"].attrs)
        del file["every_1/parameter_norm"]
        file["every_1"].create_dataset("parameter_norm", shape=(1300, 3), dtype="f8").attrs.update(old)
    with pytest.raises(InputError, match=r"rows have shape \(3,\); expected \(2,\) for its axes"):
        open_trace(run)


def test_rows_that_were_never_written_read_as_no_value(run):
    with h5py.File(run) as file:
        fills = [file[f"every_1/{name}"].fillvalue for name in ("step", "batch_errors", "batch_loss")]
    assert fills == pytest.approx([-1, 0, float("nan")], nan_ok=True)
