"""A run as an event file of TensorBoard, with each signal under a tag.

The file is a TFRecord: the length of each record, its checksum, the record, and that one's checksum. Each record is an
Event in the wire format of protocol buffers. Its fields are 1 the time, 2 the step, and 5 a Summary with one value,
which has 1 the tag and 2 the number, a float32.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slingshot_analysis.crc32c import masked_checksums
from slingshot_analysis.export._selection import Selection
from slingshot_analysis.files import replaced
from slingshot_analysis.trace.trace import columns_of

EVENT_FILES = "*tfevents*"
"""The names of event files."""
VERSION = "brain.Event:2"
TIME = struct.Struct("<Bd")


def write_events(run: Selection, path: Path) -> Path:
    """Write an event file into a folder, in place of those in it. All events have the time of the run's start."""
    start = _start_time(run)
    head = TIME.pack(0x09, start)
    steps: list[npt.NDArray[np.int64]] = []
    records: list[bytes] = []
    for names in run.groups.values():
        for name, signal in run.read(names).items():
            step = run.whole_steps(name, "TensorBoard")
            heads = [head + b"\x10" + _varint(at) for at in step.tolist()]
            for column, values in columns_of(replace(signal, name=name)).items():
                tag = _field(1, column.encode()) + b"\x15"
                size = len(tag) + 4
                value = b"\x2a" + _varint(size + 1 + len(_varint(size))) + b"\x0a" + _varint(size) + tag
                numbers = values.astype("<f4").tobytes()
                steps.append(step)
                records += [each + value + numbers[4 * i : 4 * i + 4] for i, each in enumerate(heads)]
    order = np.argsort(np.concatenate(steps), kind="stable").tolist()
    path.mkdir(exist_ok=True)
    earlier = list(path.glob(EVENT_FILES))
    file = path / f"events.out.tfevents.{int(start)}.slingshot"
    with replaced(file) as aside:
        aside.write_bytes(_framed([head + _field(3, VERSION.encode()), *(records[i] for i in order)]))
    for old in {*earlier} - {file}:
        old.unlink()
    return path


def _start_time(run: Selection) -> float:
    """Return when the run began, in seconds since 1970, or else when its file was last written."""
    try:
        return datetime.fromisoformat(str(run.attributes.get("start_time"))).timestamp()
    except ValueError:
        return run.path.stat().st_mtime if run.path.exists() else 0.0


def _field(number: int, content: bytes) -> bytes:
    """Return a field of bytes of a message."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def _framed(records: list[bytes]) -> bytes:
    """Return the records as a TFRecord file."""
    sizes = np.array([len(record) for record in records], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    checks = masked_checksums(np.frombuffer(b"".join(records), np.uint8), starts, sizes)
    lengths = np.frombuffer(sizes.astype("<u8").tobytes(), np.uint8)
    of_lengths = masked_checksums(lengths, np.arange(0, 8 * len(sizes), 8), np.full(len(sizes), 8))
    parts = zip(sizes.tolist(), of_lengths.tolist(), records, checks.tolist(), strict=True)
    return b"".join(
        struct.pack("<QI", size, of_size) + record + struct.pack("<I", check) for size, of_size, record, check in parts
    )
