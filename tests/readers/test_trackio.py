import contextlib
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers.trackio import TrackioReader

DATA = Path(__file__).parent / "data"
FILE = DATA / "trackio" / "parity.db"
ROWS = np.arange(40.0)


def read(path):
    return TrackioReader().read(path)


def change(path, *statements):
    shutil.copy(FILE, path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path


def test_the_runs_of_a_project():
    runs = read(FILE)
    assert [run.name for run in runs] == ["seed 0", "seed 1"]
    for seed, run in enumerate(runs):
        loss = (1 + seed) / (1 + ROWS)
        loss[20:22] = np.nan, np.inf
        assert run.attributes == {"seed": seed, "optimizer.name": "adam", "optimizer.lr": 0.001}
        assert list(run.columns) == ["train/loss", "nested.a", "val/accuracy"]
        np.testing.assert_array_equal(run.columns["train/loss"].values, loss)
        np.testing.assert_array_equal(run.columns["train/loss"].step, 3 * ROWS)
        np.testing.assert_array_equal(run.columns["nested.a"].values, ROWS / 8)
        np.testing.assert_array_equal(run.columns["val/accuracy"].step, [0, 30, 60, 90])
        np.testing.assert_array_equal(run.columns["val/accuracy"].values, [0, 0.25, 0.5, 0.75])
        assert run.notes == ["values that are no single numbers were left out: remark"]


def test_reading_leaves_nothing_behind(tmp_path):
    path = change(tmp_path / "a b#1?.db", "PRAGMA journal_mode = WAL")
    before = path.read_bytes()
    assert len(read(path)) == 2
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_project_that_is_being_written(tmp_path):
    path = change(tmp_path / "live.db", "PRAGMA journal_mode = WAL")
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("UPDATE metrics SET metrics = '{\"late\": 7}' WHERE id = 1")
        writer.commit()
        assert read(path)[0].columns["late"].values.tolist() == [7]


def test_writes_that_stand_only_in_a_log_that_cannot_be_used_are_noted(tmp_path):
    path = change(tmp_path / "left.db", "PRAGMA journal_mode = WAL")
    path.with_name("left.db-wal").mkdir()
    runs = read(path)
    assert runs[0].notes[0].startswith("left.db-wal could not be used")
    assert len(runs[1].columns["train/loss"].values) == 40


def test_a_locked_database_is_not_read_in_part(tmp_path):
    path = change(tmp_path / "locked.db", "PRAGMA journal_mode = DELETE")
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match=r"database is locked.*close the program"):
            read(path)


def test_the_tables_of_older_versions_have_no_run_id(tmp_path):
    path = change(
        tmp_path / "old.db",
        "CREATE TABLE older AS SELECT id, timestamp, run_name, step, metrics FROM metrics",
        "DROP TABLE metrics",
        "DROP TABLE configs",
        "ALTER TABLE older RENAME TO metrics",
    )
    runs = read(path)
    assert [(run.name, len(run.columns["train/loss"].values)) for run in runs] == [("seed 0", 40), ("seed 1", 40)]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE metrics SET metrics = '{\"a\": ' WHERE id = 7", "table metrics, row 7: is not JSON"),
        ("UPDATE metrics SET metrics = '[1]' WHERE id = 7", "table metrics, row 7: is list"),
        ("UPDATE metrics SET metrics = x'ff00' WHERE id = 7", "table metrics, row 7: is not JSON"),
        ("UPDATE metrics SET step = 'x' WHERE id = 7", "table metrics, row 7: step is 'x'"),
        ("UPDATE configs SET config = '' WHERE id = 1", "table configs, run .*: is not JSON"),
        ("DELETE FROM metrics", "holds no numbers"),
        ("DROP TABLE metrics", "has no table 'metrics'"),
    ],
)
def test_damaged_rows(tmp_path, statement, message):
    with pytest.raises(InputError, match=message) as caught:
        read(change(tmp_path / "damaged.db", statement))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"SQLite", b"step,loss\n", b"SQLite format 3\0" + b"x" * 5000, None])
def test_wrong_files(tmp_path, content):
    path = tmp_path / "wrong.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"wrong\.db"):
        read(path)


@pytest.mark.parametrize("size", [100, 1024, 5000, 15000])
def test_a_cut_database_is_never_read_in_part(tmp_path, size):
    path = tmp_path / "cut.db"
    path.write_bytes(FILE.read_bytes()[:size])
    with pytest.raises(InputError, match="can't be read as an SQLite database"):
        read(path)


def test_what_it_recognizes(tmp_path):
    reader = TrackioReader()
    assert reader.recognizes(FILE, FILE.read_bytes())
    other = DATA / "mlflow" / "mlflow.db"
    assert not reader.recognizes(other, other.read_bytes())
    assert not reader.recognizes(tmp_path, b"")
    assert not reader.recognizes(tmp_path / "run.csv", b"step,loss\n")
