"""Cut text into numbers and what stands between them, in time linear in its length."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MARK = "\0"
"""Replaces each number in a masked line. Texts do not contain it."""

NAN, INFINITY, MINUS_INFINITY = "\4", "\5", "\6"
NOT_FINITE = re.compile(
    r"(?<![\w.])(?<!of )([-+]?)(nan|inf|infinity)(?:(?![\w.])|(?=(?:ms|s|it/s)\b))",
    re.IGNORECASE,
)
"""NaN and infinity as values, also before a unit, but not in words such as "info" and "number of nan iterations"."""

FIRST = r"-+.0-9\4-\6"
"""What a number begins with: a sign, a point or a digit."""
BODY = (
    r"(?:(?<=[0-9\4-\6])|(?=\.?[0-9]))"
    r"(?>[0-9]*(?:[.,:][0-9]++)*"  # 1,024.5 and 12:30:45,123
    r"(?:[eE][-+]?[0-9]++"
    r"|[-/][0-9]++[-/][0-9]++(?:[T ,][0-9]++:[0-9:.,]++)?)?"  # 2024-01-01 10:00:00,123
    r"(?:[kKMBG](?![A-Za-z]))?)"
)
"""What follows. It is one atomic group, so that it never backtracks.

Possessive groups would say the same, but before 3.11.5 Python goes on behind the part of such a group that did fit.
"""
TOKEN = re.compile(
    rf"([{FIRST}]"
    r"(?<![\w@#.][-+.0-9])(?<![A-Za-z_]-[0-9])"  # not within a word: s0.loss_cls, Acc@1, mAP50-95
    rf"{BODY})"
)
"""One number, or a date or time."""

SPECIAL = {NAN: np.nan, INFINITY: np.inf, MINUS_INFINITY: -np.inf}
SUFFIX = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9}
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
DATE = re.compile(r"\d+([-/.])\d+\1\d+")


def with_marks(text: str) -> str:
    """Return a text in which each NaN and infinity that stands for a value is one character."""
    lower = text.encode("utf-8", "surrogatepass").lower()  # of bytes, which is quick
    if b"nan" not in lower and (b"inf" not in lower or lower.count(b"inf") == lower.count(b"info")):
        return text
    return NOT_FINITE.sub(_mark, text)


def _mark(found: re.Match[str]) -> str:
    if found[2].lower() == "nan":
        return NAN
    return MINUS_INFINITY if found[1] == "-" else INFINITY


def masked_lines(text: str) -> tuple[list[str], list[str]]:
    r"""Return the lines of a text with a mark in the place of each number, and all numbers.

    Examples
    --------
    >>> masked_lines(with_marks("step 10/100: loss 0.5\nstep 20/100: acc@1 nan"))
    (['step \x00/\x00: loss \x00', 'step \x00/\x00: acc@1 \x00'], ['10', '100', '0.5', '20', '100', '\x04'])
    """
    parts = TOKEN.split(text)
    return MARK.join(parts[::2]).split("\n"), parts[1::2]


def is_time(token: str) -> bool:
    """Tell a date or a time of day from a number."""
    return ":" in token or DATE.match(token) is not None


def numbers_of(tokens: Sequence[str]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the values of the tokens of one column, and which of them are numbers at all; a time is none.

    Commas are decimal points where not all of them can separate thousands.

    Examples
    --------
    >>> numbers_of(["1,024", "512", "1.5k"])[0], numbers_of(["1,024", "0,512"])[0]
    (array([1024.,  512., 1500.]), array([1.024, 0.512]))
    """
    count = len(tokens)
    if count > 1 and tokens[-1] == tokens[0] and tokens.count(tokens[0]) == count:  # such as the total behind each step
        values, ok = numbers_of(tokens[:1])
        return np.repeat(values, count), np.repeat(ok, count)
    try:
        values = np.fromiter(map(float, tokens), dtype=np.float64, count=count)
        return values, np.ones(count, dtype=np.bool_)
    except ValueError:
        pass
    commas = [token for token in tokens if "," in token]
    decimal = not all(THOUSANDS.fullmatch(token) for token in commas)
    found = [_number(token, decimal) for token in tokens]
    values = np.asarray([np.nan if value is None else value for value in found], dtype=np.float64)
    return values, np.asarray([value is not None for value in found], dtype=np.bool_)


def _number(token: str, decimal: bool) -> float | None:
    if token in SPECIAL:
        return SPECIAL[token]
    factor = SUFFIX.get(token[-1:], 1.0)
    if factor != 1.0:
        token = token[:-1]
    if "," in token:
        if not decimal:
            token = token.replace(",", "")
        elif DECIMAL_COMMA.fullmatch(token):
            token = token.replace(",", ".")
    try:
        return float(token) * factor
    except ValueError:
        return None
