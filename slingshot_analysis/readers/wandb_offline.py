"""Weights & Biases: the file ``run-<id>.wandb`` of a run, offline or not, or folders of them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError
from slingshot_analysis.nested import flatten
from slingshot_analysis.readers._parts.points import Points, as_number, distinct_names
from slingshot_analysis.readers._parts.protobuf import Message
from slingshot_analysis.readers._parts.text_file import read_raw
from slingshot_analysis.readers._raw import RawRun, Reader

FILE_HEAD = struct.Struct("<4sHB")
IDENT, MAGIC, VERSION = b":W&B", 0xBEE1, 0
BLOCK = 32768
CHUNK_HEAD = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
HISTORY, CONFIG, RUN = 2, 5, 17  # fields of a Record
RESTORE = "restore the file from a copy"


class WandbReader(Reader):
    """Runs in the folder of ``wandb``. Nested names are joined by dots. The configuration becomes the attributes.

    The step of a point is that of ``run.log``, so the column ``_step`` is left out. ``_runtime`` and ``_timestamp``
    stay. A step that the user logged, such as ``trainer/global_step``, is a column like any other.
    """

    name = "wandb"
    suffixes = (".wandb",)

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Judge by the name or head of a file, or by the files in a folder."""
        if path.is_dir():
            return any(True for _ in _find(path))
        return head.startswith(IDENT) or path.suffix == ".wandb"

    def read(self, path: Path) -> list[RawRun]:
        """Read a file, a run's folder, or the folder ``wandb`` with the folders of many.

        Raises
        ------
        InputError
            If there is no such file, it is damaged or of another version, or it holds no logged numbers.
        """
        files = sorted(_find(path)) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: no .wandb file in this folder; give a folder offline-run-* or the file in it")
        found = [(file, *_read_run(file)) for file in files]
        found = [entry for entry in found if entry[2].columns]
        if not found:
            raise InputError(f"{path}: holds no logged numbers; log some with run.log, or give another file")
        names = distinct_names([name for _, name, _ in found], [file.parent.name for file, _, _ in found])
        return [
            RawRun(name, run.columns, run.attributes, run.notes) for name, (_, _, run) in zip(names, found, strict=True)
        ]


def _find(folder: Path) -> Iterator[Path]:
    for pattern in ("*.wandb", "*run-*/*.wandb", "wandb/*run-*/*.wandb"):
        yield from (file for file in folder.glob(pattern) if file.is_file())


def _read_run(path: Path) -> tuple[str, RawRun]:
    records, notes = _read_records(path)
    points = Points()
    config: dict[str, Any] = {}
    about: dict[str, str] = {}
    for row, data in enumerate(records):
        try:
            record = Message(data)
            for history in record.messages(HISTORY):
                _add_row(points, history)
            for run in record.messages(RUN):
                about = {"run_id": run.text(1), "project": run.text(3), "name": run.text(8)}
                _update(config, run.message(4))
            for update in record.messages(CONFIG):
                _update(config, update)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: record {row + 1} can't be understood ({error}); {RESTORE}") from error
    attributes = {name: value for name, value in about.items() if value}
    name = attributes.pop("name", "") or attributes.get("run_id", path.stem)
    attributes |= flatten({key: value for key, value in config.items() if key != "_wandb"})
    return name, RawRun("", points.columns(), attributes, [*notes, *points.notes()])


def _items(message: Message, number: int) -> Iterator[tuple[list[str], Any]]:
    """Yield the names on the path to each item, and its value."""
    for item in message.messages(number):
        keys = item.texts(2) or [item.text(1)]
        yield keys, json.loads(item.text(16)) if 16 in item else None


def _put(place: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = place.get(key)
        place[key] = inner if isinstance(inner, dict) else {}
        place = place[key]
    place[keys[-1]] = value


def _add_row(points: Points, history: Message) -> None:
    row: dict[str, Any] = {}
    for keys, value in _items(history, 1):
        _put(row, keys, value)
    step = as_number(row.pop("_step", None))
    if history.blobs(2):
        step = float(history.message(2).integer(1))
    if step is None:
        raise ValueError("a row of the history has no step")
    for name, value in flatten(row).items():
        points.add(name, step, value)


def _update(config: dict[str, Any], change: Message) -> None:
    for keys, value in _items(change, 1):
        _put(config, keys, value)
    for keys, _ in _items(change, 2):
        if len(keys) == 1:
            config.pop(keys[0], None)


def _read_records(path: Path) -> tuple[list[bytes], list[str]]:
    """Return the complete records of a log in LevelDB's format, and a note if the last one is cut."""
    data = read_raw(path)
    if not data:
        raise InputError(f"{path}: is empty: its writer was killed before it began; give another file")
    if len(data) < FILE_HEAD.size or FILE_HEAD.unpack_from(data)[:2] != (IDENT, MAGIC):
        raise InputError(f"{path}: is not a W&B run: its head is not {IDENT!r}; give a file run-<id>.wandb")
    if data[6] != VERSION:
        raise InputError(f"{path}: is of version {data[6]} of the format, known is {VERSION}; export the run as CSV")
    records: list[bytes] = []
    parts: list[bytes] = []
    position = FILE_HEAD.size
    while position < len(data):
        if BLOCK - position % BLOCK < CHUNK_HEAD.size:
            position += BLOCK - position % BLOCK
            continue
        start, stop, kind = position + CHUNK_HEAD.size, len(data) + 1, 0
        if start <= len(data):
            checksum, size, kind = CHUNK_HEAD.unpack_from(data, position)
            stop = start + size
        if stop > len(data) or (kind == 0 and not data[position:].strip(b"\0")):
            break
        if zlib.crc32(data[start - 1 : stop]) != checksum or not FULL <= kind <= LAST:
            raise InputError(f"{path}: is damaged at byte {position}; {RESTORE}")
        if (kind in (FULL, FIRST)) == bool(parts):
            raise InputError(f"{path}: a part of a record is missing before byte {position}; {RESTORE}")
        parts.append(data[start:stop])
        if kind in (FULL, LAST):
            records.append(b"".join(parts))
            parts = []
        position = stop
    cut = len(data) - position
    if cut > 0 or parts:
        return records, [f"{path.name}: its last record was cut and is left out"]
    return records, []
