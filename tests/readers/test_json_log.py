from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from outside import outside

from slingshot_analysis.configuration import configuration
from slingshot_analysis.errors import InputError
from slingshot_analysis.readers import read_log
from slingshot_analysis.readers._raw import RawRun, Reader
from slingshot_analysis.readers.json_log import JsonLinesReader, JsonReader

LINES = ["mech__adamw_sc1.0_wd0.0_s0", "mech__sgdm_sc1.0_wd0.0_s0", "s5_mech__adamw_sc1.0_wd0.01_s0"]


def read(folder: Path, text: Any, name: str = "log.json", reader: Reader | None = None) -> list[RawRun]:
    reader = reader or JsonReader()
    path = folder / name
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    assert reader.recognizes(path, path.read_bytes()[: 2**16])
    return reader.read(path)


def read_lines(folder: Path, text: str, name: str = "log.jsonl") -> list[RawRun]:
    return read(folder, text, name, JsonLinesReader())


def plain(run: RawRun) -> dict[str, list[float]]:
    assert all(column.step is None for column in run.columns.values())
    return {name: column.values.tolist() for name, column in run.columns.items()}


def stepped(run: RawRun) -> dict[str, list[tuple[float, float]]]:
    assert all(column.step is not None for column in run.columns.values())
    return {
        name: list(zip(column.step.tolist(), column.values.tolist(), strict=True))  # type: ignore[union-attr]
        for name, column in run.columns.items()
    }


def test_a_real_history_has_the_steps_of_each_length() -> None:
    path = outside("logs/atgugu__grokking_experiments/p113_wd1.0_s42_lr0.01.metrics.json")
    value = json.loads(path.read_text())
    history = value["history"]
    assert JsonReader().recognizes(path, path.read_bytes()[: 2**16])
    (run,) = JsonReader().read(path)
    assert list(run.columns) == ["train_loss", "test_loss", "train_acc", "test_acc", "weight_norm", "gini"]
    for name, points in stepped(run).items():
        steps = history["fourier_epochs" if name == "gini" else "eval_epochs"]
        assert points == list(zip(steps, history[name], strict=True))
    assert run.attributes == {key: item for key, item in value.items() if not isinstance(item, dict | list)}
    assert "left out, as no array of their length holds steps: 'final_key_frequencies' (5 values)" in run.notes[-1]


@pytest.mark.parametrize("name", LINES)
def test_real_lines_with_their_configuration(name: str) -> None:
    path = outside(f"logs/PeterPonyu__muon-norm-cap-grokking/{name}.jsonl")
    first, *rows, summary = [json.loads(line) for line in path.read_text().splitlines()]
    assert "_summary" in summary
    assert JsonLinesReader().recognizes(path, path.read_bytes()[: 2**16])
    (run,) = JsonLinesReader().read(path)
    assert run.attributes == first["_meta"]
    assert list(run.columns) == list(rows[0])
    for column in rows[0]:
        expected = [math.nan if row[column] is None else row[column] for row in rows]
        np.testing.assert_array_equal(run.columns[column].values, expected)
    assert list(run.notes) == ["lines that sum up the run skipped: 1"]


def test_columns_beside_scalars(tmp_path: Path) -> None:
    value = {"lr": 0.1, "model": {"width": 8, "name": "mlp"}, "step": [0, 5], "loss": [2.5, None], "ok": [True, False]}
    (run,) = read(tmp_path, value)
    assert run.attributes == {"lr": 0.1, "model.width": 8, "model.name": "mlp"}
    np.testing.assert_array_equal([column.values for column in run.columns.values()], [[0, 5], [2.5, math.nan], [1, 0]])
    assert list(run.columns) == ["step", "loss", "ok"]
    assert all(column.step is None for column in run.columns.values())


def test_the_names_for_numbers_that_python_writes(tmp_path: Path) -> None:
    (run,) = read(tmp_path, {"loss": [math.nan, math.inf, -math.inf, 10**400, 1]})
    np.testing.assert_array_equal(run.columns["loss"].values, [math.nan, math.inf, -math.inf, math.inf, 1])


def test_a_list_of_records(tmp_path: Path) -> None:
    (run,) = read(tmp_path, [{"step": 0, "train": {"loss": 4}, "opt": "adam"}, {"step": 1, "train": {"loss": 2}}])
    assert plain(run) == {"step": [0, 1], "train/loss": [4, 2]}
    assert run.attributes == {"opt": "adam"}


def test_what_pandas_wrote(tmp_path: Path) -> None:
    frame = pd.DataFrame({"step": [0, 1, 2], "loss": [0.1, 0.2, 0.25]})
    frame.to_json(tmp_path / "list.json", orient="records")
    frame.to_json(tmp_path / "lines.jsonl.gz", orient="records", lines=True)
    for reader, name in ((JsonReader(), "list.json"), (JsonLinesReader(), "lines.jsonl.gz")):
        path = tmp_path / name
        assert reader.recognizes(path, path.read_bytes())
        (run,) = reader.read(path)
        assert plain(run) == {"step": [0, 1, 2], "loss": [0.1, 0.2, 0.25]}


def test_records_beside_a_configuration(tmp_path: Path) -> None:
    (run,) = read(tmp_path, {"config": {"seed": 1}, "log": [{"step": 0, "loss": 1}, {"step": 1, "loss": 2}]})
    assert (plain(run), run.attributes) == ({"step": [0, 1], "loss": [1, 2]}, {"seed": 1})


@pytest.mark.parametrize("key", ["config", "args", "hparams"])
def test_lists_of_a_configuration_tell_runs_apart(tmp_path: Path, key: str) -> None:
    history = {"step": [0, 1, 2], "loss": [3, 2, 1]}
    settings = {"betas": [0.9, 0.99], "lr": 0.1, "model": {"widths": [8, 4]}}
    (tmp_path / "log.json").write_text(json.dumps({key: settings, "history": history}))
    (run,) = read_log(tmp_path / "log.json")
    assert configuration(run) == {"beta1": 0.9, "beta2": 0.99, "lr": 0.1, "model.widths": "[8, 4]"}
    assert list(run) == ["train_loss"]


def test_histories_under_the_name_of_a_configuration_are_histories(tmp_path: Path) -> None:
    (run,) = read(tmp_path, {"step": list(range(100)), "params": {"norm": list(range(100))}})
    assert plain(run) == {"step": list(range(100)), "norm": list(range(100))}


CURVE = [float(k) for k in range(50)]


@pytest.mark.parametrize(
    ("value", "columns"),
    [
        (
            {"params": {"step": CURVE, "train_loss": CURVE, "val_accuracy": CURVE}},
            {"step", "train_loss", "val_accuracy"},
        ),
        ({"meta": {"train": {"loss": CURVE}}, "val_accuracy": CURVE}, {"train.loss", "val_accuracy"}),
        ({"config": {"steps": CURVE}, "train_loss": CURVE}, {"steps", "train_loss"}),
        ({"config": {"betas": [0.9, 0.99]}, "params": {"step": CURVE, "loss": CURVE}}, {"step", "loss"}),
    ],
)
def test_curves_under_the_name_of_a_configuration_are_curves(tmp_path: Path, value: Any, columns: set[str]) -> None:
    (run,) = read(tmp_path, value)
    assert plain(run) == dict.fromkeys(columns, CURVE)


@pytest.mark.parametrize(
    "runs",
    [
        {"runs": [{"seed": seed, "config": {"betas": [0.8, 0.9]}, "loss": CURVE} for seed in (0, 1)]},
        {"step": CURVE, "loss": [CURVE, CURVE]},
        {"loss": [[step, 1.0] for step in CURVE]},
        {"log": [{"step": step, "loss": 1.0} for step in CURVE]},
    ],
)
def test_a_short_list_beside_longer_curves_is_a_setting(tmp_path: Path, runs: dict[str, Any]) -> None:
    for run in read(tmp_path, {"args": {"milestones": [3, 4], "long": CURVE[:30]}, **runs}):
        assert (run.attributes["milestones"], run.attributes["long"]) == ([3, 4], CURVE[:30])


def test_names_are_dotted_only_where_needed(tmp_path: Path) -> None:
    value = {
        "logs": {
            "train": {"loss": [1, 2], "acc": [3, 4]},
            "probe": {"rank": [5, 6]},
            "a": {"x": [0, 0]},
            "b": {"x": [1, 1]},
        }
    }
    (run,) = read(tmp_path, value)
    assert list(run.columns) == ["train.loss", "train.acc", "rank", "a.x", "b.x"]
    (run,) = read(tmp_path, {"logs": {"a": {"loss": [1, 2], "acc": [3, 4]}, "b": {"loss": [5, 6]}}})
    assert list(run.columns) == ["a.loss", "a.acc", "b.loss"]
    (run,) = read(tmp_path, {"logs": {"loss": {"train": [1, 2], "val": [3, 4]}}})
    assert list(run.columns) == ["loss.train", "loss.val"]


def test_steps_are_looked_for_nearest_first(tmp_path: Path) -> None:
    value = {"train": {"step": [0, 1], "loss": [1, 2]}, "val": {"step": [0, 9], "loss": [3, 4]}}
    assert stepped(read(tmp_path, value)[0]) == {"train.loss": [(0, 1), (1, 2)], "val.loss": [(0, 3), (9, 4)]}


def test_steps_are_matched_by_name_at_equal_lengths(tmp_path: Path) -> None:
    value = {"train_steps": [0, 1], "val_steps": [0, 9], "val_loss": [3, 4], "train_loss": [1, 2]}
    assert stepped(read(tmp_path, value)[0]) == {"val_loss": [(0, 3), (9, 4)], "train_loss": [(0, 1), (1, 2)]}


def test_epochs_beside_steps_stay_a_column(tmp_path: Path) -> None:
    value = {"step": [0, 10, 20], "epoch": [0, 1, 2], "loss": [3, 2, 1], "eval_steps": [0, 20], "eval_loss": [5, 4]}
    assert stepped(read(tmp_path, value)[0]) == {
        "epoch": [(0, 0), (10, 1), (20, 2)],
        "loss": [(0, 3), (10, 2), (20, 1)],
        "eval_loss": [(0, 5), (20, 4)],
    }


def test_without_steps_only_the_longest_columns_stay(tmp_path: Path) -> None:
    (run,) = read(tmp_path, {"train_loss": [4, 3, 2, 1], "train_acc": [0, 0, 1, 1], "val_loss": [5, 6]})
    assert plain(run) == {"train_loss": [4, 3, 2, 1], "train_acc": [0, 0, 1, 1]}
    assert list(run.notes) == ["left out, as no array of their length holds steps: 'val_loss' (2 values)"]


def test_pairs_of_step_and_value(tmp_path: Path) -> None:
    (run,) = read(tmp_path, {"loss": [[0, 4.5], [10, 2.5], [20, 1.5]], "acc": [[0, 0.1], [5, 0.2], [5, 0.3], [6, 1]]})
    assert stepped(run) == {"loss": [(0, 4.5), (10, 2.5), (20, 1.5)], "acc": [(0, 0.1), (5, 0.2), (5, 0.3), (6, 1)]}


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ({"runs": [{"seed": 4, "loss": [1, 2]}, {"seed": 5, "loss": [3, 4]}]}, ["seed 4", "seed 5"]),
        ([{"config": {"seed": 4}, "loss": [1, 2]}, {"config": {"seed": 5}, "loss": [3, 4]}], ["seed 4", "seed 5"]),
        ([{"steps": 9, "loss": [1, 2]}, {"steps": 9, "loss": [3, 4]}], ["run 0", "run 1"]),
        ({"lr": 1, "seed_0": {"loss": [1, 2]}, "seed_1": {"loss": [3, 4]}}, ["seed 0", "seed 1"]),
        ({"0": [{"loss": 1}, {"loss": 2}], "1": [{"loss": 3}, {"loss": 4}]}, ["run 0", "run 1"]),
        ({"runs": {"seed0": {"loss": [1, 2]}, "seed1": {"loss": [3, 4]}}}, ["seed 0", "seed 1"]),
        ({"seeds": [4, 5], "steps": [0, 1, 2], "loss": [[1, 2, 0], [3, 4, 0]]}, ["seed 4", "seed 5"]),
    ],
)
def test_several_runs(tmp_path: Path, value: Any, names: list[str]) -> None:
    runs = read(tmp_path, value)
    assert [run.name for run in runs] == names
    assert [run.columns["loss"].values[:2].tolist() for run in runs] == [[1, 2], [3, 4]]
    if isinstance(value, dict) and "lr" in value:
        assert [run.attributes for run in runs] == [{"lr": 1}, {"lr": 1}]


def test_a_list_of_numbers_beside_a_run_is_no_run(tmp_path: Path) -> None:
    (run,) = read(tmp_path, {"seed_0": {"loss": [1, 2]}, "seed_1": [3, 4]})
    assert plain(run) == {"loss": [1, 2], "seed_1": [3, 4]}


def test_runs_named_by_their_setting(tmp_path: Path) -> None:
    value = {"adam": {"step": [0, 1], "loss": [1, 2]}, "sgd": {"step": [0, 2], "loss": [3, 4]}}
    runs = read(tmp_path, value)
    assert [(run.name, plain(run)) for run in runs] == list(value.items())


def test_lines_with_nesting_and_a_cut_end(tmp_path: Path) -> None:
    text = '{"step": 0, "train": {"loss": NaN}}\n\n{"step": 1, "train": {"loss": 2}}\n{"step": 2, "tra'
    (run,) = read_lines(tmp_path, text)
    assert run.columns["step"].values.tolist() == [0, 1]
    np.testing.assert_array_equal(run.columns["train/loss"].values, [math.nan, 2])
    assert list(run.notes) == ["line 4 is cut short and was left out; the writer was killed"]


def test_lines_of_several_splits_and_seeds(tmp_path: Path) -> None:
    rows = [
        {"seed": seed, "step": step, "split": split, "loss": seed + step + len(split)}
        for seed in (0, 1)
        for step in (0, 100)
        for split in ("train", "test")
    ]
    runs = read_lines(tmp_path, "\n".join(map(json.dumps, rows)))
    assert [run.name for run in runs] == ["seed 0", "seed 1"]
    assert stepped(runs[1]) == {"train/loss": [(0, 6), (100, 106)], "test/loss": [(0, 5), (100, 105)]}


def test_a_first_line_of_another_kind_is_the_configuration(tmp_path: Path) -> None:
    (run,) = read_lines(tmp_path, '{"lr": 0.1, "seed": 3}\n{"step": 0, "loss": 1}\n{"step": 1, "loss": 2}\n')
    assert (plain(run), run.attributes) == ({"step": [0, 1], "loss": [1, 2]}, {"lr": 0.1, "seed": 3})


def test_lines_in_a_file_named_json(tmp_path: Path) -> None:
    text = '{"step": 0, "loss": 1}\n{"step": 1, "loss": 2}\n'
    (run,) = read_lines(tmp_path, text, "log.json")
    assert plain(run) == {"step": [0, 1], "loss": [1, 2]}
    with pytest.raises(InputError, match=r"line 2: is not JSON \(Extra data\); one value a line is JSON Lines"):
        JsonReader().read(tmp_path / "log.json")


@pytest.mark.parametrize(
    ("reader", "content", "message"),
    [
        (JsonReader(), b"", "the file is empty"),
        (JsonReader(), b'{"loss": [1, 2', "line 1: is not JSON"),
        (JsonReader(), b'{"loss":\n[1, 2,\n}', "line 3: is not JSON"),
        (JsonReader(), b"\x80\x04\x95\0\0", "binary file"),
        (JsonReader(), b"[" * 100_000, "can't be read as JSON"),
        (JsonReader(), b'{"loss": ' + b"9" * 5000 + b"}", "can't be read as JSON"),
        (JsonReader(), b"{}", "holds no list of numbers"),
        (JsonReader(), b"[]", "holds no list of numbers"),
        (JsonReader(), b"3", "holds no list of numbers"),
        (JsonReader(), b'"loss"', "holds no list of numbers"),
        (JsonReader(), b"null", "holds no list of numbers"),
        (JsonReader(), b'{"loss": 1, "name": "x"}', "holds no list of numbers"),
        (JsonReader(), b'{"names": ["x", "y"], "nested": [[1], [2, 3]]}', "holds no list of numbers"),
        (JsonReader(), b'[{"name": "x"}, {"name": "y"}]', "no column holds numbers"),
        (JsonReader(), gzip.compress(b"[1, 2]", mtime=0)[:12], "damaged or cut short"),
        (JsonLinesReader(), b'{"step": 0}\n{"step": }\n{"step": 2}\n', "line 2: is not JSON"),
        (JsonLinesReader(), b'{"step": 0}\n[1, 2]\n', "line 2: is no JSON object"),
        (JsonLinesReader(), b'{"step": 0, "lo', "line 1: is not JSON"),
        (JsonLinesReader(), b'{"_meta": {"lr": 1}}\n', "has no line with a row"),
        (JsonLinesReader(), b"step,loss\n0,1\n", "line 1: is not JSON"),
    ],
)
def test_what_is_no_log_is_refused_in_one_line(tmp_path: Path, reader: Reader, content: bytes, message: str) -> None:
    path = tmp_path / "log.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        reader.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.json", b"step,loss\n0,1\n"),
        ("a.json", b""),
        ("a.json", b"\x89PNG{\0"),
        ("a.ipynb", b'{"cells": []}'),
        ("a.csv", b"[1, 2]"),
    ],
)
def test_what_is_not_recognized(name: str, head: bytes) -> None:
    assert not JsonReader().recognizes(Path(name), head)
    assert not JsonLinesReader().recognizes(Path(name), head)


def test_a_cut_anywhere_gives_a_run_or_an_input_error(tmp_path: Path) -> None:
    text = "\n".join(json.dumps({"step": step, "a": {"loss": 1 / (step + 1)}}) for step in range(3))
    path = tmp_path / "log.jsonl"
    rows = []
    for end in range(1, len(text) + 1):
        path.write_text(text[:end])
        try:
            rows.append(len(JsonLinesReader().read(path)[0].columns["step"].values))
        except InputError:
            rows.append(0)
    assert rows == sorted(rows)
    assert set(rows) == {0, 1, 2, 3}


def test_series_with_steps_of_their_own_as_sacred_and_clearml_export_them(tmp_path):
    series = {"steps": [0, 10, 20], "timestamps": ["a", "b", "c"], "values": [3, 2, 1]}
    (run,) = read(tmp_path, {"training.loss": series, "validation.accuracy": series | {"values": [0.1, 0.2, 0.3]}})
    assert list(run.columns) == ["training.loss", "validation.accuracy"]
    assert run.columns["training.loss"].step.tolist() == [0, 10, 20]
    assert run.columns["validation.accuracy"].values.tolist() == [0.1, 0.2, 0.3]
    sides = {
        "train": {"name": "train", "x": [0, 1, 2], "y": [3, 2, 1]},
        "val": {"name": "val", "x": [0, 2], "y": [4, 2]},
    }
    (run,) = read(tmp_path, {"loss": sides})
    assert list(run.columns) == ["loss.train", "loss.val"]
    assert run.columns["loss.val"].step.tolist() == [0, 2]


def test_records_that_share_no_keys_make_no_table_without_end(tmp_path, monkeypatch):
    monkeypatch.setenv("SLINGSHOT_MOST_MEGABYTES", "1")
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f'{{"step": {k}, "m{k}": 1}}\n' for k in range(300)))
    with pytest.raises(InputError, match="has 301 keys, a table of 2 MB, more than the 1 MB that are read"):
        read_log(path)


def test_runs_stand_under_a_key_for_runs_alone(tmp_path: Path) -> None:
    history = [{"step": [0, 1, 2], "loss": [2.0, 1.0, 0.5]}, {"step": [0, 1, 2], "loss": [3.0, 2.0, 1.0]}]
    assert [len(run.columns["loss"].values) for run in read(tmp_path, {"lr": 0.1, "runs": history})] == [3, 3]
    (run,) = read(tmp_path, {"step": [0, 1, 2], "loss": [2.0, 1.0, 0.5], "layers": [{"size": 3}, {"size": 4}]})
    assert list(run.columns) == ["loss"]
