from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outside import outside

from slingshot_analysis.configuration import configuration, is_seed
from slingshot_analysis.errors import InputError
from slingshot_analysis.readers import read_log
from slingshot_analysis.readers._raw import RawRun
from slingshot_analysis.readers.numpy_log import NumPyReader

REAL = "logs/ClevixLab__critical-norm-grokking/parity__adamw_n30_k3_m1500_H512_wd1e00_lr1e-03__free.npz"


def saved(folder: Path, **arrays: Any) -> list[RawRun]:
    path = folder / "log.npz"
    np.savez(path, **arrays)
    assert NumPyReader().recognizes(path, path.read_bytes()[: 2**16])
    return NumPyReader().read(path)


def values(run: RawRun) -> dict[str, list[float]]:
    return {name: column.values.tolist() for name, column in run.columns.items()}


def test_a_real_archive_of_sixteen_seeds() -> None:
    path = outside(REAL)
    assert NumPyReader().recognizes(path, path.read_bytes()[: 2**16])
    runs = NumPyReader().read(path)
    assert [run.name for run in runs] == [f"seed {seed}" for seed in range(16)]
    with np.load(path, allow_pickle=False) as archive:
        metrics = [name for name in archive.files if archive[name].ndim == 2]
        assert len(metrics) == 8
        for seed, run in enumerate(runs):
            assert list(run.columns) == ["steps", *metrics]
            np.testing.assert_array_equal(run.columns["steps"].values, archive["steps"])
            for name in metrics:
                np.testing.assert_array_equal(run.columns[name].values, archive[name][seed])
            assert all(column.step is None for column in run.columns.values())
            assert run.attributes["results"]["T_grok_per_seed"] == archive["T_grok_per_seed"][seed]
            assert len(run.attributes["results"]) == 5
            assert (run.attributes["n"], run.attributes["arm"]) == (30, "free")
            assert run.attributes["lr"] == 0.001
    known = {"n", "k", "m", "H", "lam", "lr", "arm", "rho", "t_int", "wc_used", "max_steps", "m_test", "diverged"}
    assert all(configuration(log).keys() == known for log in read_log(path))


def test_columns_and_scalars(tmp_path: Path) -> None:
    (run,) = saved(
        tmp_path, step=np.arange(3), loss=np.float32([3, 2, 1]), ok=[True, False, True], lr=0.1, tag="x", one=[7]
    )
    assert values(run) == {"step": [0, 1, 2], "loss": [3, 2, 1], "ok": [1, 0, 1]}
    assert run.attributes == {"lr": 0.1, "tag": "x", "one": 7}
    assert run.name == ""


def test_evaluations_at_their_own_steps(tmp_path: Path) -> None:
    (run,) = saved(tmp_path, step=[0, 1, 2], loss=[3, 2, 1], eval_steps=[0, 2], eval_loss=[5, 4], words=["a", "b"])
    found = {
        name: (column.step.tolist(), column.values.tolist())
        for name, column in run.columns.items()
        if column.step is not None
    }
    assert found == {"loss": ([0, 1, 2], [3, 2, 1]), "eval_loss": ([0, 2], [5, 4])}
    assert "arrays left out, being no tables of numbers: 'words'" in run.notes


@pytest.mark.parametrize("turned", [False, True])
def test_seeds_on_either_axis(tmp_path: Path, turned: bool) -> None:
    loss, acc = np.arange(12.0).reshape(2, 6), -np.arange(12.0).reshape(2, 6)
    runs = saved(tmp_path, steps=np.arange(6), loss=loss.T if turned else loss, acc=acc, seeds=[40, 41])
    assert [run.name for run in runs] == ["seed 40", "seed 41"]
    for index, run in enumerate(runs):
        assert values(run) == {"steps": list(range(6)), "loss": loss[index].tolist(), "acc": acc[index].tolist()}


def test_a_table_of_one_run_names_no_seed(tmp_path: Path) -> None:
    (run,) = saved(tmp_path, steps=np.arange(6), loss=np.arange(6.0)[None], seeds=[40])
    assert (run.name, values(run)) == ("", {"steps": list(range(6)), "loss": list(range(6))})


def test_what_each_run_came_to_is_no_configuration_of_it(tmp_path: Path) -> None:
    came = {"T_grok": [30, 50], "norm_per_seed": [1.5, 2.5], "final_loss": 0.25}
    chosen = {"seeds": [40, 41], "peak_lr": [0.1, 0.2], "heads": [4, 4], "eps": np.float32(1e-3)}
    runs = saved(tmp_path, steps=np.arange(6), loss=np.ones((2, 6)), **came, **chosen)
    assert [run.attributes["results"] for run in runs] == [
        {"T_grok": 30, "norm_per_seed": 1.5},
        {"T_grok": 50, "norm_per_seed": 2.5},
    ]
    found = [configuration(log) for log in read_log(tmp_path / "log.npz")]
    assert found == [
        {"eps": 0.001, "seeds": 40, "peak_lr": 0.1, "heads": 4},
        {"eps": 0.001, "seeds": 41, "peak_lr": 0.2, "heads": 4},
    ]
    assert is_seed("seeds")


@pytest.mark.parametrize(
    "name",
    [
        *("init_scale", "dropout", "train_frac", "hidden_size", "loss_scale", "grad_acc_steps", "target_loss", "T_max"),
        *("warmup_step", "final_dropout", "max_grad_norm", "layer_norm", "label_noise", "memory_size"),
    ],
)
def test_what_is_swept_is_configuration(tmp_path: Path, name: str) -> None:
    saved(tmp_path, steps=np.arange(6), train_loss=np.ones((2, 6)), **{name: [1, 4]})
    assert [configuration(log) for log in read_log(tmp_path / "log.npz")] == [{name: 1}, {name: 4}]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "loss",
            "val_acc",
            "train_loss_final",
            "test_acc_at_end",
            "final_norm",
            "best_epoch",
            "acc_per_run",
            "grokked",
        ),
        *("T_mem", "grok_step", "steps_to_grok", "wn_at_grok", "norm_before_int", "min_val_loss", "t_fit", "diverged"),
    ],
)
def test_what_is_measured_is_no_configuration(tmp_path: Path, name: str) -> None:
    saved(tmp_path, steps=np.arange(6), train_loss=np.ones((2, 6)), **{name: [1, 4]})
    assert [configuration(log) for log in read_log(tmp_path / "log.npz")] == [{}, {}]


def test_a_table_beside_columns_is_no_table_of_seeds(tmp_path: Path) -> None:
    (run,) = saved(tmp_path, step=[0, 1, 2], loss=[3, 2, 1], layer_norm=[[1, 10], [2, 20], [3, 30]])
    assert values(run) == {
        "step": [0, 1, 2],
        "loss": [3, 2, 1],
        "layer_norm[0]": [1, 2, 3],
        "layer_norm[1]": [10, 20, 30],
    }


def test_a_table_of_weights_is_left_out(tmp_path: Path) -> None:
    (run,) = saved(tmp_path, step=[0, 1, 2], loss=[3, 2, 1], weights=np.zeros((5, 7)), cube=np.zeros((2, 2, 2)))
    assert values(run) == {"step": [0, 1, 2], "loss": [3, 2, 1]}
    assert list(run.notes) == [
        "arrays left out, being no tables of numbers: 'cube'",
        "tables left out, as no axis of theirs is that of the steps: 'weights' (5 x 7)",
    ]


@pytest.mark.parametrize(
    ("lengths", "kept"),
    [
        ({"a": 5, "b": 5, "c": 7}, ["a", "b"]),
        ({"a": 5, "c": 3, "b": 5, "d": 3, "e": 7}, ["a", "b"]),
        ({"a": 3, "b": 5, "c": 4}, ["b"]),
        ({"a": 3, "b": 3, "step": 5, "c": 5, "d": 4, "e": 4, "f": 4}, ["c"]),
    ],
    ids=["the shared length", "the longer one of two shared", "the longest", "that of the steps"],
)
def test_arrays_of_one_length_are_the_columns(tmp_path: Path, lengths: dict[str, int], kept: list[str]) -> None:
    (run,) = saved(tmp_path, **{name: np.arange(float(length)) for name, length in lengths.items()})
    assert [name for name in run.columns if name != "step"] == kept
    lost = [f"'{name}' ({length} values)" for name, length in lengths.items() if name not in [*kept, "step"]]
    assert run.notes[-1] == f"left out, as no array of their length holds steps: {', '.join(lost)}"


def test_one_array(tmp_path: Path) -> None:
    path = tmp_path / "log.npy"
    for array, expected in (
        (np.array([[0, 4.5], [1, 3.5], [2, 2.5]]), {"column_0": [0, 1, 2], "column_1": [4.5, 3.5, 2.5]}),
        (np.array([[0, 1, 2], [4.5, 3.5, 2.5]]), {"column_0": [0, 1, 2], "column_1": [4.5, 3.5, 2.5]}),
        (np.array([3, 2, 1]), {"column_0": [3, 2, 1]}),
        (
            np.array([(0, 4.5, "a"), (1, 3.5, "b")], dtype=[("step", "i8"), ("loss", "f4"), ("name", "U1")]),
            {"step": [0, 1], "loss": [4.5, 3.5]},
        ),
    ):
        np.save(path, array)
        assert NumPyReader().recognizes(path, path.read_bytes())
        (run,) = NumPyReader().read(path)
        assert values(run) == expected


class Mine:
    """Its pickle would leave a file behind when loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_pickles_are_refused_and_never_loaded(tmp_path: Path) -> None:
    mark = tmp_path / "loaded"
    objects = np.array([Mine(mark), None], dtype=object)
    np.save(tmp_path / "log.npy", objects)
    np.savez(tmp_path / "log.npz", loss=[1, 2], config=objects)
    for name, what in (("log.npy", "the array"), ("log.npz", "config")):
        with pytest.raises(InputError, match=f"{what} holds Python objects, which only pickle can load"):
            NumPyReader().read(tmp_path / name)
    assert not mark.exists()
    np.load(tmp_path / "log.npy", allow_pickle=True)
    assert mark.exists()


def test_what_is_no_file_of_numpy_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log.npz"
    np.savez(path, words=["a", "b"])
    with pytest.raises(InputError, match="holds no array of numbers"):
        NumPyReader().read(path)
    np.save(tmp_path / "none.npy", np.zeros((0, 2)))
    with pytest.raises(InputError, match=r"array of shape \(0, 2\) and type float64"):
        NumPyReader().read(tmp_path / "none.npy")
    for content, message in (
        (b"", "empty"),
        (b"step,loss\n0,1\n", "not a file that NumPy saved"),
        (b"PK\x05\x06", "not a file"),
    ):
        path.write_bytes(content)
        assert not NumPyReader().recognizes(path, content)
        with pytest.raises(InputError, match=message):
            NumPyReader().read(path)
    with pytest.raises(InputError, match="folder"):
        NumPyReader().read(tmp_path)


@pytest.mark.parametrize("name", ["log.npz", "log.npy"])
def test_a_cut_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("z"):
        np.savez_compressed(path, step=np.arange(9), loss=np.arange(9.0))
    else:
        np.save(path, np.arange(9.0))
    data = path.read_bytes()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(InputError) as caught:
            NumPyReader().read(path)
        assert "\n" not in str(caught.value)
