import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from outside import outside

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers.wandb_offline import (
    BLOCK,
    CHUNK_HEAD,
    FILE_HEAD,
    FULL,
    IDENT,
    MAGIC,
    VERSION,
    WandbReader,
    _read_records,
)

DATA = Path(__file__).parent / "data" / "wandb"
FOLDER = DATA / "offline-run-20261122_000001-parity1"
FILE = FOLDER / "run-parity1.wandb"


def read(path):
    return WandbReader().read(path)


@pytest.mark.parametrize("path", [FILE, FOLDER])
def test_a_run_of_more_than_one_block(path):
    assert FILE.stat().st_size > 32768
    (run,) = read(path)
    rows = np.arange(110.0)
    loss = 2 / (1 + rows)
    loss[20:22] = np.nan, np.inf
    assert run.name == ""
    assert set(run.columns) == {"train/loss", "val/accuracy", "nested.a", "_runtime", "_timestamp"}
    np.testing.assert_array_equal(run.columns["train/loss"].values, loss)
    np.testing.assert_array_equal(run.columns["train/loss"].step, 3 * rows)
    np.testing.assert_array_equal(run.columns["nested.a"].values, rows / 8)
    np.testing.assert_array_equal(run.columns["val/accuracy"].step, 3 * rows[::10])
    np.testing.assert_array_equal(run.columns["val/accuracy"].values, rows[::10] / 40)
    assert run.attributes == {
        "run_id": "parity1",
        "project": "parity",
        "seed": 1,
        "optimizer.name": "adam",
        "optimizer.lr": 0.001,
    }
    assert run.notes == ["values that are no single numbers were left out: weights, remark"]


def test_a_folder_of_runs(tmp_path):
    shutil.copytree(DATA, tmp_path / "wandb")
    for folder in (DATA, tmp_path):
        runs = read(folder)
        assert [run.name for run in runs] == ["seed 0", "seed 1"]
        assert [run.attributes["seed"] for run in runs] == [0, 1]


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for number in range(2):
        shutil.copytree(FOLDER, tmp_path / f"offline-run-{number}-parity1")
    assert [run.name for run in read(tmp_path)] == [f"seed 1 (offline-run-{number}-parity1)" for number in range(2)]


def test_a_run_of_2021_without_history():
    path = outside("logs/wandb__wandb/run-g9dvvkua.wandb")
    with pytest.raises(InputError, match="holds no logged numbers"):
        read(path)


def test_every_cut_reads_or_says_why(tmp_path):
    path, data = tmp_path / "run-1.wandb", FILE.read_bytes()
    lengths = []
    for size in [*range(0, 2000, 7), *range(2000, len(data), 997)]:
        path.write_bytes(data[:size])
        try:
            (run,) = read(path)
            lengths.append(len(run.columns["train/loss"].values))
        except InputError:
            refused = size
    assert refused < 1000  # no whole row stands before
    assert lengths == sorted(lengths)
    assert lengths[-1] > 100


def test_a_cut_tail_is_noted(tmp_path):
    path, data = tmp_path / "run-1.wandb", FILE.read_bytes()
    for changed in (data[:30000], data[:30000] + bytes(50)):
        path.write_bytes(changed)
        if changed == data[:30000]:
            assert read(path)[0].notes[0] == "run-1.wandb: its last record was cut and is left out"
    path.write_bytes(data + bytes(50))
    assert read(path)[0].notes[0] == "run-1.wandb: its last record was cut and is left out"


def test_no_flipped_bit_is_read_as_a_number(tmp_path):
    path, data = tmp_path / "run-1.wandb", FILE.read_bytes()
    for place in [*range(600), *range(32700, 32800)]:
        path.write_bytes(data[:place] + bytes([data[place] ^ 8]) + data[place + 1 :])
        with pytest.raises(InputError, match=r"damaged|missing|not a W&B run|of version") as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b":W", "not a W&B run"), (b"step,loss\n1,2\n", "not a W&B run"), (None, "no such file")],
)
def test_wrong_files(tmp_path, content, message):
    path = tmp_path / "run-1.wandb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(path)


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(InputError, match=r"no \.wandb file"):
        read(tmp_path)


def test_what_it_recognizes(tmp_path):
    reader = WandbReader()
    assert reader.recognizes(Path("x"), FILE.read_bytes()[:65536])
    assert reader.recognizes(DATA, b"")
    assert reader.recognizes(FOLDER, b"")
    assert not reader.recognizes(tmp_path, b"")
    assert not reader.recognizes(Path("run.csv"), b"step,loss\n")


@pytest.mark.parametrize("left", [0, 3, 6, 7])
def test_the_end_of_a_block_that_is_too_short_for_a_record_is_skipped(tmp_path, left):
    def record(size):
        rest = bytes([FULL]) + b"x" * size
        return struct.pack("<IH", zlib.crc32(rest), size) + rest

    size = BLOCK - FILE_HEAD.size - CHUNK_HEAD.size - left
    blank = left if left < CHUNK_HEAD.size else 0
    (tmp_path / "run-1.wandb").write_bytes(
        FILE_HEAD.pack(IDENT, MAGIC, VERSION) + record(size) + bytes(blank) + record(0 if left == 7 else 5)
    )
    records, notes = _read_records(tmp_path / "run-1.wandb")
    assert ([len(data) for data in records], notes) == ([size, 0 if left == 7 else 5], [])
