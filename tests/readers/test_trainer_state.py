from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outside import outside

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers.trainer_state import TrainerStateReader


def write(folder: Path, value: Any) -> Path:
    path = folder / "trainer_state.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_a_real_state() -> None:
    path = outside("logs/aigoncharov__trainer_state_viz/trainer_state.json")
    state = json.loads(path.read_text())
    assert TrainerStateReader().recognizes(path, path.read_bytes()[: 2**16])
    (run,) = TrainerStateReader().read(path)
    keys = {key for record in state["log_history"] for key in record} - {"step"}
    assert set(run.columns) == keys
    for key in keys:
        rows = [(record["step"], record[key]) for record in state["log_history"] if key in record]
        steps, values = zip(*rows, strict=True)
        np.testing.assert_array_equal(run.columns[key].step, steps)
        np.testing.assert_array_equal(run.columns[key].values, values)
    assert len(run.columns["eval_g0_loss"].values) == 31
    assert (run.attributes["global_step"], run.attributes["train_batch_size"]) == (12030, 4)


def test_training_and_evaluation_stand_at_their_own_steps(tmp_path: Path) -> None:
    history = [
        {"epoch": 0.1, "grad_norm": 2.5, "learning_rate": 1e-4, "loss": 4.5, "step": 10},
        {"epoch": 0.1, "eval_loss": 5.5, "eval_runtime": 1, "step": 10},
        {"epoch": 0.2, "grad_norm": math.nan, "learning_rate": 5e-5, "loss": 3.5, "step": 20},
        {"epoch": 0.2, "step": 20, "total_flos": 1e15, "train_loss": 4.0, "train_runtime": 60.5},
    ]
    path = write(tmp_path, {"best_metric": None, "global_step": 20, "log_history": history})
    assert TrainerStateReader().recognizes(path, path.read_bytes())
    (run,) = TrainerStateReader().read(path)
    found = {
        name: (column.step.tolist(), column.values.tolist())
        for name, column in run.columns.items()
        if column.step is not None
    }
    assert found.pop("grad_norm")[0] == [10, 20]
    np.testing.assert_array_equal(run.columns["grad_norm"].values, [2.5, math.nan])
    assert found == {
        "epoch": ([10, 10, 20], [0.1, 0.1, 0.2]),
        "learning_rate": ([10, 20], [1e-4, 5e-5]),
        "loss": ([10, 20], [4.5, 3.5]),
        "eval_loss": ([10], [5.5]),
        "eval_runtime": ([10], [1]),
    }
    assert run.attributes == {"global_step": 20, "total_flos": 1e15, "train_loss": 4.0, "train_runtime": 60.5}
    assert list(run.notes) == ["the record with 'train_runtime' sums up the run; it is among the attributes"]


def test_entries_without_a_step_are_left_out_and_said(tmp_path: Path) -> None:
    history = [{"step": 0, "loss": 3}, {"predict_loss": 1, "epoch": 0}, {"step": 30, "loss": 2}]
    (run,) = TrainerStateReader().read(write(tmp_path, {"log_history": history}))
    assert run.columns["loss"].step.tolist() == [0, 30]
    assert run.columns["loss"].values.tolist() == [3, 2]
    assert list(run.columns) == ["loss"]
    assert run.notes == ["entries without a step left out: 1, with predict_loss, epoch"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "the file is empty"),
        ('{"log_history": [{"step": 1, "lo', "line 1: is not JSON"),
        ([], "log_history is no list of records"),
        ({"global_step": 1}, "log_history is no list of records"),
        ({"log_history": [1]}, "log_history is no list of records"),
        ({"log_history": []}, "log_history holds no numbers"),
        ({"log_history": [{"loss": 1}, {"loss": 2}]}, "log_history holds no numbers with a step"),
    ],
)
def test_what_is_no_state_is_refused_in_one_line(tmp_path: Path, value: Any, message: str) -> None:
    path = write(tmp_path, value)
    with pytest.raises(InputError, match=message) as caught:
        TrainerStateReader().read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_other_json_is_not_recognized() -> None:
    assert not TrainerStateReader().recognizes(Path("trainer_state.json"), b'{"loss": [1, 2]}')
    assert not TrainerStateReader().recognizes(Path("a.csv"), b'"log_history",step\n1,2\n')
