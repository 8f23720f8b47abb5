import re
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from slingshot_analysis.errors import InputError, SlingshotError
from slingshot_analysis.signal import Axis, Signal
from slingshot_analysis.trace import Group, Quantity, Trace, TraceWriter, open_trace
from slingshot_analysis.trace.schema import CHUNK_ROWS

VERSION_1 = Path(__file__).parent / "data" / "version_1.h5"


def test_what_a_trace_tells_about_itself(run):
    trace = open_trace(run)
    assert trace.groups == {
        "every_1": ("batch_errors", "batch_loss", "parameter_norm"),
        "every_10": ("val_accuracy",),
    }
    assert tuple(trace) == trace.names == ("batch_errors", "batch_loss", "parameter_norm", "val_accuracy")
    assert len(trace) == 4
    assert "batch_loss" in trace
    assert "step" not in trace
    assert trace.steps == (0, 1299)
    assert trace.finished
    assert trace.config == {"optimizer": {"name": "adam"}}
    assert trace.attributes["seed"] == 3
    assert trace.attributes["flush_denormal"] is True
    assert trace.attributes["creator"].startswith("slingshot-analysis ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", trace.attributes["start_time"])
    norm = trace["parameter_norm"]
    assert (norm.unit, norm.description, norm.axes[0].name) == ("norm", "Norm of each parameter", "parameter")
    np.testing.assert_array_equal(norm.select(parameter="2.weight").value, -norm.step)


def test_repr(run):
    assert repr(open_trace(run)) == (
        "Trace run.h5: setup quadratic, seed 3, finished\n"
        "  every_1 (every 1): 1,300 rows, steps 0 to 1299\n"
        "    batch_errors samples\n"
        "    batch_loss nat\n"
        "    parameter_norm (parameter: 2) norm\n"
        "  every_10 (every 10): 130 rows, steps 0 to 1290\n"
        "    val_accuracy fraction"
    )


def test_an_open_trace_follows_a_growing_file(tmp_path, groups):
    with TraceWriter(tmp_path / "run.h5", groups) as writer:
        trace = open_trace(tmp_path / "run.h5")
        assert len(trace["val_accuracy"]) == 0
        assert trace.steps is None
        assert "unfinished: killed or still being written" in repr(trace)
        assert trace.to_dataframe().empty
        writer.append("every_10", step=10, val_accuracy=0.5)
        writer.flush()
        assert trace["val_accuracy"].value.tolist() == [0.5]
        assert trace.steps == (10, 10)
        assert not trace.finished
    assert trace.finished


def test_a_held_trace_reads_each_quantity_once(run):
    trace = open_trace(run)
    held = trace.held()
    loss = held["batch_loss"]
    assert held.read(["val_accuracy", "batch_loss"])["batch_loss"] is loss
    assert trace["batch_loss"] is not loss
    np.testing.assert_array_equal(trace["batch_loss"].value, loss.value)


def test_a_window_holds_the_rows_between_two_steps(run):
    trace = open_trace(run)
    for name in ("batch_loss", "parameter_norm", "val_accuracy"):
        whole = trace[name]
        for first, last in ((0, 1), (100, 700), (505, 515), (1290, 5000), (2000, 3000), (700, 100), (-5, 5)):
            window = trace.window(name, first, last)
            here = (whole.step >= first) & (whole.step < last)
            np.testing.assert_array_equal(window.step, whole.step[here])
            np.testing.assert_array_equal(window.value, whole.value[here])
            assert (window.name, window.unit, window.axes) == (whole.name, whole.unit, whole.axes)
    with pytest.raises(InputError, match="batch_los"):
        trace.window("batch_los", 0, 1)


def test_unknown_quantity_names_file_and_near_names(run):
    with pytest.raises(InputError, match=f"{re.escape(str(run))}: unknown quantity 'batch_los'; .* 'batch_loss'"):
        open_trace(run)["batch_los"]
    with pytest.raises(InputError, match="unknown group 'every_2'"):
        open_trace(run).to_dataframe("every_2")


def test_to_dataframe(run, rows):
    trace = open_trace(run)
    table = trace.to_dataframe("every_1")
    assert list(table) == ["batch_errors", "batch_loss", "parameter_norm[0.weight]", "parameter_norm[2.weight]"]
    assert table.index.name == "step"
    assert table["batch_errors"].dtype == np.int64
    np.testing.assert_array_equal(table["parameter_norm[2.weight]"], rows["parameter_norm"][:, 1])
    joined = trace.to_dataframe()
    assert joined.index.name == "step"
    np.testing.assert_array_equal(joined["val_accuracy"].dropna().index, np.arange(0, 1300, 10))
    np.testing.assert_array_equal(joined["batch_loss"], rows["batch_loss"])


def test_to_xarray(run, rows):
    pytest.importorskip("xarray")
    tree = open_trace(run).to_xarray()
    assert tree.attrs["setup"] == "quadratic"
    norm = tree["every_1/parameter_norm"]
    assert norm.dims == ("step", "parameter")
    assert norm.attrs["unit"] == "norm"
    np.testing.assert_array_equal(norm.sel(parameter="2.weight"), rows["parameter_norm"][:, 1])


def test_xarray_opens_a_group_as_it_is(run, rows):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    with xarray.open_dataset(run, group="every_1", engine="h5netcdf") as data:
        assert set(data.coords) == {"step", "parameter"}
        np.testing.assert_array_equal(data.parameter_norm.sel(step=7, parameter="2.weight"), -7)
        np.testing.assert_array_equal(data.step, rows["step"])


def test_missing_xarray_says_how_to_get_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(SlingshotError, match=re.escape('pip install "slingshot-analysis[xarray]"')):
        open_trace(run).to_xarray()


def test_files_of_version_1_still_open():
    trace = open_trace(VERSION_1)
    assert trace.attributes["version"] == 1
    assert trace.attributes["setup"] == "quadratic"
    assert trace.config == {"lr": 0.5}
    assert trace.finished
    assert trace["batch_loss"].value.tolist() == [8.0, 4.0, 2.0, 1.0]
    norm = trace["parameter_norm"]
    assert norm.step.tolist() == [0, 2]
    assert norm.select(parameter="bias").value.tolist() == [1.0, 3.0]
    assert norm.unit == "norm"


def edit(change):
    def apply(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return apply


def delete(node, key):
    del node[key]


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("step,loss\n0,1.0\n")


def cut(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 5000)


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, "no such file"),
        (folder, "is a folder; give a trace file in it"),
        (empty, "is empty: its writer was killed before it began"),
        (text, "is not an HDF5 file"),
        (cut, "is truncated"),
        (edit(lambda file: file.attrs.modify("format", "other")), "not a slingshot trace: .*'format' is 'other'"),
        (edit(lambda file: delete(file.attrs, "format")), "not a slingshot trace: .*'format' is missing"),
        (edit(lambda file: file.attrs.modify("version", 2)), "'version' is 2.* newer slingshot-analysis; upgrade"),
        (edit(lambda file: delete(file.attrs, "finished")), "/: attribute 'finished' is missing"),
        (edit(lambda file: delete(file, "every_10/step")), "/every_10/step is missing"),
        (edit(lambda file: delete(file["every_10"].attrs, "schedule")), "/every_10: attribute 'schedule' is missing"),
        (
            edit(lambda file: delete(file["every_1/batch_loss"].attrs, "unit")),
            "/every_1/batch_loss: attribute 'unit' is missing",
        ),
        (
            edit(lambda file: file["every_1/batch_loss"].attrs.create("axes", ["layer"])),
            "/every_1/batch_loss: axis 'layer' has no labels",
        ),
        (
            edit(lambda file: file["every_1/batch_loss"].attrs.create("axes", ["parameter"])),
            r"/every_1/batch_loss: rows have shape \(\); expected \(2,\)",
        ),
        (edit(lambda file: file.create_dataset("loss", data=1.0)), "/loss is a dataset; expected a group"),
        (edit(lambda file: file["every_1/step"].write_direct(np.arange(1300) % 9)), "/every_1/step: row 9 holds 0"),
        (edit(lambda file: file.attrs.modify("config", "{")), "attribute 'config' is not JSON"),
    ],
)
def test_a_file_that_can_not_be_read_says_why(run, damage, words):
    damage(run)

    def read():
        trace = open_trace(run)
        return trace.config, trace["batch_loss"]

    with pytest.raises(InputError, match=f"(?s){re.escape(str(run))}: .*{words}"):
        read()


def test_a_group_is_cut_to_its_shortest_dataset(run):
    with h5py.File(run, "r+") as file:
        file["every_1/batch_errors"].resize(1000, axis=0)
    trace = open_trace(run)
    assert len(trace["batch_loss"]) == len(trace["batch_errors"]) == len(trace["parameter_norm"]) == 1000
    assert len(trace["val_accuracy"]) == 130


def test_rows_without_a_step_are_not_complete(tmp_path):
    """A kill may come after a dataset has grown and before its next chunk is written."""
    with TraceWriter(tmp_path / "run.h5", [Group("every_1", [Quantity("batch_loss")], "every 1")]) as writer:
        writer.append("every_1", step=range(CHUNK_ROWS), batch_loss=np.ones(CHUNK_ROWS))
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        for dataset in file["every_1"].values():
            dataset.resize(CHUNK_ROWS + 3, axis=0)
    assert open_trace(tmp_path / "run.h5")["batch_loss"].step.tolist() == list(range(CHUNK_ROWS))


@pytest.mark.parametrize("step", [7, 6])
def test_steps_that_do_not_increase_are_damage(run, step):
    with h5py.File(run, "r+") as file:
        file["every_1/step"][8] = step
    with pytest.raises(InputError, match=rf"/every_1/step: row 8 holds {step} after 7; steps must increase"):
        open_trace(run).to_dataframe("every_1")


def test_groups_of_other_steps_are_joined_in_order(tmp_path):
    names = {"first": [5, 15], "second": [0, 10, 20], "third": [7]}
    with TraceWriter(tmp_path / "run.h5", [Group(name, [Quantity(f"{name}_loss")]) for name in names]) as writer:
        for name, steps in names.items():
            writer.append(name, step=steps, **{f"{name}_loss": [float(step) for step in steps]})
    trace = open_trace(tmp_path / "run.h5")
    table = trace.to_dataframe()
    assert trace.steps == (0, 20)
    assert table.index.tolist() == [0, 5, 7, 10, 15, 20]
    assert {name: table[f"{name}_loss"].dropna().tolist() for name in names} == names


class Signals(Trace):
    """A run of given signals."""

    def __init__(self, *signals):
        self._signals = {signal.name: signal for signal in signals}
        self.names = tuple(self._signals)

    names = ()

    def __getitem__(self, name):
        return self._signals[name]


def test_any_run_has_its_first_and_last_step_and_a_table():
    """Rows of a log need not be sorted, and the last of those that share a step counts."""
    layers = Axis("layer", ["a", "b"]), Axis("head", ["0", "1"])
    trace = Signals(
        Signal([15, 5], [1.0, 2.0], "loss"),
        Signal([10, 20, 10], [1.0, 2.0, 3.0], "norm"),
        Signal([0, 10], np.arange(8).reshape(2, 2, 2), "change", axes=layers),
        Signal([], [], "empty"),
    )
    table = trace.to_dataframe()
    assert trace.steps == (0, 20)
    assert (table.index.name, table.index.tolist()) == ("step", [0, 5, 10, 15, 20])
    assert list(table) == ["loss", "norm", "change[a, 0]", "change[a, 1]", "change[b, 0]", "change[b, 1]", "empty"]
    assert table["norm"].dropna().to_dict() == {10: 3.0, 20: 2.0}
    assert table["change[b, 0]"].dropna().to_dict() == {0: 2, 10: 6}
    assert Signals().steps is None
    assert Signals().to_dataframe().empty


def test_a_byte_that_changed_is_told(run, tmp_path):
    data = bytearray(run.read_bytes())
    with h5py.File(run, "r") as file:
        chunk = file["every_1/batch_loss"].id.get_chunk_info(0)
    data[chunk.byte_offset + 20 : chunk.byte_offset + 60] = bytes(40)
    damaged = tmp_path / "damaged.h5"
    shutil.copy(run, damaged)
    damaged.write_bytes(bytes(data))
    with pytest.raises(InputError, match="/every_1/batch_loss: rows can't be read"):
        open_trace(damaged)["batch_loss"]


def test_a_norm_that_is_always_0_is_no_damage(tmp_path):
    with TraceWriter(tmp_path / "run.h5", [Group("every_1", [Quantity("representation_norm")])]) as writer:
        writer.append("every_1", step=np.arange(600), representation_norm=np.zeros(600))
    assert not open_trace(tmp_path / "run.h5")["representation_norm"].value.any()


@pytest.mark.parametrize("rows", [4, CHUNK_ROWS + 88])
def test_a_last_chunk_of_zeros_where_that_can_not_be_is_named_and_left_out(tmp_path, rows):
    step = np.arange(rows)
    quantities = [Quantity("val_accuracy"), Quantity("val_errors", dtype="int64")]
    with TraceWriter(tmp_path / "run.h5", [Group("every_1", quantities, "every 1")]) as writer:
        writer.append("every_1", step=step[:-1], val_accuracy=0.1 + 0.8 * step[:-1] / rows, val_errors=rows - step[:-1])
        writer.flush()
        writer.append("every_1", step=step[-1:], val_accuracy=[0.9], val_errors=[0])
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        last = (rows - 1) // CHUNK_ROWS * CHUNK_ROWS
        offset = file["every_1/val_accuracy"].id.get_chunk_info_by_coord((last,)).byte_offset
    with (tmp_path / "run.h5").open("r+b") as file:
        file.seek(offset)
        file.write(bytes(8 * CHUNK_ROWS))
    with pytest.raises(InputError, match=rf"val_accuracy: the last rows, from step {last}, are blank"):
        _ = open_trace(tmp_path / "run.h5")["val_accuracy"]
    whole = open_trace(tmp_path / "run.h5").without_damage()
    assert whole.names == ("val_errors",)
    assert "left out: val_accuracy" in whole.notes[0]
