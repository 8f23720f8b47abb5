"""TensorBoard: event files, and folders of them, with every scalar point they hold."""

from __future__ import annotations

import re
import struct
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._parts.long_tables import SPLITS
from slingshot_analysis.readers._parts.points import Points
from slingshot_analysis.readers._parts.protobuf import Message, read_varint
from slingshot_analysis.readers._parts.tfrecord import read_records
from slingshot_analysis.readers._raw import RawRun, Reader

MARK = "tfevents"
FIRST_RECORD = b"brain.Event:"
WALL_TIME, STEP = 0x09, 0x10  # first bytes of these fields of an Event
FLOAT, DOUBLE, INT32, INT64, BFLOAT16, HALF = 1, 2, 3, 9, 14, 19  # tensorflow.DataType
CONTENT = {FLOAT: "<f", DOUBLE: "<d", INT32: "<i", INT64: "<q", HALF: "<e"}


class TensorBoardReader(Reader):
    """Event files of ``SummaryWriter``, TensorFlow and others; all files of one folder are one run.

    Each tag is a column. Its points stay in the order of the files, also where steps repeat or go back.
    Values of ``add_hparams`` are attributes. Nothing is sampled.
    """

    name = "tensorboard"

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Judge by the name and the first record, or for a folder by the files in it."""
        if path.is_dir():
            return any(True for _ in _find(path))
        return MARK in path.name or FIRST_RECORD in head[:64]

    def read(self, path: Path) -> list[RawRun]:
        """Read the run of one file, or all runs of a folder, named by their folders in it.

        Raises
        ------
        InputError
            If there is no event file, one is damaged, or none holds a scalar.
        """
        folders: dict[Path, list[Path]] = {}
        for file in sorted(_find(path), key=_natural) if path.is_dir() else [path]:
            folders.setdefault(file.parent, []).append(file)
        if not folders:
            raise InputError(f"{path}: no event file in this folder; give one that holds files named *{MARK}*")
        runs = {folder: _Decoder() for folder in folders}
        for folder, files in folders.items():
            for file in files:
                runs[folder].read(file)
        _fold_hparams(runs)
        runs = {folder: run for folder, run in runs.items() if run.points}
        if not runs:
            raise InputError(f"{path}: holds no scalars; log some with add_scalar, or give another file")
        found = {
            folder: RawRun("", run.points.columns(), run.attributes, [*run.notes, *run.points.notes()])
            for folder, run in runs.items()
        }
        found = _joined(found)
        return [
            replace(run, name=folder.relative_to(path).as_posix() if len(found) > 1 else "")
            for folder, run in found.items()
        ]


class _Decoder:
    """The points of one run.

    Points of one tag differ only in the bytes of time, step and value. So only the first one is decoded in full. The
    position of its value is then used for all points with the same bytes around it.
    """

    def __init__(self) -> None:
        self.points = Points()
        self.attributes: dict[str, Any] = {}
        self.notes: list[str] = []
        self._places: dict[int, list[tuple[int, struct.Struct]]] = {}
        self._known: dict[tuple[bytes, bytes], tuple[array[float], array[float]]] = {}

    def read(self, path: Path) -> None:
        records, notes = read_records(path)
        self.notes += notes
        places, known = self._places, self._known
        for row, data in enumerate(records):
            try:
                step, rest = _split(data)
                for start, kind in places.get(len(rest), ()):
                    column = known.get((rest[:start], rest[start + kind.size :]))
                    if column:
                        column[0].append(step)
                        column[1].append(kind.unpack_from(rest, start)[0])
                        break
                else:
                    self._decode(data, step, rest)
            except (ValueError, IndexError) as error:
                raise InputError(
                    f"{path}: record {row + 1} is no event ({error}); give a file that a TensorBoard writer made"
                ) from error

    def _decode(self, data: bytes, step: int, rest: bytes) -> None:
        event = Message(data)
        values = [value for summary in event.messages(5) for value in summary.messages(1)]
        for value in values:
            tag = value.text(1)
            plugin = value.message(9).message(1)
            if plugin.text(1) == "hparams":
                self.attributes.update(_hparams(plugin))
                continue
            number, code = _scalar(value) if plugin.text(1) in ("", "scalars") else (None, "")
            self.points.add(tag, event.integer(2), number)
            if code and len(values) == 1 and step == event.integer(2):
                self._remember(tag, struct.Struct(code), number, rest)

    def _remember(self, tag: str, kind: struct.Struct, number: float | None, rest: bytes) -> None:
        coded = kind.pack(number)
        start = rest.find(coded)
        if start >= 0 and start == rest.rfind(coded):
            places = self._places.setdefault(len(rest), [])
            if all(start != other or kind.size != size.size for other, size in places):
                places.append((start, kind))
            self._known[rest[:start], rest[start + kind.size :]] = self.points.column(tag)


def _scalar(value: Message) -> tuple[float | None, str]:
    """Return the number of a Summary.Value and the encoding of the number. None if it is no scalar."""
    if 2 in value:
        return value.floats(2)[-1], "<f"
    tensor = value.message(8)
    kind, content = tensor.integer(1), tensor.blobs(4)
    if content:
        code = CONTENT.get(kind, "")
        right = code and len(content[-1]) == struct.calcsize(code)
        return (struct.unpack(code, content[-1])[0], code) if right else (None, "")
    found: list[float] = []
    code = ""
    if kind == FLOAT:
        found, code = tensor.floats(5), "<f"
    elif kind == DOUBLE:
        found, code = tensor.doubles(6), "<d"
    elif kind in (INT32, INT64):
        found = [float(number) for number in tensor.integers(7 if kind == INT32 else 10)]
    elif kind == HALF:
        found = [struct.unpack("<e", struct.pack("<H", bits & 0xFFFF))[0] for bits in tensor.integers(13)]
    elif kind == BFLOAT16:
        found = [struct.unpack("<f", struct.pack("<I", (bits & 0xFFFF) << 16))[0] for bits in tensor.integers(13)]
    return (found[0], code) if len(found) == 1 else (None, "")


def _hparams(plugin: Message) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for entry in plugin.message(2).message(3).messages(1):
        value = entry.message(2)
        if 2 in value:
            attributes[entry.text(1)] = value.doubles(2)[-1]
        elif 4 in value:
            attributes[entry.text(1)] = bool(value.integer(4))
        elif 3 in value:
            attributes[entry.text(1)] = value.text(3)
    return attributes


def _fold_hparams(runs: dict[Path, _Decoder]) -> None:
    """Move the values and points that ``add_hparams`` wrote into a subfolder to the run of the enclosing folder."""
    for folder in sorted(runs, reverse=True):
        run, around = runs[folder], runs.get(folder.parent)
        if around and run.attributes and run.points.longest <= 1:
            around.attributes = run.attributes | around.attributes
            around.points.add_new(run.points)
            around.notes += run.notes
            del runs[folder]


def _joined(runs: Mapping[Path, RawRun]) -> dict[Path, RawRun]:
    """Join folders that are parts of one run to the run in the folder around them.

    They are ``train`` and ``validation`` side by side, as Keras writes them, and ``TAG_PART``, in which ``add_scalars``
    writes each part of a tag.
    """
    around = Counter(folder.parent for folder in runs if folder.name.lower() in SPLITS)
    joined: dict[Path, RawRun] = {}
    for folder, run in runs.items():
        tags = list(run.columns)
        prefix = f"{tags[0].replace('/', '_')}_"
        if around[folder.parent] > 1 and folder.name.lower() in SPLITS:
            columns = {f"{folder.name}/{tag}": column for tag, column in run.columns.items()}
        elif len(tags) == 1 and folder.name.startswith(prefix):
            columns = {f"{folder.name.removeprefix(prefix)}/{tags[0]}": run.columns[tags[0]]}
        else:
            folder, columns = folder / "run", dict(run.columns)
        whole = joined.setdefault(folder.parent, RawRun("", {}))
        joined[folder.parent] = RawRun(
            "", {**whole.columns, **columns}, {**run.attributes, **whole.attributes}, [*whole.notes, *run.notes]
        )
    return joined


def _find(folder: Path) -> Iterable[Path]:
    return (file for file in folder.rglob(f"*{MARK}*") if file.is_file())


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Return a sort key for numeric order: ``.10`` comes after ``.9``."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _split(data: bytes) -> tuple[int, bytes]:
    """Return the step of an event and the bytes after it, which are empty unless the event begins in the usual way."""
    if len(data) < 11 or data[0] != WALL_TIME:
        return 0, b""
    if data[9] != STEP:
        return 0, data[9:]
    step, position = read_varint(data, 10)
    return step - (1 << 64) if step >> 63 else step, data[position:]
