"""Text tables with fields separated by commas, semicolons, tabs or blanks, with or without a header."""

from __future__ import annotations

import csv
import io
import re
from codecs import BOM_UTF8
from collections import Counter
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._parts.cells import MISSING
from slingshot_analysis.readers._parts.plain_tables import plain_table
from slingshot_analysis.readers._parts.points import unique_names
from slingshot_analysis.readers._parts.tables import runs_of_table
from slingshot_analysis.readers._parts.text_file import head_text, open_bytes, plain_suffix, read_text
from slingshot_analysis.readers._raw import RawRun, Reader
from slingshot_analysis.safe_text import in_one_line

if TYPE_CHECKING:
    import pandas as pd

BLANKS = " "
SEPARATORS = (";", "\t", ",", BLANKS)
TABLES = (".csv", ".tsv")
"""File endings that only tables have."""

MOST_COLUMNS = 50_000

MOST_CELLS = 1000
"""Maximum number of cells of a row from which the separator is guessed."""
SAMPLE = 200
"""Number of lines from which the layout is guessed."""

ALIKE = 0.8
"""Minimum share of these lines with the same number of fields."""

NUMERIC = 0.5
"""Minimum share of numbers among fields separated by blanks. A text with fewer is prose."""

FIELD = re.compile(r"[^,;\t ]+")
WORDS = ("true", "false", "inf", "-inf")


@dataclass(frozen=True)
class _Layout:
    separator: str
    decimal: str
    has_header: bool


class DelimitedReader(Reader):
    """A table of text: CSV and its relatives."""

    name = "csv"
    suffixes = (".csv", ".tsv", ".txt", ".dat", ".log")

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Return whether the lines have equally many fields, some of them numbers."""
        if plain_suffix(path) not in (*self.suffixes, ""):
            return False
        text = head_text(head)
        if not text or text.lstrip().startswith(("{", "[")):
            return False
        if plain_suffix(path) in TABLES or text.isspace():
            return True
        lines = text.split("\n")
        starts = _headers(lines)
        return _layout(lines[: starts[1]] if len(starts) > 1 else lines) is not None

    def read(self, path: Path) -> list[RawRun]:
        """Read all runs of a table.

        Raises
        ------
        InputError
            If the file can't be read or is no text, holds no table of numbers, or a row has too many fields.
        """
        with open_bytes(path) as file:
            plain = _plain(file)
        return [plain] if plain is not None else self._carefully(path, read_text(path))

    def _carefully(self, path: Path, text: str) -> list[RawRun]:
        """Read a table of any kind."""
        lines = text.split("\n")
        starts = _headers(lines)
        layout = _layout(lines[: starts[1]] if len(starts) > 1 else lines)
        if layout is None:
            if sum(map(_is_data, lines)) == 1:
                raise InputError(f"{path}: has one line and no table; nothing was logged to it")
            raise InputError(
                f"{path}: holds no table of numbers; expected lines of equally many fields with commas, semicolons, "
                "tabs or blanks between them"
            )
        import pandas as pd

        notes: list[str] = []
        frames = []
        for start, stop in pairwise([*starts, len(lines)]):
            whole = stop < len(lines) or text.endswith("\n")
            frames.append(_frame(path, lines[start:stop], layout, start, whole, notes))
        if len(frames) > 1:
            notes.append(
                f"the header changes in line {starts[1] + 1}: the parts are joined by the names of their columns"
            )
        frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        return runs_of_table(frame, path, notes=notes)


def _plain(file: IO[bytes]) -> RawRun | None:
    """Return the run of a table with at most one header and only numbers below it. None for any other table."""
    lines = list(islice(file, 2 * SAMPLE)) or [b""]
    head = lines[0].removeprefix(BOM_UTF8)
    if max(map(head.count, (b",", b";", b"\t"))) >= MOST_COLUMNS:
        return None
    if not head.strip() or head.startswith((b"#", b"<")) or b'"' in head:
        return None
    try:
        first, *below = (line.removesuffix(b"\n").removesuffix(b"\r").decode() for line in (head, *lines[1:]))
    except UnicodeDecodeError:
        return None
    layout = _layout([first, *below]) if first.replace("\t", "").isprintable() else None
    if layout is None or layout.separator == BLANKS or layout.decimal != ".":
        return None
    fields = _fields(first, layout.separator)
    if not layout.has_header:
        file.seek(len(lines[0]) - len(head))
        return plain_table(file, None, layout.separator, len(fields), "")
    file.seek(len(lines[0]))
    name = FIELD.match(first)
    return plain_table(file, fields, layout.separator, len(fields), name[0] if name else "")


def _headers(lines: list[str]) -> list[int]:
    """Return the lines of the headers. A further header begins with the same field as the first."""
    first = next((line for line in lines if _is_data(line)), "")
    name = FIELD.match(first)
    if name is None or _is_number(name[0], False) is not False:
        return [0]
    known, starts = {first}, [0]
    for number, line in enumerate(lines):
        if line.startswith(name[0]) and line not in known and not any(map(_is_plain_number, FIELD.findall(line))):
            starts.append(number)
            known = {line}
    return starts


def _frame(path: Path, lines: list[str], layout: _Layout, offset: int, whole: bool, notes: list[str]) -> pd.DataFrame:
    """Parse the lines below one header. The last line may be cut. Notes say what was corrected."""
    import pandas as pd

    header = _commented_header(lines, layout)
    numbers = [number for number, line in enumerate(lines) if line and line[0] != "#" and not line.isspace()]
    if layout.has_header:
        first = lines[numbers[0]]
        header = _split([first], layout.separator)[0]
        repeated = len(numbers) - 1
        numbers = [number for number in numbers if lines[number] != first]
        repeated -= len(numbers)
        notes += [f"repeated header lines skipped: {repeated}"] if repeated else []
    rows = [lines[number] for number in numbers]
    if not rows:
        return pd.DataFrame(columns=header)
    widths = _widths(rows, layout.separator)
    expected = len(header) if header else Counter(widths).most_common(1)[0][0]
    if not whole and widths[-1] < expected and len(rows) > 1:
        notes.append(f"line {offset + numbers[-1] + 1} is cut short and was left out; the writer was killed")
        rows, widths = rows[:-1], widths[:-1]
    header = _fitted(header, rows, widths, layout.separator)
    expected = len(header) if header else expected
    notes += _checked(path, widths, [offset + number for number in numbers], expected)
    given = header or [""] * expected
    if expected > MOST_COLUMNS:
        raise InputError(f"{path}: has {expected:,} columns, more than {MOST_COLUMNS:,}; is this a training log?")
    names, messages = unique_names(name.strip() or f"column_{index}" for index, name in enumerate(given))
    notes += messages
    frame = _parse(path, rows, names, layout)
    unnamed = [name for name, was in zip(names, given, strict=True) if header and not was.strip()]
    return frame.drop(columns=[name for name in unnamed if bool(frame[name].isna().all())])


def _parse(path: Path, rows: list[str], names: list[str], layout: _Layout) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(
            io.StringIO("\n".join(rows)),
            sep=r"\s+" if layout.separator == BLANKS else layout.separator,
            header=None,
            names=names,
            index_col=False,
            decimal=layout.decimal,
            skipinitialspace=True,
            low_memory=False,
            keep_default_na=False,
            na_values=[form for word in MISSING for form in (word, word.upper(), word.capitalize())],
        )
    except (pd.errors.ParserError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: can't be read as a table ({in_one_line(error)}); repair the file") from error


def _checked(path: Path, widths: list[int], numbers: list[int], expected: int) -> list[str]:
    """Raise an error for rows with too many fields, and note rows with too few."""
    if max(widths) > expected:
        index = next(index for index, width in enumerate(widths) if width > expected)
        raise InputError(
            f"{path}: line {numbers[index] + 1}: has {widths[index]} fields where {expected} are expected; "
            "repair the line, or split the file where its columns change"
        )
    short = [index for index, width in enumerate(widths) if width < expected]
    return [
        f"rows with fewer than {expected} fields: {len(short)}, first in line {numbers[index] + 1}; "
        "those at their ends count as missing"
        for index in short[:1]
    ]


def _fitted(header: list[str] | None, rows: list[str], widths: list[int], separator: str) -> list[str] | None:
    """Add the name that a header lacks if each row ends with a separator, or begins with an index."""
    if not header or not min(widths) == max(widths) == len(header) + 1:
        return header
    ends_empty = all(row.rstrip(" ").endswith(separator) for row in rows[:SAMPLE])
    return [*header, ""] if ends_empty else ["", *header]


def _layout(lines: list[str]) -> _Layout | None:
    """Find the separator that gives the most columns of numbers, if any does."""
    data = [line for line in lines[: 2 * SAMPLE] if _is_data(line)][:SAMPLE]
    sample = data[:1] + [line for line in data if line != data[0]]
    best, layout = 0, None
    for separator in SEPARATORS:
        rows = _split(sample, separator)
        if not rows:
            return None
        width, count = Counter(map(len, rows[1:] or rows)).most_common(1)[0]
        if count < min(ALIKE * len(rows), len(rows) - 2):
            continue
        comma = separator == ";" and not any("." in line for line in sample[1:])
        body = [[_is_number(cell, comma) for cell in row[:MOST_CELLS]] for row in rows if len(row) == width]
        first = [_is_number(cell, comma) for cell in rows[0][:MOST_CELLS]]
        below = list(zip(*(body[1:] or body), strict=True))
        numeric = [column.count(True) > column.count(False) for column in below]
        fields = [cell for column in below for cell in column if cell is not None]
        if separator == BLANKS and sum(fields) < NUMERIC * len(fields):
            continue
        if width == 1 and not all(numeric):
            continue
        if sum(numeric) > best:
            names = [cell is False and is_numeric for cell, is_numeric in zip(first, numeric, strict=False)]
            best, layout = sum(numeric), _Layout(separator, "," if comma else ".", any(names))
    return layout


def _commented_header(lines: list[str], layout: _Layout) -> list[str] | None:
    """Return the names in the comment right above the first row, if their number is that of the fields."""
    position = next(index for index, line in enumerate(lines) if _is_data(line))
    above = lines[position - 1].lstrip("# ") if position else ""
    names, fields = _split([above, lines[position]], layout.separator)
    is_header = len(names) == len(fields) and not any(_is_number(name, False) for name in names)
    return names if is_header else None


def _is_data(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _is_number(cell: str, comma: bool) -> bool | None:
    """Return whether a field is a number. None if it is empty."""
    word = cell.strip().lower().removesuffix("%")
    if word in MISSING or word == "nan":
        return None
    try:
        float(word.replace(",", ".") if comma else word)
    except ValueError:
        return word in WORDS
    return True


def _is_plain_number(cell: str) -> bool:
    return _is_number(cell, False) is True


def _split(lines: list[str], separator: str) -> list[list[str]]:
    if separator == BLANKS:
        return [line.split() for line in lines]
    return [_fields(line, separator) for line in lines]


def _fields(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return line.split(separator)


def _widths(lines: list[str], separator: str) -> list[int]:
    if separator == BLANKS:
        return [len(line.split()) for line in lines]
    if any('"' in line for line in lines):
        return [len(row) for row in _split(lines, separator)]
    return [line.count(separator) + 1 for line in lines]
