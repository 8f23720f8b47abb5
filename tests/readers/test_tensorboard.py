import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from outside import outside

from slingshot_analysis.crc32c import masked_checksums
from slingshot_analysis.errors import InputError
from slingshot_analysis.readers import read_log
from slingshot_analysis.readers._parts.protobuf import Message, read_varint
from slingshot_analysis.readers.tensorboard import TensorBoardReader, _scalar, _split

DATA = Path(__file__).parent / "data" / "tensorboard"
OLD = DATA / "old" / "seed_0" / "events.out.tfevents.1700000001.host"
STEPS = np.arange(40.0)
LOSS = 1 / (1 + STEPS)
LOSS[20:22] = np.nan, np.inf


def read(path):
    return TensorBoardReader().read(path)


def test_old_style_scalars():
    (run,) = read(OLD)
    assert run.name == ""
    assert list(run.columns) == ["train/loss", "val/loss"]
    np.testing.assert_array_equal(run.columns["train/loss"].values, LOSS.astype(np.float32))
    np.testing.assert_array_equal(run.columns["train/loss"].step, STEPS)
    np.testing.assert_array_equal(run.columns["val/loss"].step, [0, 10, 20, 30])
    np.testing.assert_array_equal(run.columns["val/loss"].values, (2 * LOSS[::10]).astype(np.float32))
    assert run.notes == ["values that are no single numbers were left out: weights, remark/text_summary"]


def test_tensors_as_floats_as_content_and_two_to_an_event():
    (run,) = read(DATA / "new")
    np.testing.assert_array_equal(run.columns["train/loss"].values, LOSS.astype(np.float32))
    np.testing.assert_array_equal(run.columns["thirds"].values, LOSS / 3)
    np.testing.assert_array_equal(run.columns["eighths"].values, STEPS / 8)
    assert all(np.array_equal(column.step, STEPS) for column in run.columns.values())


def test_folders_are_runs_and_hparams_belong_to_the_run_around_them():
    runs = read(DATA)
    assert [run.name for run in runs] == ["new", "old/seed_0", "old/seed_1"]
    assert runs[2].attributes == {"lr": 0.001, "optimizer": "adam", "bias": True}
    np.testing.assert_array_equal(runs[2].columns["final"].values, [0.5])


def test_a_step_that_repeats_stays_in_file_order():
    column = read(DATA / "old" / "seed_1")[0].columns["train/loss"]
    np.testing.assert_array_equal(column.step, [*STEPS, 5])
    np.testing.assert_array_equal(column.values, [*(2 * LOSS).astype(np.float32), -1])


def test_files_of_a_folder_are_joined_by_number(tmp_path):
    for number, name in [("9", "seed_1"), ("10", "seed_0")]:
        (source,) = (DATA / "old" / name).glob("*tfevents*")
        shutil.copy(source, tmp_path / f"events.out.tfevents.17.host.{number}")
    (run,) = read(tmp_path)
    assert len(run.columns["train/loss"].step) == 81
    assert run.columns["train/loss"].values[0] == 2


def test_a_log_of_keras():
    (run,) = read(outside("logs/wandb__wandb/events.out.tfevents.1585769947.cvp"))
    assert sum(len(column.values) for column in run.columns.values()) == 102
    assert set(run.columns) == {"batch_acc", "batch_loss", "epoch_acc", "epoch_loss", "epoch_val_acc", "epoch_val_loss"}
    assert run.columns["batch_loss"].values[0] == pytest.approx(3.9135757)


@pytest.mark.parametrize("cut", [1, 5, 20, 41])
def test_a_cut_tail_is_noted(tmp_path, cut):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(OLD.read_bytes()[:-cut])
    (run,) = read(path)
    assert "were left out" in run.notes[0]
    np.testing.assert_array_equal(run.columns["train/loss"].values, LOSS.astype(np.float32))


def test_every_cut_reads_or_says_why(tmp_path):
    path, data = (
        tmp_path / "events.out.tfevents.1",
        (DATA / "old/seed_1/events.out.tfevents.1700000002.host").read_bytes(),
    )
    lengths = []
    for size in range(0, len(data), 3):
        path.write_bytes(data[:size])
        try:
            lengths.append(len(read(path)[0].columns["train/loss"].values))
        except InputError:
            refused = size
    assert refused < 600  # no whole row stands before
    assert lengths == sorted(lengths)
    assert lengths[-1] == 40


def test_zeros_behind_the_last_record_are_a_cut_tail(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(OLD.read_bytes() + bytes(100))
    assert read(path)[0].notes[0].startswith("events.out.tfevents.1: its last 100 bytes")


@pytest.mark.parametrize(("place", "message"), [(1000, "damaged"), (2, "is not an event file")])
def test_flipped_bits_are_found(tmp_path, place, message):
    data = bytearray(OLD.read_bytes())
    data[place] ^= 4
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        read(path)


def test_no_flipped_bit_is_read_as_a_number(tmp_path):
    data = OLD.read_bytes()
    path = tmp_path / "events.out.tfevents.1"
    for place in range(60, 400):
        path.write_bytes(data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :])
        with pytest.raises(InputError, match=r"damaged|its checksum"):
            read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"short", "too short"),
        (b"step,loss\n1,2.0\n" * 9, "is not an event file"),
        (None, "no such|No such"),
    ],
)
def test_wrong_files(tmp_path, content, message):
    path = tmp_path / "events.out.tfevents.1"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_wrong_folders(tmp_path):
    with pytest.raises(InputError, match="no event file"):
        read(tmp_path)
    head = OLD.read_bytes()
    (tmp_path / "events.out.tfevents.1").write_bytes(head[: 16 + struct.unpack("<Q", head[:8])[0]])
    with pytest.raises(InputError, match="holds no scalars"):
        read(tmp_path)


def test_what_it_recognizes(tmp_path):
    reader = TensorBoardReader()
    assert reader.recognizes(Path("run.bin"), OLD.read_bytes())
    assert reader.recognizes(OLD, b"")
    assert reader.recognizes(DATA, b"")
    assert not reader.recognizes(tmp_path, b"")
    assert not reader.recognizes(tmp_path / "run.csv", b"step,loss\n")


def field(key, data):
    """Encode a short field of bytes."""
    return bytes([key, len(data)]) + data


def write_scalars(folder, tag, first, plugin=""):
    """Write five scalars of one tag as a writer of TensorBoard does."""
    kind = field(0x4A, field(0x0A, field(0x0A, plugin.encode()))) if plugin else b""
    folder.mkdir(parents=True)
    with (folder / "events.out.tfevents.17.host").open("wb") as file:
        for step in range(5):
            value = field(0x0A, tag.encode()) + b"\x15" + struct.pack("<f", first / (1 + step)) + kind
            event = b"\x09" + bytes(8) + b"\x10" + bytes([step]) + field(0x2A, field(0x0A, value))
            for part in (struct.pack("<Q", len(event)), event):
                file.write(part)
                file.write(
                    masked_checksums(np.frombuffer(part, np.uint8), np.array([0]), np.array([len(part)])).tobytes()
                )


def test_numbers_of_another_plugin_are_no_scalars(tmp_path):
    write_scalars(tmp_path / "scalars", "loss", 4.0, plugin="scalars")
    write_scalars(tmp_path / "curves", "loss", 4.0, plugin="pr_curves")
    (run,) = read_log(tmp_path / "scalars")
    assert run["train_loss"].value[:2].tolist() == [4.0, 2.0]
    with pytest.raises(InputError, match="holds no scalars"):
        read_log(tmp_path / "curves")


def test_folders_of_add_scalars_are_the_sides_of_one_run(tmp_path):
    x = tmp_path / "runs" / "x"
    write_scalars(x / "main", "lr", 0.1)
    write_scalars(x / "loss_train", "loss", 2.0)
    write_scalars(x / "loss_val", "loss", 3.0)
    write_scalars(x / "top_acc_val", "top/acc", 0.5)
    (x / "main" / "events.out.tfevents.17.host").rename(x / "events.out.tfevents.17.host")
    for place in (tmp_path / "runs", x):
        (run,) = read_log(place)
        assert set(run.names) == {"train_loss", "val_accuracy", "val_loss"}
        np.testing.assert_allclose(run["val_loss"].value, 3.0 / (1 + np.arange(5.0)), rtol=1e-6)
        np.testing.assert_allclose(run["val_accuracy"].value, 0.5 / (1 + np.arange(5.0)), rtol=1e-6)


def test_a_folder_named_after_a_split_is_a_side_only_beside_another(tmp_path):
    write_scalars(tmp_path / "a" / "train", "loss", 2.0)
    assert [list(run.columns) for run in read(tmp_path)] == [["loss"]]
    write_scalars(tmp_path / "a" / "validation", "loss", 3.0)
    assert [sorted(run.columns) for run in read(tmp_path)] == [["train/loss", "validation/loss"]]


def test_runs_of_add_scalars_stay_apart(tmp_path):
    for name, first in (("a", 2.0), ("b", 4.0)):
        write_scalars(tmp_path / name / "Loss_train", "Loss", first)
        write_scalars(tmp_path / name / "Loss_valid", "Loss", first + 1)
    runs = read_log(tmp_path)
    assert [run.name.rpartition(", ")[2] for run in runs] == ["a", "b"]
    assert [[run[name].value[0] for name in run.names] for run in runs] == [[2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("tensor", "number"),
    [
        (b"\x08\x01\x22\x04" + struct.pack("<f", 0.5), 0.5),
        (b"\x08\x01\x22\x08" + struct.pack("<2f", 0.5, 2.0), None),  # two numbers
        (b"\x08\x13\x68\x80\xf8\x04", 1.0),  # half precision, 0x13C00, of which 16 bits count
        (b"\x08\x0e\x68\x80\xff\x04", 1.0),  # bfloat16, 0x13F80
    ],
)
def test_one_number_of_a_tensor(tensor, number):
    assert _scalar(Message(b"\x42" + bytes([len(tensor)]) + tensor))[0] == number


def test_the_step_of_an_event_has_a_sign_and_64_bits():
    assert _split(b"\x09" + bytes(8) + b"\x10" + b"\xff" * 9 + b"\x01rest") == (-1, b"rest")
    assert read_varint(b"\xff" * 9 + b"\x7f", 0) == (2**64 - 1, 10)
    assert Message(b"\x10" + b"\xff" * 9 + b"\x01").integer(2) == -1
