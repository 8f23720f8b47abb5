"""What must hold for every reader: its example is read, and nothing but an InputError comes of any other file."""

import csv
import json
import pkgutil
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pandas as pd
import pytest

from slingshot_analysis import InputError
from slingshot_analysis import readers as package
from slingshot_analysis.readers import RawRun, read_log, readers

READERS = readers()
DATA = Path(__file__).parents[1] / "readers" / "data"
TEMPLATE = Path(__file__).parents[2] / "docs" / "templates" / "reader.py"

STEPS = range(0, 200, 10)
LOSSES = [2.5 / (1 + step) for step in STEPS]
POINTS = list(zip(STEPS, LOSSES, strict=True))
RECORDS = [{"step": step, "train_loss": loss} for step, loss in POINTS]


def delimited(folder):
    with (folder / "run.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["step", "train_loss"])
        table.writeheader()
        table.writerows(RECORDS)
    return folder / "run.csv", LOSSES


def json_columns(folder):
    (folder / "run.json").write_text(json.dumps({"step": list(STEPS), "train_loss": LOSSES}))
    return folder / "run.json", LOSSES


def json_lines(folder):
    (folder / "run.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in RECORDS))
    return folder / "run.jsonl", LOSSES


def trainer_state(folder):
    history = [{"step": record["step"], "loss": record["train_loss"]} for record in RECORDS]
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 190, "log_history": history}))
    return folder / "trainer_state.json", LOSSES


def text(folder):
    (folder / "main.log").write_text("".join(f"s:{step} trl:{loss}\n" for step, loss in POINTS))
    return folder / "main.log", LOSSES


def numpy_arrays(folder):
    np.savez(folder / "run.npz", step=np.array(STEPS), train_loss=np.array(LOSSES))
    return folder / "run.npz", LOSSES


def parquet(folder):
    pytest.importorskip("pyarrow")
    pd.DataFrame(RECORDS).to_parquet(folder / "run.parquet")
    return folder / "run.parquet", LOSSES


def hdf5(folder):
    with h5py.File(folder / "run.h5", "w") as file:
        file["step"], file["train_loss"] = np.array(STEPS), np.array(LOSSES)
    return folder / "run.h5", LOSSES


def with_two_that_are_not_finite(losses):
    losses[20:22] = np.nan, np.inf
    return losses.tolist()


def tensorboard(folder):
    path = DATA / "tensorboard" / "old" / "seed_0" / "events.out.tfevents.1700000001.host"
    return path, with_two_that_are_not_finite((1 / (1 + np.arange(40))).astype(np.float32))


def wandb(folder):
    path = DATA / "wandb" / "offline-run-20261122_000001-parity1" / "run-parity1.wandb"
    return path, with_two_that_are_not_finite(2 / (1 + np.arange(110)))


def trackio(folder):
    return DATA / "trackio" / "parity.db", with_two_that_are_not_finite(1 / (1 + np.arange(40)))


def mlflow(folder):
    return DATA / "mlflow" / "mlflow.db", with_two_that_are_not_finite(1 / (1 + np.arange(40)))


EXAMPLES = {
    "csv": delimited,
    "hdf5": hdf5,
    "json": json_columns,
    "jsonl": json_lines,
    "mlflow": mlflow,
    "numpy": numpy_arrays,
    "parquet": parquet,
    "tensorboard": tensorboard,
    "text": text,
    "trackio": trackio,
    "trainer_state": trainer_state,
    "wandb": wandb,
}
"""For each reader a function that gives a file and the training losses of its first run."""

RANDOM = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes()
WRONG = {
    "empty": b"",
    "random": RANDOM,
    "zeros": bytes(3000),
    "text": b"nothing to see here, move along\nplease\n",
    "html": b"<!DOCTYPE html><html><body><table><tr><td>1,2</td></tr></table></body></html>",
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x04loss\x94K\x01s.",
    "png": b"\x89PNG\r\n\x1a\n" + RANDOM,
    "cut zip": b"PK\x03\x04" + RANDOM[:50],
    "cut hdf5": b"\x89HDF\r\n\x1a\n" + RANDOM[:50],
    "cut sqlite": b"SQLite format 3\x00" + RANDOM[:50],
    "cut parquet": b"PAR1" + RANDOM[:50],
    "cut wandb": b":W&B\xe1\xbe\x00" + RANDOM[:50],
    "json number": b"12",
    "cut json": b'{"train_loss": [1, 2',
}

TABLES = {("csv", "json number"), ("csv", "cut json")}
"""Texts that are one row of numbers to who insists on a table."""


def error_of(reader, path):
    """Return what the reader says of a file that it can't read; None if it could."""
    try:
        assert all(isinstance(run, RawRun) for run in reader.read(path))
    except InputError as error:
        return str(error)
    return None


def example(name, folder):
    """Return the example of a reader: its file, and the training losses in it."""
    if name not in EXAMPLES:
        pytest.fail(
            f"the reader {name!r} has no example: write a function like the others in {__file__}, which writes a file "
            f"and returns its path and the training losses in it, and add it to EXAMPLES there as {name!r}"
        )
    return EXAMPLES[name](folder)


def test_every_module_is_named_in_the_package():
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            named = [place for place in package.READERS if place.startswith(f"{module.name}.")]
            assert named, (
                f"readers/{module.name}.py is not used: add '{module.name}.CLASS' to READERS in readers/__init__.py, "
                "or begin the name of the module with an underscore"
            )


@pytest.mark.parametrize("name", READERS)
def test_the_example_is_read_and_by_this_reader(tmp_path, name):
    path, losses = example(name, tmp_path)
    head = path.read_bytes()[: 1 << 16]
    claims = [other for other, reader in READERS.items() if reader.recognizes(path, head)]
    assert claims[:1] == [name], (
        f"the readers that recognize {path.name} are {claims}: {name!r} has to be the first; see `recognizes` and the "
        "order of READERS in readers/__init__.py"
    )
    assert READERS[name].suffixes == tuple(map(str.lower, READERS[name].suffixes))
    run = read_log(path)[0]
    # the float32 or rounding of a format is all that may differ
    np.testing.assert_allclose(
        run["train_loss"].value[np.isfinite(run["train_loss"].value)], np.array(losses)[np.isfinite(losses)], rtol=1e-7
    )


@pytest.mark.parametrize("name", READERS)
def test_an_example_that_is_cut_gives_runs_or_an_input_error(tmp_path, name):
    path, _ = example(name, tmp_path)
    content = path.read_bytes()
    cut = tmp_path / f"cut{path.suffix}" if path.suffix else tmp_path / path.name
    for size in np.linspace(0, len(content) - 1, 40).astype(int):
        cut.write_bytes(content[:size])
        message = error_of(READERS[name], cut)
        assert message is None or cut.name in message


def test_the_template_of_the_guide_is_a_reader(tmp_path, monkeypatch):
    module = ModuleType("ticker")
    exec(TEMPLATE.read_text(encoding="utf-8"), module.__dict__)

    class Point:
        name = "ticker"

        def load(self):
            return module.TickerReader

    monkeypatch.setattr("slingshot_analysis.readers.entry_points", lambda group: [Point()])
    path = tmp_path / "run.tick"
    path.write_text("# Ticker 1.0\n" + "".join(f"@{step} train_loss {loss}\n" for step, loss in POINTS))
    (run,) = read_log(path)
    assert run["train_loss"].step.tolist() == list(STEPS)
    assert run["train_loss"].value.tolist() == LOSSES
    path.write_text("@1 train_loss\n")
    with pytest.raises(InputError, match=r"run\.tick: line 1"):
        read_log(path)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", WRONG)
def test_wrong_files_are_input_errors_that_name_the_file(tmp_path, name, content):
    for suffix in (*READERS[name].suffixes, ""):
        path = tmp_path / f"log{suffix}"
        path.write_bytes(WRONG[content])
        assert isinstance(READERS[name].recognizes(path, WRONG[content]), bool)
        message = error_of(READERS[name], path)
        if (name, content) in TABLES:
            assert message is None
        else:
            assert message is not None
            assert path.name in message
            assert "\n" not in message


@pytest.mark.parametrize("content", [content for content in WRONG if content != "text"])
def test_nothing_is_read_from_them_by_chance(tmp_path, content):
    path = tmp_path / "log.bin"
    path.write_bytes(WRONG[content])
    with pytest.raises(InputError):
        read_log(path)


@pytest.mark.parametrize("name", READERS)
def test_a_folder_without_a_log_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    assert not READERS[name].recognizes(tmp_path / "empty", b"")
    with pytest.raises(InputError):
        READERS[name].read(tmp_path / "empty")


def test_the_logs_beside_the_tests_name_no_scratch_folder():
    files = [path for path in (Path(__file__).parents[1] / "readers" / "data").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [str(path) for path in files if b"/tmp/" in path.read_bytes()] == []


def test_a_reader_from_another_package_is_used(tmp_path, monkeypatch):
    from slingshot_analysis.readers import Column, Reader

    class Outside(Reader):
        name = "outside"

        def recognizes(self, path, head):
            return head.startswith(b"OUTSIDE")

        def read(self, path):
            return [RawRun("", {"step": Column(np.arange(3.0)), "loss": Column(np.ones(3))})]

    class Point:
        def load(self):
            return Outside

    monkeypatch.setattr(package, "entry_points", lambda group: [Point()])
    path = tmp_path / "log.any"
    path.write_bytes(b"OUTSIDE")
    assert len(read_log(path)[0]["train_loss"]) == 3
