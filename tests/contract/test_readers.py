"""What must hold for every reader: nothing but an InputError, whatever the file."""

from pathlib import Path

import numpy as np
import pytest

from slingshot_analysis import InputError
from slingshot_analysis.readers import RawRun, read_log, readers

READERS = readers()
RANDOM = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes()
WRONG = {
    "empty": b"",
    "random": RANDOM,
    "zeros": bytes(3000),
    "text": b"nothing to see here, move along\nplease\n",
    "html": b"<!DOCTYPE html><html><body><table><tr><td>1,2</td></tr></table></body></html>",
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x04loss\x94K\x01s.",
    "png": b"\x89PNG\r\n\x1a\n" + RANDOM,
    "cut zip": b"PK\x03\x04" + RANDOM[:50],
    "cut hdf5": b"\x89HDF\r\n\x1a\n" + RANDOM[:50],
    "cut sqlite": b"SQLite format 3\x00" + RANDOM[:50],
    "cut parquet": b"PAR1" + RANDOM[:50],
    "cut wandb": b":W&B\xe1\xbe\x00" + RANDOM[:50],
    "json number": b"12",
    "cut json": b'{"train_loss": [1, 2',
}

TABLES = {("csv", "json number"), ("csv", "cut json")}
"""Texts that are one row of numbers to who insists on a table."""


def error_of(reader, path):
    """Return what the reader says of a file that it can't read; None if it could."""
    try:
        assert all(isinstance(run, RawRun) for run in reader.read(path))
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", WRONG)
def test_wrong_files_are_input_errors_that_name_the_file(tmp_path, name, content):
    for suffix in (*READERS[name].suffixes, ""):
        path = tmp_path / f"log{suffix}"
        path.write_bytes(WRONG[content])
        assert isinstance(READERS[name].recognizes(path, WRONG[content]), bool)
        message = error_of(READERS[name], path)
        if (name, content) in TABLES:
            assert message is None
        else:
            assert message is not None
            assert path.name in message
            assert "\n" not in message


@pytest.mark.parametrize("content", [content for content in WRONG if content != "text"])
def test_nothing_is_read_from_them_by_chance(tmp_path, content):
    path = tmp_path / "log.bin"
    path.write_bytes(WRONG[content])
    with pytest.raises(InputError):
        read_log(path)


@pytest.mark.parametrize("name", READERS)
def test_a_folder_without_a_log_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    assert not READERS[name].recognizes(tmp_path / "empty", b"")
    with pytest.raises(InputError):
        READERS[name].read(tmp_path / "empty")


def test_the_logs_beside_the_tests_name_no_scratch_folder():
    files = [path for path in (Path(__file__).parents[1] / "readers" / "data").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [str(path) for path in files if b"/tmp/" in path.read_bytes()] == []


def test_a_reader_from_another_package_is_used(tmp_path, monkeypatch):
    from slingshot_analysis import readers as package
    from slingshot_analysis.readers import Column, Reader

    class Outside(Reader):
        name = "outside"

        def recognizes(self, path, head):
            return head.startswith(b"OUTSIDE")

        def read(self, path):
            return [RawRun("", {"step": Column(np.arange(3.0)), "loss": Column(np.ones(3))})]

    class Point:
        def load(self):
            return Outside

    monkeypatch.setattr(package, "entry_points", lambda group: [Point()])
    path = tmp_path / "log.any"
    path.write_bytes(b"OUTSIDE")
    assert len(read_log(path)[0]["train_loss"]) == 3
