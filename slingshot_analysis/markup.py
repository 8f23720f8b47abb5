"""HTML that a notebook shows for an object: plain tables in the colours of the page, from the folder ``templates``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from slingshot_analysis.rendering import render

MOST_ROWS = 20
"""Rows of a table that are shown; the others are counted."""


class Shown:
    """A dataclass that a notebook shows as a table of its fields."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def _repr_html_(self) -> str:
        fields = [(field.name, getattr(self, field.name)) for field in dataclasses.fields(self)]
        return block(type(self).__name__, "", table(fields))


def block(title: str, words: str, *parts: str) -> str:
    """Return a title in bold with some words after it, and HTML below.

    Examples
    --------
    >>> block("a<b", "3 rows")
    '<div><b>a&lt;b</b> 3 rows</div>'
    """
    return render("block.html", title=title, words=words, parts="".join(parts))


def table(rows: Iterable[Sequence[object]], head: Sequence[str] = (), most: int = MOST_ROWS) -> str:
    """Return a table of up to `most` rows, and the number of the others below it.

    Parameters
    ----------
    rows : iterable of sequence
        Numbers and texts, which are escaped.
    head : sequence of str, optional
        The name of each column. Without it the first cell of each row is its name.
    most : int, optional
        Rows that are shown.
    """
    waiting = iter(rows)
    shown = [list(map(words_of, row)) for row in islice(waiting, most)]
    return render("table.html", rows=shown, head=head, left=sum(1 for _ in waiting))


def quiet(text: str) -> str:
    """Return a paragraph of less weight."""
    return render("quiet.html", text=text)


def words_of(value: object) -> str:
    """Return a value in short words: numbers with six digits, a pair as a range.

    Examples
    --------
    >>> words_of(12345), words_of(0.123456789), words_of(None), words_of((10, 20)), words_of(("a", "b"))
    ('12,345', '0.123457', '-', '10 to 20', 'a, b')
    """
    if value is None:
        return "-"
    if isinstance(value, bool | np.bool_ | str):
        return str(value)
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return f"{value:,.6g}"
    if isinstance(value, tuple | list):
        is_range = len(value) == 2 and not isinstance(value[0], str)
        return (" to " if is_range else ", ").join(map(words_of, value))
    return str(value)


def duration_words(seconds: float) -> str:
    """Return a duration in words.

    Examples
    --------
    >>> duration_words(59), duration_words(3_720), duration_words(200_000)
    ('59 s', '1 h 02 min', '55 h 33 min')
    """
    minutes = round(seconds) // 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
