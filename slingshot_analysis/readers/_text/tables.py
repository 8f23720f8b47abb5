"""Tables in text: rows of numbers below a header, with blanks, bars or boxes between the cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from slingshot_analysis.readers._text.templates import Field, Template
from slingshot_analysis.readers._text.tokens import MARK, TOKEN, is_time, with_marks
from slingshot_analysis.readers._text.words import counter_of, is_accuracy, is_loss, side_of

RULE = re.compile(r"[\s|+\-=:_│┃┼─━═╪╞╡├┤┌┐└┘┬┴╭╮╰╯╇╈╋┏┓┗┛┡┩┣┫]*")
"""A line between header and rows."""
BORDERS = re.compile(r"[│┃║]")
BETWEEN = re.compile(r"\s*\0%?(?:\s*\|\s*\0%?){2,}\s*")
"""A row whose bars stand only between its cells."""
NUMBER_CELL = re.compile(r"[\s*~_<>$(\[+]*\0(?:/\0)?[\s%*_~!)\]A-Za-z✓✔:]{0,12}")
NAME_CELL = re.compile(r"[^\W\d][^=:]*|#|[^=:]*[^\W\d_][^=:]*")
SECTION = re.compile(r"[\s|│┃]*([A-Za-z_]+)/[\s|│┃]*")
"""The heading of a section in a box, such as ``train/``."""
SHORT_COUNTERS = {"#": ("iteration", "step"), "E": ("epoch", "epoch")}
BLANKS = re.compile(r"\s{2,}|\t")


@dataclass(frozen=True)
class TableRow:
    """A line of cells.

    Parameters
    ----------
    piped : bool
        Whether bars stand between the cells.
    cells : tuple of (slots, is_number)
        For each cell the numbers in it, by their place in the line, and whether it is a number and not a time or text.
    percents : frozenset of int
        Numbers before a percent sign.
    """

    piped: bool
    cells: tuple[tuple[tuple[int, ...], bool], ...]
    percents: frozenset[int]

    def template(self, line: Template, header: str) -> Template:
        """Return the template of a row below a header."""
        names = cells_of(header, self.piped, len(self.cells))
        fields: list[Field] = []
        told = _of_validation(names)
        for name, (slots, is_number) in zip(names, self.cells, strict=False):
            if not slots or not is_number or not (name := told.get(name, name)):
                continue
            slot = slots[0]
            counter = SHORT_COUNTERS.get(name) or counter_of(name)
            if counter is not None:
                fields.append(Field(slot, counter[1], counter[0], side_of(name)))
            else:
                fields.append(Field(slot, name, "value", side_of(name), slot in self.percents))
            if len(slots) == 2:
                fields.append(Field(slots[1], "", "total", of=slot))
        return replace(line, fields=fields, prefix="", side=None, is_bar=False, header=header)


def table_row(masked: str, tokens: Sequence[str]) -> TableRow | None:
    r"""Return the cells of a line, if it may be a row of a table.

    Examples
    --------
    >>> table_row("| \0 | \0 | \0% |", ["1", "2.8", "20"]).cells
    (((0,), True), ((1,), True), ((2,), True))
    """
    line = BORDERS.sub("|", masked)
    piped = (line.lstrip().startswith("|") and line.count("|") >= 3) or BETWEEN.fullmatch(line) is not None
    words = line.strip().strip("|").split("|") if piped else line.split()
    cells, slot = [], 0
    for word in words:
        count = word.count(MARK)
        slots = tuple(range(slot, slot + count))
        is_number = bool(count) and NUMBER_CELL.fullmatch(word) is not None and not is_time(tokens[slot])
        cells.append((slots, is_number))
        slot += count
    numbers = [is_number for _, is_number in cells]
    if len(cells) < 2 or sum(numbers[:3]) < 2 or not (all(numbers[:3]) or piped):
        return None
    if not piped and re.match(r"\s*\0\s*[A-Za-z]", line):
        return None
    percents = frozenset(number for number, gap in enumerate(masked.split(MARK)[1:]) if gap.startswith("%"))
    return TableRow(piped, tuple(cells), percents)


def header_above(lines: Sequence[str], row: TableRow) -> str:
    """Return the nearest line above a row that has as many cells, all names. Empty if there is none."""
    for line in reversed(lines):
        if RULE.fullmatch(line) or _is_row(line, row):
            continue
        names = cells_of(line, row.piped, len(row.cells))
        enough = len(names) == len(row.cells) or (not row.piped and 3 <= len(names) < len(row.cells))
        if enough and sum(NAME_CELL.fullmatch(name) is not None for name in names) >= max(2, len(names) - 1):
            return line.strip()
        return ""
    return ""


def cells_of(header: str, piped: bool, count: int) -> list[str]:
    """Return the names in a header.

    Examples
    --------
    >>> cells_of("epoch     train_loss  valid_loss  time", False, 4), cells_of("| Epoch | Train Loss |", True, 2)
    (['epoch', 'train_loss', 'valid_loss', 'time'], ['Epoch', 'Train Loss'])
    """
    line = BORDERS.sub("|", header).strip()
    if piped or (line.startswith("|") and line.count("|") >= 3):
        return [name.strip(" *`") for name in line.strip("|").split("|")]
    wide = [name.strip() for name in BLANKS.split(line)]
    return wide if len(wide) == count else line.split()


def section_of(line: str) -> str:
    """Return the name of the section of a box that a line begins. Empty for any other line."""
    found = SECTION.fullmatch(line)
    return found[1] if found else ""


def _of_validation(names: Sequence[str]) -> dict[str, str]:
    """Return new names for accuracies without a split in a table of training and validation losses: validation."""
    losses = {side_of(name) for name in names if is_loss(name)}
    accuracies = [name for name in names if is_accuracy(name)]
    if {"train", "val"} <= losses and all(side_of(name) is None for name in accuracies):
        return {name: f"val/{name}" for name in accuracies}
    return {}


def _is_row(line: str, row: TableRow) -> bool:
    """Return whether a line has as many cells, the first a number, or any of them where bars separate cells."""
    masked = MARK.join(TOKEN.split(with_marks(BORDERS.sub("|", line)))[::2]).strip()
    cells = masked.strip("|").split("|") if row.piped else masked.split()
    numbers = [NUMBER_CELL.fullmatch(cell) is not None for cell in cells]
    return len(cells) == len(row.cells) and (any(numbers) if row.piped else numbers[0])
