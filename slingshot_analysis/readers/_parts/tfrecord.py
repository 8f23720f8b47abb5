"""Read a TFRecord file. A record is the length, its checksum, the data, and their checksum."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from slingshot_analysis.crc32c import masked_checksums
from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._parts.text_file import read_raw

HEAD = struct.Struct("<QI")
AROUND = HEAD.size + 4
LONGEST_CHECKED = 1024  # longer records hold pictures and sounds: no scalars, and slow to check


def read_records(path: Path) -> tuple[Iterator[bytes], list[str]]:
    """Return the complete records of a file, and notes on incomplete ones.

    Raises
    ------
    InputError
        If the file can't be read, is of another format, or a checksum says that it is damaged.
    """
    data = read_raw(path)
    if not data:
        raise InputError(f"{path}: is empty: its writer was killed before it began; give another file")
    spans, end = _frame(path, data)
    _check(path, data, spans)
    cut = len(data) - end
    notes = [f"{path.name}: its last {cut} bytes are a record that was cut; they were left out"] if cut else []
    return (data[start:stop] for start, stop in spans), notes


def _frame(path: Path, data: bytes) -> tuple[list[tuple[int, int]], int]:
    """Return start and stop of the data of each complete record, and the end of the last one."""
    spans: list[tuple[int, int]] = []
    known: dict[int, int] = {}
    position = 0
    while position + AROUND <= len(data):
        size, checksum = HEAD.unpack_from(data, position)
        if size not in known:
            known[size] = int(
                masked_checksums(np.frombuffer(data, np.uint8, 8, position), np.array([0]), np.array([8]))[0]
            )
        if checksum != known[size]:
            if not spans:
                raise InputError(f"{path}: is not an event file; give one that a TensorBoard writer made")
            if not data[position:].strip(b"\0"):  # space that the file system had set aside before a crash
                break
            raise InputError(f"{path}: is damaged at byte {position}; restore the file from a copy")
        stop = position + HEAD.size + size
        if stop + 4 > len(data):
            break
        spans.append((position + HEAD.size, stop))
        position = stop + 4
    if not spans and position == 0 and len(data) < AROUND:
        raise InputError(f"{path}: is too short for an event file; give one that a TensorBoard writer made")
    return spans, position


def _check(path: Path, data: bytes, spans: list[tuple[int, int]]) -> None:
    array = np.frombuffer(data, np.uint8)
    places = np.array(spans, dtype=np.int64).reshape(-1, 2)
    places = places[places[:, 1] - places[:, 0] <= LONGEST_CHECKED]
    stated = array[places[:, 1, None] + np.arange(4)].astype(np.uint32) @ (1 << np.arange(0, 32, 8, dtype=np.uint32))
    wrong = np.flatnonzero(stated != masked_checksums(array, places[:, 0], places[:, 1] - places[:, 0]))
    if len(wrong):
        start = int(places[wrong[0], 0])
        raise InputError(
            f"{path}: the record at byte {start} fails its checksum, and so do {len(wrong) - 1} more; "
            "the file is damaged, restore it from a copy"
        )
