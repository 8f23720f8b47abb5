"""Read JSON Lines whose records contain only numbers, piece by piece: faster and smaller than a list of records.

`plain_records` returns None for anything else, which the careful reader then reads. Both give the same result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.readers._gate import most_bytes
from slingshot_analysis.readers._parts.histories import BYTES_OF_CELL
from slingshot_analysis.readers._parts.points import unique_names
from slingshot_analysis.readers._parts.tables import PREFIXED, RUN, frame_of, repeated_rows
from slingshot_analysis.readers._raw import Column, Numbers
from slingshot_analysis.safe_text import printable

PIECE = 1 << 20
"""Number of characters that are parsed at a time, which bounds the memory."""
NUMBERS = {int, float, type(None)}

Table = tuple[dict[str, Column], list[str]]


def plain_records(text: str) -> Table | None:
    """Return a column for each key of records of numbers, and notes; None for any other text."""
    parts: dict[str, list[tuple[npt.NDArray[np.int64], Numbers, npt.NDArray[np.bool_]]]] = {}
    count = 0
    for piece in _pieces(text):
        records = _parsed(piece)
        if records is None:
            return None
        for keys, rows in _kinds(records):
            alike = records if len(rows) == len(records) else [records[index] for index in rows.tolist()]
            values = list(chain.from_iterable(map(dict.values, alike)))
            for place, key in enumerate(keys):
                found = _numbers(values[place :: len(keys)])
                if found is None:
                    return None
                parts.setdefault(key, []).append((count + rows, *found))
        count += len(records)
        if BYTES_OF_CELL * count * len(parts) > most_bytes():
            return None
    return _table(parts, count)


def _table(parts: Mapping[str, Sequence[tuple[Any, Any, Any]]], count: int) -> Table | None:
    names, _ = unique_names(map(printable, parts))
    if any(RUN.fullmatch(name) or PREFIXED.fullmatch(name) or name.endswith("/mean") for name in names):
        return None
    columns: dict[str, Column] = {}
    for name, pieces in zip(names, parts.values(), strict=True):
        values, missing = np.full(count, np.nan), np.ones(count, dtype=bool)
        for rows, found, absent in pieces:
            values[rows], missing[rows] = found, absent
        columns[name] = Column(values, None, missing)
    numbers = [column.values for column in columns.values()]
    if not numbers or all(bool(np.isnan(values).all()) for values in numbers):
        return None
    return columns, repeated_rows(numbers, lambda: frame_of(numbers))


def _pieces(text: str) -> Iterator[str]:
    """Yield pieces of whole lines, without the newline at their ends."""
    begin = 0
    while begin < len(text):
        end = text.rfind("\n", begin, begin + PIECE)
        if end < 0 or len(text) - begin <= PIECE:
            end = text.find("\n", begin + PIECE)
            end = len(text) if end < 0 else end
        yield text[begin:end].removesuffix("\n")
        begin = end + 1


def _parsed(piece: str) -> list[dict[str, Any]] | None:
    """Return the records of a piece, None if it is not exactly one object a line."""
    count = piece.count("\n") + 1
    if piece.count("}\n{") != count - 1 or not (piece.startswith("{") and piece.endswith("}")):
        return None
    try:
        records = json.loads(f"[{piece.replace(chr(10), ',')}]")
    except (ValueError, RecursionError):
        return None
    return records if len(records) == count and set(map(type, records)) == {dict} else None


def _kinds(records: Sequence[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, ...], npt.NDArray[np.int64]]]:
    """Yield each set of keys that records have, in order of appearance, and the indices of these records."""
    keys = list(map(tuple, records))
    numbers = {distinct: number for number, distinct in enumerate(dict.fromkeys(keys))}
    kinds = np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys))
    order = np.argsort(kinds, kind="stable")
    yield from zip(numbers, np.split(order, np.flatnonzero(np.diff(kinds[order])) + 1), strict=True)


def _numbers(values: list[Any]) -> tuple[Numbers, npt.NDArray[np.bool_]] | None:
    """Return numbers, and which of them are null; None if anything else is among them."""
    kinds = set(map(type, values))
    if not kinds <= NUMBERS:
        return None
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    if type(None) not in kinds:
        return numbers, np.zeros(len(values), dtype=bool)
    return numbers, np.array([value is None for value in values])
