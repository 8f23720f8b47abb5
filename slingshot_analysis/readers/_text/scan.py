"""Group the lines of a text by template and gather the numbers of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from slingshot_analysis.readers._text.tables import TableRow, header_above, section_of, table_row
from slingshot_analysis.readers._text.templates import Template, parsed
from slingshot_analysis.readers._text.tokens import MARK, masked_lines, numbers_of
from slingshot_analysis.readers._text.words import sides_in

__all__ = ["Group", "Scan", "scanned"]

Numbers = npt.NDArray[np.float64]
Lines = npt.NDArray[np.int64]

CHUNK = 1 << 22
"""Characters that are cut into tokens at a time, which bounds the memory for them."""
MOST_TEMPLATES = 2000
"""Templates that are looked at; a text with more is mostly prose."""
MOST_MEASURES = 4000
"""The same for lines with a word of training in them."""
LONGEST_LINE = 4000
"""Characters of a line without its numbers; a longer one is data."""
LONGEST_HEADING = 80
TAIL = 100
"""Lines above a row, also of the chunk before, among which the header of a table is looked for."""

INTEREST = re.compile(
    r"[=:|\[{(]|[A-Za-z_%]\s+\0|\bepoch|\bstep|\biter|\bbatch|loss|acc|\bval|\btrain|\btest|\bcost|\bnll|^\s*\0|score|norm",
    re.IGNORECASE,
)
"""A line without any of these holds no values; it is not looked at further."""
BAR = re.compile(r"\|[█▏▎▍▌▋▊▉#\s-]*\||\[[=>.\-# ]{3,}\]|[━╸╺]+")
"""The picture of a progress bar."""
MEASURE = re.compile(r"loss|acc|nll|cost|\bval|epoch|step|iter", re.IGNORECASE)
PADDED = re.compile(r"([\[(/:=|,#]) \0")
BOX_ROW = re.compile(r"\s*[|│┃]([^|│┃\0]*[^\W\d_][^|│┃\0]*)[|│┃]\s*\0\s*[|│┃]\s*")
RUN_HEADING = re.compile(
    r"^#{1,6} \S|^[^\w|]*(?:run|seed|fold|trial|experiment|exp|config|setting|setup)\b[^\w]{0,3}\s*\S{0,40}\s*\W*$",
    re.IGNORECASE,
)


@dataclass
class Group:
    """The lines of one template.

    Parameters
    ----------
    template : Template
        What they have in common.
    first : int
        Line number of the first, from 1.
    example : str
        That line.
    lines : (n,) int array
        Their numbers.
    columns : dict of int to (values, ok)
        For each slot that is used, the numbers, and whether they are numbers at all.
    """

    template: Template
    first: int
    example: str
    lines: Lines
    columns: dict[int, tuple[Numbers, npt.NDArray[np.bool_]]]


@dataclass
class Scan:
    """What a text holds.

    Parameters
    ----------
    groups : list of Group
        In the order of their first lines.
    sides : list of (int, str)
        Headings without values that tell of a side of the data: line and side.
    headings : list of (int, str)
        Headings that tell runs apart: line and text.
    line_count : int
        Lines that are not blank.
    crowded : bool
        Whether there were more templates than are looked at.
    """

    groups: list[Group] = field(default_factory=list)
    sides: list[tuple[int, str]] = field(default_factory=list)
    headings: list[tuple[int, str]] = field(default_factory=list)
    line_count: int = 0
    crowded: bool = False


class _Ids(dict[str, int]):
    """Numbers for masked lines, in the order in which they come."""

    def __missing__(self, masked: str) -> int:
        self[masked] = number = len(self)
        return number


@dataclass
class _Kind:
    """What is known of all lines that are the same but for numbers and blanks."""

    template: Template | None
    row: TableRow | None
    is_box: bool
    side: str | None
    is_heading: bool
    is_blank: bool
    section: str


def scanned(text: str) -> Scan:
    r"""Group the lines of a text.

    Examples
    --------
    >>> found = scanned("step 1 loss 2.5\nsaved\nstep  2 loss 2.0\n")
    >>> [(group.lines.tolist(), group.columns[1][0].tolist()) for group in found.groups]
    [([1, 3], [2.5, 2.0])]
    """
    return _Scanner().run(text)


class _Scanner:
    def __init__(self) -> None:
        self.scan = Scan()
        self.ids = _Ids()
        self.keys: dict[str, int] = {}
        self.kinds: list[_Kind] = []
        self.kind_of: list[int] = []
        self.slots: list[int] = []
        self.parts: dict[tuple[int, str], tuple[Template, int, str, list[Lines], dict[int, list[list[str]]]]] = {}
        self.values: dict[tuple[int, str], dict[int, list[tuple[Numbers, npt.NDArray[np.bool_]]]]] = {}
        self.headers: dict[int, str] = {}
        self.parsed = 0
        self.tail: list[str] = []

    def run(self, text: str) -> Scan:
        number = 1
        for chunk in _chunks(text):
            number += self._chunk(chunk, number)
        for key, (template, first, example, lines, _) in self.parts.items():
            columns = {
                slot: (np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))
                for slot, parts in self.values[key].items()
            }
            self.scan.groups.append(Group(template, first, example, np.concatenate(lines), columns))
        self.scan.groups.sort(key=lambda group: group.first)
        return self.scan

    def _chunk(self, chunk: str, start: int) -> int:
        """Read one chunk whose first line has the number `start`; return how many lines it has."""
        masked, tokens = masked_lines(chunk)
        if chunk.endswith("\n"):
            masked.pop()
        known = len(self.ids)
        ids = np.fromiter(map(self.ids.__getitem__, masked), dtype=np.int64, count=len(masked))
        self.slots += [line.count(MARK) for line in list(self.ids)[known:]]
        counts = np.asarray(self.slots, dtype=np.int64)[ids]
        ends = np.cumsum(counts)
        offsets = ends - counts
        raw: list[str] | None = None
        fresh, first = np.unique(ids, return_index=True)
        for one, index in zip(fresh.tolist(), first.tolist(), strict=True):
            if one >= known:
                begin = int(offsets[index])
                self.kind_of.append(self._kind(masked[index], tokens[begin : begin + self.slots[one]]))
        kinds = np.asarray(self.kind_of, dtype=np.int64)[ids]
        self.scan.line_count += int(len(kinds) - sum((kinds == k).sum() for k, kind in self._marked("is_blank")))
        raw = chunk.split("\n")
        self._headings(kinds, raw, start)
        order = np.argsort(kinds, kind="stable")
        bounds = np.flatnonzero(np.diff(kinds[order])) + 1
        for rows in np.split(order, bounds):
            if len(rows):
                self._group(int(kinds[rows[0]]), rows, offsets, tokens, raw, start)
        self.tail = [*self.tail, *raw[: len(masked)]][-TAIL:]
        return len(masked)

    def _marked(self, what: str) -> list[tuple[int, _Kind]]:
        return [(number, kind) for number, kind in enumerate(self.kinds) if getattr(kind, what)]

    def _headings(self, kinds: Lines, raw: list[str], start: int) -> None:
        """Note the headings of a chunk."""
        for number, kind in enumerate(self.kinds):
            if kind.side is None and not kind.is_heading:
                continue
            for index in np.flatnonzero(kinds == number).tolist():
                if kind.side is not None:
                    self.scan.sides.append((start + index, kind.side))
                if kind.is_heading:
                    self.scan.headings.append((start + index, raw[index].strip(" #=-*_\t")[:60]))

    def _kind(self, masked: str, tokens: list[str]) -> int:
        """Return the number of the kind of a line that was not seen before."""
        key = PADDED.sub("\\1\0", " ".join(BAR.sub("|#|", masked).split()))
        if key in self.keys:
            return self.keys[key]
        self.keys[key] = number = len(self.kinds)
        template, row, is_box, section = None, None, False, section_of(masked)
        parsing = MARK in masked and len(key) <= LONGEST_LINE and INTEREST.search(masked) is not None
        most = MOST_TEMPLATES if MEASURE.search(masked) is None else MOST_MEASURES
        if parsing and self.parsed >= most:
            parsing, self.scan.crowded = False, True
        if parsing:
            self.parsed += 1
            template = parsed(masked, tokens)
            row = table_row(masked, tokens)
            is_box = BOX_ROW.fullmatch(masked) is not None
        told = (
            sides_in(masked) if len(masked) <= LONGEST_HEADING and (template is None or not template.has_values) else []
        )
        side = told[0] if len(told) == 1 else None
        heading = RUN_HEADING.search(masked) is not None and len(masked) <= LONGEST_HEADING
        if heading and masked.startswith("#"):
            template = None
        self.kinds.append(_Kind(template, row, is_box, side, heading, not key, section))
        return number

    def _group(self, number: int, rows: Lines, offsets: Lines, tokens: list[str], raw: list[str], start: int) -> None:
        """Gather the numbers of the lines of one kind in a chunk."""
        kind = self.kinds[number]
        if kind.template is None:
            return
        if kind.row is not None:
            for part, header in self._blocks(number, kind.row, rows, raw):
                if header:
                    self._keep(
                        (number, header), kind.row.template(kind.template, header), part, offsets, tokens, raw, start
                    )
                elif kind.template.fields:
                    self._keep((number, ""), kind.template, part, offsets, tokens, raw, start)
            return
        if kind.is_box:
            for part, section in self._sections(rows, raw):
                template = kind.template
                if section:
                    named = [
                        replace(one, name=f"{section}/{one.name}") for one in template.fields if one.kind == "value"
                    ]
                    template = replace(template, fields=[one for one in template.fields if one.kind != "value"] + named)
                self._keep((number, section), template, part, offsets, tokens, raw, start)
            return
        if any(one.kind not in ("skip", "total", "mean") for one in kind.template.fields):
            self._keep((number, ""), kind.template, rows, offsets, tokens, raw, start)

    def _keep(
        self,
        key: tuple[int, str],
        template: Template,
        rows: Lines,
        offsets: Lines,
        tokens: list[str],
        raw: list[str],
        start: int,
    ) -> None:
        if key not in self.parts:
            first = int(rows[0])
            self.parts[key] = (template, start + first, raw[first], [], {})
            self.values[key] = {}
        kept = self.parts[key]
        kept[3].append(rows + start)
        begins = offsets[rows]
        for slot in _slots(template):
            places = (begins + slot).tolist()
            words = itemgetter(*places)(tokens) if len(places) > 1 else (tokens[places[0]],)
            self.values[key].setdefault(slot, []).append(numbers_of(words))

    def _blocks(self, number: int, row: TableRow, rows: Lines, raw: list[str]) -> Iterator[tuple[Lines, str]]:
        """Yield rows of a table with the header above them; rows right below each other have the same."""
        starts = np.flatnonzero(np.diff(rows, prepend=-2) > 1)
        for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=True):
            first = int(rows[begin])
            above = [*self.tail, *raw[:first]][-TAIL:] if first < TAIL else raw[first - TAIL : first]
            found = header_above(above, row)
            if found:
                self.headers[number] = found
            yield rows[begin:end], self.headers.get(number, "")

    def _sections(self, rows: Lines, raw: list[str]) -> Iterator[tuple[Lines, str]]:
        """Yield rows of boxes by the section in which they stand, such as ``train/``."""
        found: dict[str, list[int]] = {}
        for index in rows.tolist():
            section = ""
            for line in reversed([*self.tail, *raw[:index]][-40:]):
                if (section := section_of(line)) or not line.strip(" -=+|_│┃"):
                    break
            found.setdefault(section, []).append(index)
        for section, indices in found.items():
            yield np.asarray(indices, dtype=np.int64), section


def _slots(template: Template) -> list[int]:
    return sorted({one.slot for one in template.fields if one.kind != "skip"})


def _chunks(text: str) -> Iterator[str]:
    """Yield pieces of a text that end with lines."""
    begin = 0
    while begin < len(text):
        end = begin + CHUNK
        if end < len(text):
            newline = text.find("\n", end)
            end = len(text) if newline < 0 else newline + 1
        yield text[begin:end]
        begin = end
