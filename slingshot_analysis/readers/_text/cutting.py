"""Cut the lines of a text into numbers. One regular expression cuts all lines of the most common forms."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from slingshot_analysis.readers._text.tokens import BODY, FIRST, MARK, masked_lines, with_marks

Lines = npt.NDArray[np.int64]

BULK = 1 << 17
"""Minimum number of characters of a text in which common forms are looked for."""
SAMPLE = 1 << 14
"""Number of characters, in the middle of the text, in which they are looked for."""
MOST_FORMS = 4
LEAST_SHARE = 0.05
"""Minimum share of a common form among the lines of this sample."""

BAR = re.compile(r"\|[█▏▎▍▌▋▊▉#\s-]*\||\[[=>.\-# ]{3,}\]|[━╸╺]+")
"""The picture of a progress bar."""
ANY_BAR = r"(?:\|[█▏▎▍▌▋▊▉#\t -]*+\||\[[=>.\-# ]{3,}+\]|[━╸╺]++)"
"""The same within a line, with possessive quantifiers, so that it never backtracks."""
PADDING = "[(/:=|,"
"""Characters after which a short number may be padded with a blank."""
PADDED = re.compile(rf"([{re.escape(PADDING)}#]) \0")
ANY_NUMBER = f"([{FIRST}]{BODY})"
KINDS = tuple(
    (re.compile(source), f"({source})")
    for source in (
        r"-?+[.0-9]++(?<!\.)(?>[eE][-+]?[0-9]++|)",  # 0.5, 1.0E-04
        r"[0-9]++[-/][0-9]++[-/][0-9]++(?>[T ,][0-9]++:[0-9:.,]++|)",  # 2024-01-01 10:00:00,123
        r"(?>[0-9]++(?:[.,:][0-9]++)+)",  # 12:30:45,123
    )
)
"""Kinds of numbers, which are found several times faster than any number is."""
GOES_ON = re.compile(r"[eEkKMBG]|[,:/](?:\Z|[-+.0-9])")
"""Text after a number that may be part of it, depending on the digits around it."""
OF_TOTAL = re.compile(r"/[ \t]*")
"""Text after a number that is part of it only in a date, which has another slash or dash."""
UNSURE_START = re.compile(r"[-+.0-9]")
UNSURE_END = re.compile(r"(?:[\w@#.+-]|^)\Z")
"""Characters at the ends of the text between numbers that may be part of a number."""
BLANKS, MAYBE_BLANKS = r"[ \t]++", r"[ \t]*+"


def form_of(masked: str) -> str:
    r"""Return a masked line with single blanks and uniform progress bars, which is the same for all lines of one form.

    Examples
    --------
    >>> form_of("step   \0: |##  | loss:  \0")
    'step \x00: |#| loss:\x00'
    """
    return PADDED.sub("\\1\0", " ".join(BAR.sub("|#|", masked).split()))


@dataclass(frozen=True)
class CutLines:
    """The lines of a text, cut into numbers.

    Parameters
    ----------
    masked : list of str
        Lines with a mark in the place of each number. Of each common form only the first line is here.
    alike : (n,) int array
        For each line of the text, the index in `masked` of its line or of the first line of its form.
    tokens : list of str
        All numbers as text, and some empty strings.
    offsets : (n,) int array
        For each line, where its numbers begin among them.
    """

    masked: list[str]
    alike: Lines
    tokens: list[str]
    offsets: Lines


def cut_lines(text: str, lines: Sequence[str]) -> CutLines:
    r"""Cut a text, given also as `lines`, into lines and numbers.

    Examples
    --------
    >>> cut = cut_lines("loss 0.5\nsaved\nloss 0.25\n", ["loss 0.5", "saved", "loss 0.25"])
    >>> cut.masked, cut.tokens, cut.offsets.tolist()
    (['loss \x00', 'saved', 'loss \x00'], ['0.5', '0.25'], [0, 1, 1])
    """
    given, text = text, with_marks(text)
    if text is not given:
        lines = text.split("\n")
    pattern, places = _pattern_of(text) if len(text) >= BULK else (None, [])
    if pattern is None:
        return _one_by_one(text)
    found = pattern.findall(text if text.endswith("\n") else text + "\n")
    alike = np.full(len(found), -1, dtype=np.int64)
    firsts: list[tuple[Lines, int]] = []
    for place in places:
        fits = np.flatnonzero(np.fromiter(map(bool, map(itemgetter(place), found)), np.bool_, len(found)))
        if len(fits):
            alike[fits[1:]] = fits[0]
            firsts.append((fits[1:], place))
    blank = np.flatnonzero(np.fromiter(map(len, islice(lines, len(found))), np.int64, len(found)) == 0)
    alike[blank[1:]] = blank[0] if len(blank) else -1
    alone = np.flatnonzero(alike < 0)
    rest = _one_by_one("\n".join([lines[index] for index in alone.tolist()]) + "\n")
    tokens, width = rest.tokens, len(found[0])
    offsets = len(tokens) + width * np.arange(len(found), dtype=np.int64)
    for fits, place in firsts:
        offsets[fits] += place
    offsets[alone] = rest.offsets
    place_of = np.empty(len(found), dtype=np.int64)
    place_of[alone] = np.arange(len(alone))
    tokens.extend(chain.from_iterable(found))
    return CutLines(rest.masked, place_of[np.where(alike < 0, np.arange(len(found)), alike)], tokens, offsets)


def _one_by_one(text: str) -> CutLines:
    masked, tokens = masked_lines(text)
    if text.endswith("\n"):
        masked.pop()
    counts = np.fromiter([line.count(MARK) for line in masked], dtype=np.int64, count=len(masked))
    return CutLines(masked, np.arange(len(masked)), tokens, np.cumsum(counts) - counts)


def _pattern_of(text: str) -> tuple[re.Pattern[str] | None, list[int]]:
    """Return a pattern of any line, with groups for the numbers of common forms, and each form's first group."""
    begin = text.find("\n", len(text) // 2) + 1
    masked, tokens = masked_lines(text[begin : text.rfind("\n", begin, begin + SAMPLE) + 1])
    numbers = iter(tokens)
    lines: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
    for line in masked:
        lines[form_of(line)].append((line, list(islice(numbers, line.count(MARK)))))
    has_dots = ".." in text
    sources: list[str] = []
    places: list[int] = []
    place = 0
    for alike in sorted(lines.values(), key=len, reverse=True)[:MOST_FORMS]:
        if len(alike) < LEAST_SHARE * len(masked):
            break
        columns = list(zip(*(found for _, found in alike), strict=True))
        kinds = [ANY_NUMBER if has_dots else _kind_of(column) for column in columns]
        source = _source(alike[0][0], kinds)
        if source is not None:
            sources.append(source)
            places.append(place)
            place += len(kinds)
    return (re.compile(f"(?:{'|'.join(sources)})\n|.*\n()"), places) if sources else (None, [])


def _kind_of(numbers: Sequence[str]) -> str:
    """Return the quickest pattern that matches all these numbers."""
    return next((source for kind, source in KINDS if all(map(kind.fullmatch, numbers))), ANY_NUMBER)


def _source(masked: str, kinds: Sequence[str]) -> str | None:
    """Return a pattern of lines of one form. None if the text between their numbers may be part of a number.

    In a line that it matches, a search for single numbers finds the same ones: each number is as long as possible, and
    no number begins in the text between two.
    """
    first, *others = masked.split(MARK)
    if not others or UNSURE_END.search(first or " "):
        return None
    if any(map(UNSURE_START.match, others)) or any(map(UNSURE_END.search, others[:-1])):
        return None
    source = r"[ \t]*+" + _text_source(first.lstrip())
    for kind, piece, after in zip(kinds, others, [*others[1:], ""], strict=True):
        in_total = OF_TOTAL.fullmatch(piece) is not None and not after.startswith(("/", "-"))
        source += ANY_NUMBER if GOES_ON.match(piece.rstrip()) and not in_total else kind
        source += _text_source(piece)
    return source.removesuffix(BLANKS) + MAYBE_BLANKS


def _text_source(piece: str) -> str:
    """Return a pattern of the text between two numbers, with any bar, and any blanks beside the numbers."""
    inner = piece.strip()
    source = ANY_BAR.join(map(re.escape, BAR.split(inner)))
    if not inner:
        return BLANKS if piece else ""
    before = BLANKS if piece[0].isspace() else ""
    after = MAYBE_BLANKS if inner[-1] in PADDING else BLANKS if piece[-1].isspace() else ""
    return before + source + after
