import h5py
import numpy as np
import pytest

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers.hdf5 import HDF5Reader
from slingshot_analysis.trace import Group, Quantity, TraceWriter

STEPS = np.arange(0, 500, 5)


def read(path):
    return HDF5Reader().read(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


def test_columns_steps_attributes_and_what_is_left_out(path):
    with h5py.File(path, "w") as file:
        file.attrs["lr"] = 1e-3
        file.attrs["name"] = np.bytes_("parity")
        file.attrs["sizes"] = [1, 2]
        file["train/step"] = STEPS
        file["train/loss"] = 1 / (1.0 + STEPS)
        file["train"].attrs["batch"] = 32
        file["val/accuracy"] = np.linspace(0, 1, 10, dtype=np.float32)
        file["val/Epoch"] = np.arange(10)
        file["val/passed"] = np.arange(10) > 5
        file["seed"] = 3
        file["weights"] = np.zeros((3, 4))
        file["remarks"] = [b"a", b"b"]
    (run,) = read(path)
    assert run.name == ""
    assert list(run.columns) == ["train/loss", "val/accuracy", "val/passed"]
    np.testing.assert_array_equal(run.columns["train/loss"].step, STEPS)
    np.testing.assert_array_equal(run.columns["train/loss"].values, 1 / (1.0 + STEPS))
    np.testing.assert_array_equal(run.columns["val/accuracy"].step, np.arange(10))
    np.testing.assert_array_equal(run.columns["val/accuracy"].values, np.linspace(0, 1, 10, dtype=np.float32))
    assert run.columns["val/passed"].values.tolist() == [0] * 6 + [1] * 4
    assert run.attributes == {"lr": 1e-3, "name": "parity", "train/batch": 32, "seed": 3}
    assert run.notes == ["datasets that are no one-dimensional numbers were left out: remarks (2,), weights (3, 4)"]


def test_a_flat_file_without_steps_is_a_table(path):
    with h5py.File(path, "w") as file:
        file["loss"], file["acc"], file["other"] = np.ones(7), np.zeros(7), np.ones(3)
    (run,) = read(path)
    assert list(run.columns) == ["acc", "loss"]
    assert all(column.step is None for column in run.columns.values())
    assert run.notes == ["datasets without steps and not of the common length 7 were left out: other"]


def test_the_better_of_two_step_datasets_is_used(path):
    with h5py.File(path, "w") as file:
        file["iteration"], file["epoch"], file["loss"] = STEPS, np.arange(100), np.ones(100)
    (run,) = read(path)
    assert list(run.columns) == ["epoch", "loss"]
    np.testing.assert_array_equal(run.columns["loss"].step, STEPS)
    np.testing.assert_array_equal(run.columns["epoch"].step, STEPS)


def test_an_epoch_that_stands_still_gives_no_steps(path):
    with h5py.File(path, "w") as file:
        file["epoch"], file["loss"] = np.arange(100) // 10, np.ones(100)
    (run,) = read(path)
    assert list(run.columns) == ["epoch", "loss"]
    assert run.columns["loss"].step is None


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("base", ["", "runs/"])
def test_groups_of_the_same_names_are_runs(path, base, shared):
    with h5py.File(path, "w") as file:
        file.attrs["setup"] = "parity"
        for seed in range(2):
            file[f"{base}seed_{seed}/train/loss"] = np.full(100, seed)
            file[f"{base}seed_{seed}"].attrs["seed"] = seed
            if not shared:
                file[f"{base}seed_{seed}/step"] = STEPS
        if shared:
            file[f"{base}step"] = STEPS
    runs = read(path)
    assert [run.name for run in runs] == ["seed_0", "seed_1"]
    for seed, run in enumerate(runs):
        assert run.attributes == {"setup": "parity", "seed": seed}
        assert list(run.columns) == ["train/loss"]
        np.testing.assert_array_equal(run.columns["train/loss"].values, np.full(100, seed))
        np.testing.assert_array_equal(run.columns["train/loss"].step, STEPS)


def test_splits_are_no_runs(path):
    with h5py.File(path, "w") as file:
        for split in ("train", "Val"):
            file[f"{split}/loss"], file[f"{split}/step"] = np.ones(100), STEPS
    (run,) = read(path)
    assert list(run.columns) == ["Val/loss", "train/loss"]


@pytest.mark.parametrize(
    "content", [b"", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + b"x" * 900, b"step,loss\n", None]
)
def test_wrong_files(path, content):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"run\.h5: ") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_folder(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read(tmp_path)


def test_a_file_without_columns(path):
    with h5py.File(path, "w") as file:
        file["weights"] = np.zeros((3, 4))
    with pytest.raises(InputError, match=r"no one-dimensional dataset of numbers; left out were weights \(3, 4\)"):
        read(path)


def test_every_cut_says_that_the_file_is_damaged(path):
    with h5py.File(path, "w") as file:
        file["loss"] = np.ones(1000)
    data = path.read_bytes()
    for size in range(8, len(data), 389):
        path.write_bytes(data[:size])
        with pytest.raises(InputError, match=r"run\.h5: ") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_it_recognizes_what_is_not_a_trace(path, tmp_path):
    reader = HDF5Reader()
    with h5py.File(path, "w") as file:
        file["loss"] = np.ones(3)
    assert reader.recognizes(path, path.read_bytes())
    trace = tmp_path / "trace.h5"
    with TraceWriter(trace, [Group("every_1", [Quantity("batch_loss")])]) as writer:
        writer.append("every_1", step=0, batch_loss=1.0)
        writer.flush()
        assert not reader.recognizes(trace, trace.read_bytes()[: 2**16])
    assert not reader.recognizes(trace, trace.read_bytes()[: 2**16])
    assert not reader.recognizes(tmp_path, b"")
    assert not reader.recognizes(tmp_path / "run.csv", b"step,loss\n")
