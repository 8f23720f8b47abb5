"""Exported runs: read back, they hold the same numbers."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import main
from slingshot_analysis import (
    Axis,
    Group,
    InputError,
    Quantity,
    Signal,
    SlingshotError,
    TraceWriter,
    open_trace,
    read_log,
)
from slingshot_analysis.export import FORMATS, export_runs
from slingshot_analysis.readers import Log
from slingshot_analysis.readers._parts.protobuf import Message
from slingshot_analysis.readers._parts.tfrecord import read_records

LOGS = Path(__file__).parent / "readers" / "data"
EXAMPLE = Path(__file__).parents[1] / "examples" / "data" / "hypercube.h5"
ENDINGS = {"csv": ".csv", "parquet": ".parquet", "netcdf": ".nc", "tensorboard": "", "wandb": ""}
LIGHT = ("csv", "parquet", "netcdf", "tensorboard")
STEP = np.arange(0, 300, 10)
LOSS = np.where(STEP == 50, np.nan, np.where(STEP == 60, np.inf, 1 / (1 + STEP)))


@pytest.fixture
def trace(tmp_path):
    every = Group("every_10", [
        Quantity("train_loss", "nat", "mean loss"),
        Quantity("total_norm", dtype="float32"),
        Quantity("parameter_norm", axes=[Axis("parameter", ["0.weight", "2.weight"])]),
        Quantity("features", axes=[Axis("sample", list(map(str, range(30)))), Axis("unit", list(map(str, range(9))))]),
    ])  # fmt: skip
    rare = Group("every_100", [Quantity("val_accuracy"), Quantity("train_errors", "samples", dtype="int64")])
    attributes = {"config": json.dumps({"optimizer": {"lr": 0.1}}), "seed": 3, "flush_denormal": True}
    with TraceWriter(tmp_path / "run.h5", [every, rare], attributes) as writer:
        writer.append(
            "every_10",
            STEP,
            train_loss=LOSS,
            total_norm=np.sqrt(1 + STEP).astype(np.float32),
            parameter_norm=np.stack([STEP, -STEP], axis=1) / 3,
            features=np.ones((len(STEP), 30, 9)),
        )
        writer.append("every_100", [0, 100, 200], val_accuracy=[0.1, np.nan, 1 / 3], train_errors=[7, 3, 2**40])
    return open_trace(tmp_path / "run.h5")


def exported(runs, to, out, **how):
    return [written.path for written in export_runs(runs, to, out, **how)]


def columns(run):
    """Return the scalars of a run by name, without the group of NetCDF, and also those that are no signal."""
    others = {name.rpartition("/")[2]: signal for name, signal in run.others.items()} if isinstance(run, Log) else {}
    return others | {name: run[name] for name in run if not run.axes(name)}


def assert_same(run, again, single=False):
    ours, theirs = columns(run), columns(again)
    assert theirs.keys() >= ours.keys()
    for name, signal in ours.items():
        np.testing.assert_array_equal(theirs[name].step, signal.step, err_msg=name)
        value = signal.value.astype(np.float32) if single else signal.value
        np.testing.assert_array_equal(theirs[name].value, value, err_msg=name)


@pytest.mark.parametrize("to", FORMATS)
def test_a_trace_goes_there_and_back(trace, tmp_path, to):
    if to == "wandb":
        pytest.importorskip("wandb.sdk")
    (path,) = exported([trace], to, tmp_path / "out")
    (again,) = read_log(path)
    assert_same(trace, again, single=to == "tensorboard")
    if to != "netcdf":
        for label in ("0.weight", "2.weight"):
            ours, theirs = (run["parameter_norm"].select(parameter=label).value for run in (trace, again))
            np.testing.assert_array_equal(theirs, ours.astype(np.float32) if to == "tensorboard" else ours)


@pytest.mark.parametrize("to", LIGHT)
def test_a_recorded_run_goes_there_and_back(tmp_path, to):
    trace = open_trace(EXAMPLE)
    (path,) = exported([trace], to, tmp_path)
    assert_same(trace, read_log(path)[0], single=to == "tensorboard")


def test_what_was_not_measured_is_no_nan(trace, tmp_path):
    import pyarrow.parquet

    (path,) = exported([trace], "csv", tmp_path / "run.csv", signals=["train_loss", "val_accuracy"])
    lines = path.read_text().splitlines()
    assert lines[:3] == ["step,train_loss,val_accuracy", "0,1.0,0.1", "10,0.09090909090909091,"]
    assert "50,nan," in lines
    assert any(line.startswith("100,") and line.endswith(",nan") for line in lines)
    (path,) = exported([trace], "parquet", tmp_path / "run.parquet")
    table = pyarrow.parquet.read_table(path)
    assert table["val_accuracy"].null_count == len(STEP) - 3
    assert table["train_errors"].to_pylist()[20] == 2**40
    assert table["step"].to_pylist() == STEP.tolist()


def test_a_table_for_each_group(trace, tmp_path):
    paths = exported([trace], "csv", tmp_path / "out", by_group=True)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "out/run/every_10.csv",
        "out/run/every_100.csv",
    ]
    assert len(paths[1].read_text().splitlines()) == 4


def test_netcdf_keeps_groups_units_and_axes(trace, tmp_path):
    xarray = pytest.importorskip("xarray")
    (path,) = exported([trace], "netcdf", tmp_path / "run.nc")
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        assert tree.attrs["seed"] == 3
        assert tree.attrs["flush_denormal"] == 1
        assert json.loads(tree.attrs["config"]) == {"optimizer": {"lr": 0.1}}
        assert tree["every_10"].attrs["schedule"] == trace.schedule("every_10")
        assert tree["every_10/train_loss"].attrs == {"unit": "nat", "description": "mean loss"}
        assert tree["every_10/features"].shape == (30, 30, 9)
        norm = tree["every_10/parameter_norm"].sel(parameter="2.weight")
        np.testing.assert_array_equal(norm, -STEP / 3)


def test_tensorboard_reads_its_files(trace, tmp_path):
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (path,) = exported([trace], "tensorboard", tmp_path)
    found = accumulators.EventAccumulator(str(path), size_guidance={"scalars": 0}).Reload()
    assert set(found.Tags()["scalars"]) == {
        *("train_loss", "total_norm", "parameter_norm[0.weight]", "parameter_norm[2.weight]"),
        *("val_accuracy", "train_errors"),
    }
    events = found.Scalars("total_norm")
    assert [event.step for event in events] == STEP.tolist()
    assert [event.value for event in events] == trace["total_norm"].value.tolist()
    assert found.file_version == 2.0


def test_events_are_in_the_order_of_their_steps(trace, tmp_path):
    (path,) = exported([trace], "tensorboard", tmp_path)
    (file,) = path.iterdir()
    records, notes = read_records(file)
    steps = [Message(record).integer(2) for record in records]
    assert steps == sorted(steps)
    assert len(steps) == 1 + 4 * len(STEP) + 2 * 3
    assert notes == []


def test_an_offline_run_has_the_configuration(trace, tmp_path):
    pytest.importorskip("wandb.sdk")
    (path,) = exported([trace], "wandb", tmp_path)
    (run,) = read_log(path)
    assert run.attributes["optimizer.lr"] == 0.1
    assert run.attributes["project"] == "slingshot"
    assert not list(path.rglob("requirements.txt"))


def logs():
    """Return each log of the tests of the readers that can be read."""
    for path in sorted(LOGS.iterdir()):
        try:
            yield from read_log(path)
        except InputError:
            continue


@pytest.mark.parametrize("to", LIGHT)
def test_every_foreign_log_goes_there_and_back(tmp_path, to):
    runs = [run for run in logs() if run.names and isinstance(run, Log)]
    assert len(runs) > 5
    count = 0
    for number, run in enumerate(runs):
        try:
            (path,) = exported([run], to, tmp_path / str(number))
        except InputError as error:
            if "no whole numbers, which TensorBoard needs" in str(error):
                continue
            raise
        (again,) = read_log(path)
        for name in run:
            if run[name].value.ndim == 1:
                value = run[name].value.astype(np.float32) if to == "tensorboard" else run[name].value
                np.testing.assert_array_equal(again[name].value, value)
                np.testing.assert_array_equal(again[name].step, run[name].step)
        count += 1
    assert count > 5


def test_columns_that_are_no_signal_keep_their_names(tmp_path):
    (tmp_path / "log.csv").write_text(
        "iter,step,train_loss,=aux/a,aux.a\n" + "".join(f"{k},7,{k},{k},3\n" for k in range(9))
    )
    (run,) = read_log(tmp_path / "log.csv", map={"step": "iter"})
    (path,) = exported([run], "csv", tmp_path / "out.csv")
    assert path.read_text().splitlines()[0] == "step,train_loss,step_column,'=aux/a,aux.a"
    (path,) = exported([run], "netcdf", tmp_path / "out.nc")
    (again,) = read_log(path)
    assert set(again.others) == {"every_1/step_column", "every_1/=aux.a", "every_1/aux.a"}
    (path,) = exported([run], "csv", tmp_path / "aux.csv", signals=["aux.a"])
    assert path.read_text().splitlines()[:2] == ["step,aux.a", "0,3.0"]


def test_steps_that_are_fractions(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,train_loss\n" + "".join(f"{k / 2},{k}\n" for k in range(9)))
    (run,) = read_log(tmp_path / "log.csv")
    (path,) = exported([run], "csv", tmp_path / "out")
    assert path.read_text().splitlines()[2] == "0.5,1.0"
    with pytest.raises(
        InputError, match=r"log.csv: steps of 'train_loss' are no whole numbers, which TensorBoard needs"
    ):
        exported([run], "tensorboard", tmp_path / "out")


def slingshot(*words, status=0):
    done = CliRunner().invoke(main, ["export", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done


def test_the_command_writes_each_run_and_tells_what_it_leaves_out(trace, tmp_path):
    (tmp_path / "log.csv").write_text("step,train_loss\n0,1\n1,2\n")
    done = slingshot(trace.path, tmp_path / "log.csv", "none.csv", "--to", "csv", "-o", tmp_path / "out", status=2)
    assert done.stdout.splitlines() == [str(tmp_path / "out" / "run.csv"), str(tmp_path / "out" / "log.csv")]
    note, error = done.stderr.splitlines()
    told = f"Note: left out of {tmp_path / 'out' / 'run.csv'}: features, of too many columns; "
    assert note == f"{told}--signals features writes it"
    assert error.startswith("Error: none.csv: no such file")
    slingshot(trace.path, "--to", "csv", "-o", tmp_path / "f.csv", "--signals", "features,train_loss")
    head = (tmp_path / "f.csv").read_text().splitlines()[0]
    assert head.count("features[") == 270
    assert head.endswith(",train_loss")


@pytest.mark.parametrize("to", LIGHT)
def test_nothing_is_replaced_unless_asked_for(trace, tmp_path, to):
    slingshot(trace.path, "--to", to, "-o", tmp_path / "out")
    before = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    done = slingshot(EXAMPLE, trace.path, "--to", to, "-o", tmp_path / "out", status=2)
    assert re.search(r"out/run[\w.]*: exists; give another name, or replace it with --overwrite", done.stderr)
    assert {file: file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file()} == before
    slingshot(trace.path, "--to", to, "-o", tmp_path / "out", "--signals", "train_loss", "--overwrite")
    (file,) = (file for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert len(file.read_bytes()) < len(before[file])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "csv", "-o", "a.csv"], "a.csv: a file holds one run, and there are 2; give a folder"),
        (["--to", "csv", "-o", "run.txt"], "run.txt: is a file; give a folder, or a file that ends in .csv"),
        (["--to", "tensorboard", "-o", "run.txt"], "run.txt: is a file; give a folder"),
        (["--to", "csv", "-o", "out", "--signals", "train_los"], "run.h5: unknown signal 'train_los'; did you mean"),
        (["--to", "netcdf", "-o", "out", "--by-group"], "--by-group: works with csv and parquet, and not with netcdf"),
        (["--to", "csv", "-o", "run.txt/out"], "run.txt/out/run.csv: can't be written"),
    ],
)
def test_mistakes_are_named(trace, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    Path("run.txt").write_text("")
    done = slingshot("run.h5", EXAMPLE, *words, status=2)
    assert message in done.stderr
    assert not Path("out").exists() or not list(Path("out").iterdir())


def test_a_file_is_not_replaced_by_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text("step,train_loss\n0,1\n1,2\n")
    assert "is what is exported" in slingshot("log.csv", "--to", "csv", "-o", ".", "--overwrite", status=2).stderr


@pytest.mark.parametrize(
    ("to", "module", "extra"),
    [
        ("parquet", "pyarrow", "parquet"),
        ("netcdf", "xarray", "xarray"),
        ("netcdf", "h5netcdf", "xarray"),
        ("wandb",) * 3,
    ],
)
def test_a_missing_package_is_named(trace, tmp_path, monkeypatch, to, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    expected = re.escape(f'{module} is not installed: pip install "slingshot-analysis[{extra}]"')
    with pytest.raises(SlingshotError, match=expected):
        exported([trace], to, tmp_path / "out")


def test_a_run_of_wide_signals_alone_is_refused(tmp_path):
    features = Quantity("features", axes=[Axis("unit", list(map(str, range(201))))])
    with TraceWriter(tmp_path / "run.h5", [Group("every_1", [features])]) as writer:
        writer.append("every_1", 0, features=np.ones(201))
    run = open_trace(tmp_path / "run.h5")
    with pytest.raises(InputError, match="each signal has too many columns; name those to write with signals="):
        exported([run], "csv", tmp_path / "out")
    (path,) = exported([run], "csv", tmp_path / "out", signals=["features"])
    assert path.read_text().splitlines()[1] == "0" + ",1.0" * 201


def test_runs_of_one_name_get_files_of_their_own(tmp_path):
    runs = [
        Log(tmp_path / "x", name, {"train_loss": Signal([0, 1], [0, k])})
        for k, name in enumerate(["a/b", "a-b", "A-B"])
    ]
    paths = exported(runs, "csv", tmp_path / "out")
    assert [path.name for path in paths] == ["a-b.csv", "a-b-2.csv", "A-B-3.csv"]
    assert paths[1].read_text() == "step,train_loss\n0,0\n1,1\n"
