"""Logs from anywhere: tables and arrays in memory, open files, standard input, folders."""

import io
import json
import sys

import numpy as np
import pandas as pd
import pytest
from made_runs import write_staircase

from slingshot_analysis import InputError
from slingshot_analysis.readers import read_log

STEPS = np.arange(0, 300, 10)
LOSSES = 2.5 / (1 + STEPS)
TABLE = pd.DataFrame({"step": STEPS, "train_loss": LOSSES, "val_loss": np.where(STEPS % 50 == 0, 2 * LOSSES, np.nan)})
TEXT = TABLE.to_csv(index=False)


def assert_whole(run):
    assert run["train_loss"].step.tolist() == STEPS.tolist()
    assert run["train_loss"].value.tolist() == LOSSES.tolist()


@pytest.mark.parametrize(
    "source",
    [
        TABLE,
        TABLE.set_index("step"),
        {"step": STEPS, "train_loss": LOSSES},
        {"step": STEPS.tolist(), "train_loss": LOSSES.tolist(), "lr": 0.1},
        {"train_loss": pd.Series(LOSSES, index=pd.Index(STEPS, name="step"))},
        io.StringIO(TEXT),
        io.BytesIO(TEXT.encode()),
    ],
    ids=["table", "indexed table", "arrays", "lists", "series", "open text", "open bytes"],
)
def test_what_is_given_is_read(source):
    (run,) = read_log(source)
    assert_whole(run)


def test_rows_of_a_table_that_were_filled_with_nan_have_no_value():
    (run,) = read_log(TABLE)
    assert run["val_loss"].step.tolist() == STEPS[STEPS % 50 == 0].tolist()


def test_an_open_file_keeps_its_name_and_its_format(tmp_path):
    TABLE.to_parquet(tmp_path / "run.parquet")
    with (tmp_path / "run.parquet").open("rb") as file:
        (run,) = read_log(file)
    assert_whole(run)
    assert (run.name, run.path) == ("run", tmp_path / "run.parquet")
    (tmp_path / "bad.json").write_text("{")
    with (tmp_path / "bad.json").open() as file, pytest.raises(InputError, match=rf"^{tmp_path}/bad\.json: "):
        read_log(file)


def test_a_dash_is_standard_input(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    (run,) = read_log("-")
    assert_whole(run)
    assert run.name == "stdin"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (3, "can't be read from int"),
        ({"train_loss": [["a"]]}, "'train_loss': is of shape"),
        ({}, "holds no array"),
        (pd.DataFrame(), "DataFrame: the table has no rows"),
        (io.StringIO(""), "-: .*empty"),
    ],
)
def test_what_can_not_be_read_is_said(source, words):
    with pytest.raises(InputError, match=words):
        read_log(source)


def test_tables_named_after_runs_are_runs(tmp_path):
    for seed in range(3):
        (tmp_path / f"seed_{seed}.csv").write_text("step,loss\n1,2.5\n2,2.0\n")
    assert [run.names for run in read_log(tmp_path)] == [("train_loss",)] * 3


def test_tables_named_after_series_are_one_run(tmp_path):
    for name in ("train_loss", "val_acc"):
        (tmp_path / f"{name}.csv").write_text(f"step,{name}\n1,0.5\n2,0.75\n")
    (run,) = read_log(tmp_path)
    assert set(run.names) == {"train_loss", "val_accuracy"}


def test_a_setting_named_like_a_column_hides_nothing(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = "".join(f'{{"step": {k}, "loss": {2.5 / (1 + k)}}}\n' for k in range(5))
    path.write_text('{"config": {"loss": "mse", "step": 7}}\n' + rows)
    (run,) = read_log(path)
    assert run["train_loss"].value.tolist() == [2.5 / (1 + k) for k in range(5)]
    assert run["train_loss"].step.tolist() == list(range(5))


def test_a_folder_of_runs(tmp_path):
    for seed in (0, 2, 10):
        TABLE.to_csv(tmp_path / f"seed_{seed}.csv", index=False)
    (tmp_path / "more").mkdir()
    write_staircase(tmp_path / "more" / "trace.h5")
    (tmp_path / "manifest.json").write_text('{"format": "slingshot-sweep", "version": 1}')
    (tmp_path / "trace.h5.labels.json").write_text("{}")
    (tmp_path / "notes.log").write_text("hello\n")
    (tmp_path / ".hidden.csv").write_text("x")
    (tmp_path / "link.csv").symlink_to("/dev/zero")
    assert [run.name for run in read_log(tmp_path)] == ["more/trace", "seed_0", "seed_2", "seed_10"]


def test_tables_named_after_sides_are_one_run(tmp_path):
    TABLE[["step", "train_loss"]].rename(columns={"train_loss": "loss"}).to_csv(tmp_path / "train.csv", index=False)
    TABLE[["step", "val_loss"]].rename(columns={"val_loss": "loss"}).dropna().to_csv(
        tmp_path / "valid.csv", index=False
    )
    (run,) = read_log(tmp_path)
    assert_whole(run)
    assert run["val_loss"].name == "valid/loss"
    assert run["val_loss"].step.tolist() == STEPS[STEPS % 50 == 0].tolist()


def test_files_with_one_record_each_are_the_rows_of_one_run(tmp_path):
    for epoch in range(12):
        (tmp_path / f"metrics_{epoch}.json").write_text(json.dumps({"training_loss": 1 / (1 + epoch), "time": "0:01"}))
    (run,) = read_log(tmp_path)
    assert run["train_loss"].step.tolist() == list(range(12))
    assert run["train_loss"].value.tolist() == [1 / (1 + epoch) for epoch in range(12)]
    with pytest.raises(InputError, match=r"metrics_3\.json: holds one record and no rows; .* give their folder"):
        read_log(tmp_path / "metrics_3.json")


@pytest.mark.parametrize(
    ("name", "words"), [(None, "holds no file that may be a log"), ("a.txt", "none of the 1 files")]
)
def test_a_folder_without_logs_is_refused(tmp_path, name, words):
    if name:
        (tmp_path / name).write_text("hello\n")
    with pytest.raises(InputError, match=words):
        read_log(tmp_path)


class Broken:
    name, value, dist = "mine", "package:Reader", None

    def load(self):
        raise ImportError("no module named 'missing'")


def test_a_reader_of_another_package_that_breaks_is_named_and_left_out(monkeypatch, tmp_path):
    monkeypatch.setattr("slingshot_analysis.readers.entry_points", lambda group: [Broken()])
    TABLE.to_csv(tmp_path / "run.csv", index=False)
    with pytest.warns(UserWarning, match="reader 'mine' of the package 'package:Reader' can't be loaded .*missing"):
        (run,) = read_log(tmp_path / "run.csv")
    assert_whole(run)
