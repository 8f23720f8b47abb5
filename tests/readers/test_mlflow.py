import contextlib
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers.mlflow import MLflowReader

DATA = Path(__file__).parent / "data" / "mlflow"
DATABASE, STORE = DATA / "mlflow.db", DATA / "mlruns"
ROWS = np.arange(40.0)


def read(path):
    return MLflowReader().read(path)


@pytest.fixture
def run_folder(tmp_path):
    (source,) = (meta.parent for meta in STORE.glob("1/*/meta.yaml") if "run_name: seed 0" in meta.read_text())
    return Path(shutil.copytree(source, tmp_path / source.name))


@pytest.mark.parametrize("path", [DATABASE, STORE, STORE / "1"])
def test_the_runs_of_a_store(path):
    runs = read(path)
    assert [run.name for run in runs] == ["seed 0", "seed 1"]
    for seed, run in enumerate(runs):
        loss = (1 + seed) / (1 + ROWS)
        loss[20:22] = np.nan, np.inf
        assert {name: run.attributes[name] for name in ("experiment", "seed", "optimizer/lr")} == {
            "experiment": "parity",
            "seed": str(seed),
            "optimizer/lr": "0.001",
        }
        assert set(run.columns) == {"train/loss", "accuracy"}
        np.testing.assert_array_equal(run.columns["train/loss"].values, loss)
        np.testing.assert_array_equal(run.columns["train/loss"].step, 3 * ROWS)
        np.testing.assert_array_equal(run.columns["accuracy"].step, [0, 30, 60, 90])
        np.testing.assert_array_equal(run.columns["accuracy"].values, [0, 0.25, 0.5, 0.75])
        assert run.notes == ["runs that are marked as deleted were left out: 1"]


def test_the_folder_of_one_run(run_folder):
    (run,) = read(run_folder)
    assert run.name == ""
    assert run.attributes == {"run_id": run_folder.name, "seed": "0", "optimizer/lr": "0.001"}
    assert len(run.columns["train/loss"].values) == 40
    assert run.notes == []


def test_old_and_new_forms_of_a_line(run_folder):
    (run_folder / "metrics" / "forms").write_text("1700000000000 0.5\n1700000000001 0.25 7 data 1a2b\n\n")
    column = read(run_folder)[0].columns["forms"]
    assert column.step.tolist() == [0, 7]
    assert column.values.tolist() == [0.5, 0.25]


def test_a_cut_line_is_left_out_and_noted(run_folder):
    path = run_folder / "metrics" / "train" / "loss"
    path.write_text(path.read_text()[:-2])
    (run,) = read(run_folder)
    assert len(run.columns["train/loss"].values) == 39
    assert run.notes == ["metrics/train/loss: its last line was cut and is left out"]


@pytest.mark.parametrize("content", [b"1700000000000\n", b"1700000000000 high 3\n", b"1700000000000 0.5 x\n"])
def test_wrong_lines(run_folder, content):
    path = run_folder / "metrics" / "accuracy"
    path.write_bytes(path.read_bytes() + content)
    with pytest.raises(InputError, match=r"accuracy: line 5: .*expected 'timestamp value step'") as caught:
        read(run_folder)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(run_folder):
    (run_folder / "metrics" / "accuracy").write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match="accuracy: can't be read as text"):
        read(run_folder)


def test_folders_without_runs(tmp_path, run_folder):
    for file in (run_folder / "metrics").rglob("*"):
        if file.is_file():
            file.write_text("")
    for folder in (run_folder, tmp_path / "nothing", tmp_path):
        folder.mkdir(exist_ok=True)
        with pytest.raises(InputError, match="holds no run with metrics"):
            read(folder)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE metrics SET value = 'high' WHERE rowid = 5", "table metrics, row 5: could not convert"),
        ("ALTER TABLE metrics RENAME COLUMN is_nan TO nan", "table 'metrics' lacks is_nan"),
        ("DROP TABLE runs", "table 'runs' lacks"),
        ("DELETE FROM metrics", "holds no run with metrics"),
    ],
)
def test_damaged_databases(tmp_path, statement, message):
    path = tmp_path / "mlflow.db"
    shutil.copy(DATABASE, path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(statement)
        connection.commit()
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"SQLite", b"step,loss\n", b"SQLite format 3\0" + b"x" * 5000, None])
def test_wrong_files(tmp_path, content):
    path = tmp_path / "mlflow.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"mlflow\.db"):
        read(path)


def test_what_it_recognizes(tmp_path):
    reader = MLflowReader()
    assert reader.recognizes(DATABASE, DATABASE.read_bytes())
    for folder in (STORE, STORE / "1"):
        assert reader.recognizes(folder, b"")
    other = DATA.parent / "trackio" / "parity.db"
    assert not reader.recognizes(other, other.read_bytes())
    assert not reader.recognizes(tmp_path, b"")


def test_a_database_with_one_of_the_tables_is_another_one(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE metrics (key, value, run_uuid, step, is_nan)")
    assert not MLflowReader().recognizes(tmp_path / "other.db", (tmp_path / "other.db").read_bytes())
    assert MLflowReader().recognizes(DATABASE, DATABASE.read_bytes())
