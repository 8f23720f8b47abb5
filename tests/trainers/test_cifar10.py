"""The CIFAR-10 reader against a parse by hand, files that are wrong, and the setups that use it."""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from outside import outside

from slingshot_analysis import InputError
from trainers.data import cifar10
from trainers.data.cifar10 import Cifar10, find_folder, read_images
from trainers.models.mlp import MLP
from trainers.run import Run
from trainers.setups import cifar10_mlp, find_setup

SETUPS = {setup.name: setup for setup in cifar10_mlp.SETUPS}
NAMES = [*cifar10.TRAIN_FILES, cifar10.VAL_FILE]


def file_bytes(records, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, (records, 1))
    return np.hstack([labels, random.integers(0, 256, (records, 3072))]).astype(np.uint8).tobytes()


def make(folder, seed=0, **fields):
    return Cifar10(folder=str(folder), **fields).make(torch.Generator().manual_seed(seed))


@pytest.fixture
def folder(tmp_path):
    """Two training files of 30 and 20 records, and a test file of 12."""
    path = tmp_path / "cifar"
    path.mkdir()
    for seed, (name, records) in enumerate(
        [("data_batch_1.bin", 30), ("data_batch_4.bin", 20), ("test_batch.bin", 12)]
    ):
        (path / name).write_bytes(file_bytes(records, seed))
    return path


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """No download, no cache of the user and no environment variable, unless a test brings its own."""
    pooch = pytest.importorskip("pooch", reason="pooch is not installed")

    def retrieve(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.delenv("SLINGSHOT_DATA", raising=False)


def test_reader_against_numpy():
    folder = outside("cifar10")
    for name, records in [("data_batch_1.bin", 2000), ("test_batch.bin", 1000)]:
        images, targets = read_images(folder / name)
        raw = np.frombuffer((folder / name).read_bytes(), np.dtype([("label", "u1"), ("pixels", "u1", (3, 32, 32))]))
        assert images.shape == (records, 3, 32, 32)
        assert (images.dtype, targets.dtype) == (torch.uint8, torch.int64)
        np.testing.assert_array_equal(images, raw["pixels"])
        np.testing.assert_array_equal(targets, raw["label"])


def test_the_first_images_are_a_frog_and_a_cat():
    folder = outside("cifar10")
    images, targets = read_images(folder / "data_batch_1.bin")
    assert targets[:5].tolist() == [6, 9, 9, 4, 1]
    assert images[0, :, 0, 0].tolist() == [59, 62, 63]
    assert read_images(folder / "test_batch.bin")[1][:4].tolist() == [3, 8, 8, 0]


def test_subset_is_drawn_from_all_training_files(folder):
    data = make(folder, train=50, val=12)
    raw = np.frombuffer(file_bytes(30, 0) + file_bytes(20, 1), np.uint8).reshape(50, 3073)
    rows = np.column_stack([data.train_targets, (data.train_inputs.reshape(50, -1) * 255).round()]).astype(np.uint8)
    assert sorted(map(bytes, rows)) == sorted(map(bytes, raw))
    assert not np.array_equal(rows, raw)
    assert data.train_inputs.dtype == torch.float32
    assert (data.train_inputs.min(), data.train_inputs.max(), data.classes) == (0, 1, 10)


def test_validation_is_the_start_of_the_test_file(folder):
    raw = np.frombuffer(file_bytes(12, 2), np.uint8).reshape(12, 3073)
    for asked, given in [(5, 5), (12, 12), (10_000, 12)]:
        data = make(folder, train=1, val=asked)
        np.testing.assert_array_equal(data.val_targets, raw[:given, 0])
        np.testing.assert_allclose(data.val_inputs.reshape(given, -1), raw[:given, 1:] / np.float32(255), rtol=1e-6)


def test_a_seed_fixes_the_subset(folder):
    first, again, other = make(folder, 1, train=10), make(folder, 1, train=10), make(folder, 2, train=10)
    assert torch.equal(first.train_inputs, again.train_inputs)
    assert not torch.equal(first.train_inputs, other.train_inputs)
    assert torch.equal(first.val_inputs, other.val_inputs)


def test_too_few_training_images(folder):
    with pytest.raises(InputError, match=r"has 50 training images, but data.train is 51"):
        make(folder, train=51)
    with pytest.raises(InputError, match="at least one training"):
        Cifar10(train=0)


@pytest.mark.parametrize("size", [0, 1, 3072, 3073 * 4 - 1, 3074 * 4])
def test_a_file_of_a_wrong_size_is_named(folder, size):
    (folder / "data_batch_4.bin").write_bytes(bytes(size))
    with pytest.raises(InputError, match=rf"data_batch_4.bin: has {size} bytes, which is not a multiple of 3073"):
        make(folder, train=1)


def test_a_label_that_is_none_is_refused(folder):
    (folder / "test_batch.bin").write_bytes(bytes([10]) + bytes(3072))
    with pytest.raises(InputError, match=r"test_batch.bin: has the label 10, but CIFAR-10 has 0 to 9"):
        make(folder, train=1)


@pytest.mark.parametrize("missing", ["test_batch.bin", "data_batch_?.bin", ""])
def test_a_folder_without_the_files_is_refused(folder, missing, monkeypatch):
    where = folder if missing else folder / "nowhere"
    for path in folder.glob(missing or "nothing"):
        path.unlink()
    with pytest.raises(InputError, match=r"data.folder is .*test_batch.bin.*set data.folder to a folder"):
        make(where)
    monkeypatch.setenv("SLINGSHOT_DATA", str(where))
    with pytest.raises(InputError, match="the environment variable SLINGSHOT_DATA is"):
        make("")


def test_folder_then_environment_then_cache(folder, tmp_path, monkeypatch):
    cached = tmp_path / "cache/slingshot/cifar-10-batches-bin"
    cached.mkdir(parents=True)
    for name in NAMES:
        (cached / name).write_bytes(file_bytes(1))
    assert find_folder() == cached
    outer = tmp_path / "outer"
    (outer / "cifar-10-batches-bin").mkdir(parents=True)
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (outer / "cifar-10-batches-bin" / name).write_bytes(file_bytes(1))
    monkeypatch.setenv("SLINGSHOT_DATA", str(outer))
    assert find_folder() == outer / "cifar-10-batches-bin"
    assert find_folder(str(folder)) == folder


def test_a_download_fills_the_cache_once(tmp_path, monkeypatch):
    calls = []

    def retrieve(url, known_hash, fname, path, processor):
        calls.append((url, known_hash))
        archive = Path(path) / fname
        with tarfile.open(archive, "w:gz") as tar:
            for seed, name in enumerate(NAMES):
                info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                info.size = 2 * 3073
                tar.addfile(info, io.BytesIO(file_bytes(2, seed)))
        return processor(str(archive), "download", None)

    monkeypatch.setattr("pooch.retrieve", retrieve)
    assert len(make("", train=10, val=2).train_inputs) == 10
    make("", train=10)
    assert calls == [(cifar10.URL, f"sha256:{cifar10.SHA256}")]
    cached = tmp_path / "cache/slingshot/cifar-10-batches-bin"
    assert {path.name: path.read_bytes() for path in cached.iterdir()} == {
        name: file_bytes(2, seed) for seed, name in enumerate(NAMES)
    }


def test_without_network_the_error_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"can't be downloaded .*no route to host.*set data.folder to a folder"):
        make("")
    assert not list((tmp_path / "cache/slingshot/cifar-10-batches-bin").iterdir())


def test_without_pooch_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(InputError, match=r"slingshot-analysis\[trainers\].*set data.folder to a folder"):
        make("")


def test_images_are_flattened_and_bits_are_not(folder):
    model = MLP(layers=2, width=7).build(make(folder, train=3))
    assert [type(module).__name__ for module in model] == ["Flatten", "Linear", "ReLU", "Linear"]
    assert (model[1].in_features, model[3].out_features) == (3072, 10)
    parity = Run(find_setup("parity_3_50"), torch.device("cpu")).model
    assert [type(module).__name__ for module in parity] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]


@pytest.mark.parametrize(("layers", "linear"), [(6, True), (1, True), (6, False)])
def test_only_a_deep_linear_network_is_affine(folder, layers, linear):
    data = make(folder, train=2)
    torch.manual_seed(0)
    model = MLP(layers, 64, linear).build(data).double()
    x, y = torch.randn(2, 5, 3, 32, 32, dtype=torch.float64)
    deviation = (model(x) + model(y) - model(torch.zeros_like(x)) - model(x + y)).abs().max()
    assert (deviation < 1e-12) == linear
