"""Group the lines of a text by template and gather the numbers of each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from slingshot_analysis.readers._text.cutting import cut_lines, form_of
from slingshot_analysis.readers._text.tables import TableRow, header_above, section_of, table_row
from slingshot_analysis.readers._text.templates import Template, parsed
from slingshot_analysis.readers._text.tokens import MARK, numbers_of
from slingshot_analysis.readers._text.words import sides_in

Numbers = npt.NDArray[np.float64]
Lines = npt.NDArray[np.int64]

CHUNK = 1 << 22
"""Number of characters that are cut at a time, which bounds the memory."""
MOST_TEMPLATES = 2000
"""Maximum number of templates that are analyzed. A text with more is mostly prose."""
MOST_MEASURES = 4000
"""The same for lines that contain a word such as loss or epoch."""
MOST_KINDS = 50_000
"""Number of different lines, apart from numbers, after which only lines with such a word are analyzed."""
LONGEST_LINE = 4000
"""Maximum length in characters of a line without its numbers. A longer line is data."""
MANY_NUMBERS = 20
"""Numbers in a line that count as one more template, because they take as long to analyze."""
LONGEST_HEADING = 80
MOST_HEADERS = 500
"""Maximum number of blocks of table rows whose header is looked for. Later blocks take the last one found."""
TAIL = 60
"""Number of lines above a table row in which its header is looked for."""

INTEREST = re.compile(
    r"[=:|│┃║\[{(]|[A-Za-z_%]\s+\0|\bepoch|\bstep|\biter|\bbatch|loss|acc|\bval|\btrain|\btest|\bcost|\bnll|^\s*\0|score|norm",
    re.IGNORECASE,
)
"""A line without any of these has no values and is skipped."""
MEASURE = re.compile(r"loss|acc|nll|cost|\bval|epoch|step|iter", re.IGNORECASE)
BLANKS = re.compile(r"[ \t]{2,}|\t")
GLUED = re.compile(r"\b([Ee]poch|EPOCH|[Ss]tep|[Ii]ter|[Bb]atch)_?(?=\d+\b)")
"""A counter without a blank or sign before its number, as in ``epoch3``."""
SAMPLE = 1 << 18
"""Number of characters in which such a counter is looked for."""
BOX_ROW = re.compile(r"\s*[|│┃]([^|│┃\0]*[^\W\d_][^|│┃\0]*)[|│┃]\s*\0\s*[|│┃]\s*")
RUN_HEADING = re.compile(
    r"^#{1,6} \S|^[^\w|]*(?:run|seed|fold|trial|experiment|exp|config|setting|setup)\b[^\w]{0,3}\s*\S{0,40}\s*\W*$",
    re.IGNORECASE,
)


@dataclass(eq=False)
class Group:
    """The lines of one template.

    Parameters
    ----------
    template : Template
        Their common text and the meaning of its numbers.
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
        Headings without values that name a split: line and split.
    headings : list of (int, str)
        Headings of runs: line and text.
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
    """Numbers masked lines in the order of their first occurrence."""

    def __missing__(self, masked: str) -> int:
        self[masked] = number = len(self)
        return number


@dataclass(frozen=True)
class _Kind:
    """What is known of all lines that are equal except for numbers and blanks.

    A rule is a line that ends a section of a box. `section` is the name of the section that a line begins.
    """

    template: Template | None = None
    row: TableRow | None = None
    is_box: bool = False
    side: str | None = None
    is_heading: bool = False
    is_rule: bool = False
    section: str = ""


BLANK, PROSE = 0, 1
"""Numbers of the kinds for blank lines and for lines without values."""


@dataclass(frozen=True)
class _Chunk:
    """A piece of the text: its lines, its first line number, all its numbers, and where those of each line begin."""

    lines: list[str]
    start: int
    tokens: list[str]
    offsets: Lines
    kinds: Lines


@dataclass
class _Kept:
    """The lines and numbers of one template, chunk by chunk."""

    template: Template
    first: int
    example: str
    lines: list[Lines] = field(default_factory=list)
    values: dict[int, list[tuple[Numbers, npt.NDArray[np.bool_]]]] = field(default_factory=dict)


def scanned(text: str) -> Scan:
    r"""Group the lines of a text.

    Examples
    --------
    >>> found = scanned("step 1 loss 2.5\nsaved\nstep  2 loss 2.0\n")
    >>> [(group.lines.tolist(), group.columns[1][0].tolist()) for group in found.groups]
    [([1, 3], [2.5, 2.0])]
    """
    if GLUED.search(text, 0, SAMPLE):
        text = GLUED.sub(r"\1 ", text)
    scanner = _Scanner()
    number = 1
    for piece in _chunks(text):
        number += scanner.read(piece, number)
    return scanner.result()


class _Scanner:
    def __init__(self) -> None:
        self.scan = Scan()
        self.ids = _Ids()
        self.kind_of: list[int] = []
        self.keys: dict[str, int] = {}
        self.kinds: list[_Kind] = [_Kind(is_rule=True), _Kind()]
        self.kept: dict[tuple[int, str], _Kept] = {}
        self.headers: dict[int, str] = {}
        self.looked_up: dict[int, int] = defaultdict(int)
        self.section = ""
        self.parsed = 0
        self.tail: list[str] = []

    def result(self) -> Scan:
        """Return what was found in all chunks."""
        for kept in self.kept.values():
            columns = {
                slot: (np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))
                for slot, parts in kept.values.items()
            }
            self.scan.groups.append(Group(kept.template, kept.first, kept.example, np.concatenate(kept.lines), columns))
        self.scan.groups.sort(key=lambda group: group.first)
        self.scan.sides.sort()
        self.scan.headings.sort()
        return self.scan

    def read(self, piece: str, start: int) -> int:
        """Read one chunk, whose first line has the number `start`. Return its number of lines."""
        chunk = self._cut(piece, start)
        self.scan.line_count += int(np.count_nonzero(chunk.kinds != BLANK))
        order = np.argsort(chunk.kinds, kind="stable")
        bounds = np.flatnonzero(np.diff(chunk.kinds[order])) + 1
        groups = [rows for rows in np.split(order, bounds) if len(rows)]
        sections = self._sections(chunk)
        for rows in groups:
            number = int(chunk.kinds[rows[0]])
            kind = self.kinds[number]
            self._note_headings(kind, rows, chunk)
            if kind.template is None:
                continue
            if kind.row is not None:
                self._keep_table(number, kind.template, kind.row, rows, chunk)
            elif kind.is_box:
                self._keep_boxes(number, kind.template, rows, sections[rows], chunk)
            elif any(one.kind not in ("skip", "total", "mean") for one in kind.template.fields):
                self._keep((number, ""), kind.template, rows, chunk)
        self.tail = [*self.tail, *chunk.lines[-TAIL:]][-TAIL:]
        return len(chunk.kinds)

    def _cut(self, piece: str, start: int) -> _Chunk:
        """Cut a piece of the text into lines and numbers, and find the kind of each line."""
        lines = piece.split("\n")
        if piece.endswith("\n"):
            lines.pop()
        cut = cut_lines(piece, lines)
        known = len(self.ids)
        ids = np.fromiter(map(self.ids.__getitem__, cut.masked), dtype=np.int64, count=len(cut.masked))
        fresh, first = np.unique(ids, return_index=True)
        place_of = np.flatnonzero(np.diff(np.maximum.accumulate(cut.alike), prepend=-1))
        for index in first[fresh >= known].tolist():
            masked = cut.masked[index]
            begin = int(cut.offsets[place_of[index]])
            self.kind_of.append(self._kind(masked, cut.tokens[begin : begin + masked.count(MARK)]))
        return _Chunk(lines, start, cut.tokens, cut.offsets, np.asarray(self.kind_of, dtype=np.int64)[ids][cut.alike])

    def _kind(self, masked: str, tokens: list[str]) -> int:
        """Return the number of the kind of a line that was not seen before."""
        key = form_of(masked)
        if not key:
            return BLANK
        number = self.keys.get(key)
        if number is None:
            kind = self._kind_of(masked, key, tokens)
            number = PROSE
            if kind != self.kinds[PROSE]:
                self.keys[key] = number = len(self.kinds)
                self.kinds.append(kind)
        return number

    def _kind_of(self, masked: str, key: str, tokens: list[str]) -> _Kind:
        if len(key) > LONGEST_LINE:
            return _Kind()
        if len(self.ids) > MOST_KINDS and (self.parsed >= MOST_MEASURES or MEASURE.search(key) is None):
            self.scan.crowded = True
            return _Kind()
        line = BLANKS.sub("  ", masked)
        short = len(key) <= LONGEST_HEADING
        is_heading = short and RUN_HEADING.search(line) is not None
        parsing = MARK in key and INTEREST.search(line) is not None and not (is_heading and line.startswith("#"))
        if parsing and self.parsed >= (MOST_TEMPLATES if MEASURE.search(line) is None else MOST_MEASURES):
            parsing, self.scan.crowded = False, True
        template = parsed(line, tokens) if parsing else None
        self.parsed += parsing + len(tokens) // MANY_NUMBERS
        told = sides_in(line) if short and (template is None or not template.has_values) else []
        return _Kind(
            template,
            table_row(line, tokens) if parsing else None,
            parsing and BOX_ROW.fullmatch(line) is not None,
            told[0] if len(told) == 1 else None,
            is_heading,
            not key.strip(" -=+|_│┃"),
            section_of(line),
        )

    def _note_headings(self, kind: _Kind, rows: Lines, chunk: _Chunk) -> None:
        side = kind.side
        if side is not None:
            self.scan.sides += [(chunk.start + index, side) for index in rows.tolist()]
        if kind.is_heading:
            self.scan.headings += [
                (chunk.start + index, " ".join(chunk.lines[index].strip(" #=-*_\t").split())[:60])
                for index in rows.tolist()
            ]

    def _sections(self, chunk: _Chunk) -> npt.NDArray[np.object_]:
        """Return for each line the section of a box in which it stands, such as ``train``."""
        names = [kind.section for kind in self.kinds]
        if not any(names):
            return np.full(len(chunk.kinds), "", dtype=object)
        ends = np.asarray([kind.is_rule or bool(kind.section) for kind in self.kinds])[chunk.kinds]
        last = np.maximum.accumulate(np.where(ends, np.arange(len(ends)), -1))
        told = np.asarray([self.section, *names], dtype=object)
        found = told[np.where(last >= 0, chunk.kinds[np.maximum(last, 0)] + 1, 0)]
        self.section = str(found[-1])
        return np.asarray(found, dtype=object)

    def _keep_boxes(
        self, number: int, template: Template, rows: Lines, sections: npt.NDArray[np.object_], chunk: _Chunk
    ) -> None:
        for section in dict.fromkeys(sections.tolist()):
            fields = [
                replace(one, name=f"{section}/{one.name}") if section and one.kind == "value" else one
                for one in template.fields
            ]
            self._keep((number, section), replace(template, fields=fields), rows[sections == section], chunk)

    def _keep_table(self, number: int, template: Template, row: TableRow, rows: Lines, chunk: _Chunk) -> None:
        """Keep the rows of tables with the header above them. Consecutive rows share a header."""
        starts = np.flatnonzero(np.diff(rows, prepend=-2) > 1)
        by_header: dict[str, list[Lines]] = defaultdict(list)
        for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=True):
            first = int(rows[begin])
            if self.looked_up[number] < MOST_HEADERS:
                self.looked_up[number] += 1
                above = chunk.lines[max(0, first - TAIL) : first]
                found = header_above([*self.tail[len(above) :], *above] if first < TAIL else above, row)
                self.headers[number] = found or self.headers.get(number, "")
            by_header[self.headers[number]].append(rows[begin:end])
        for header, parts in by_header.items():
            told = row.template(template, header) if header else template
            if told.fields:
                self._keep((number, header), told, np.concatenate(parts), chunk)

    def _keep(self, key: tuple[int, str], template: Template, rows: Lines, chunk: _Chunk) -> None:
        """Keep the numbers of some lines."""
        if key not in self.kept:
            first = int(rows[0])
            self.kept[key] = _Kept(template, chunk.start + first, chunk.lines[first])
        kept = self.kept[key]
        kept.lines.append(rows + chunk.start)
        begins = chunk.offsets[rows]
        for slot in sorted({one.slot for one in template.fields if one.kind != "skip"}):
            kept.values.setdefault(slot, []).append(numbers_of(_picked(chunk.tokens, begins + slot)))


def _picked(tokens: list[str], places: Lines) -> Sequence[str]:
    """Return some tokens. Equally spaced ones are taken as a slice, which is faster."""
    first, last = int(places[0]), int(places[-1])
    if len(places) == 1:
        return [tokens[first]]
    stride = int(places[1]) - first
    if (np.diff(places) == stride).all():
        return tokens[first : last + 1 : stride]
    picked: Sequence[str] = itemgetter(*places.tolist())(tokens)
    return picked


def _chunks(text: str) -> Iterator[str]:
    """Yield pieces of whole lines. A line longer than a piece is left out."""
    begin = 0
    while begin < len(text):
        if len(text) - begin <= CHUNK:
            yield text[begin:]
            return
        newline = text.rfind("\n", begin, begin + CHUNK)
        if newline < 0:
            newline = text.find("\n", begin + CHUNK)
            yield "\n"
            begin = len(text) if newline < 0 else newline + 1
        else:
            yield text[begin : newline + 1]
            begin = newline + 1
