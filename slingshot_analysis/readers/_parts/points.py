"""Gather single points into columns, for formats that log one value or one row at a time."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from slingshot_analysis.readers._raw import Column

WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class Points:
    """The steps and values so far of each column, and the names of values that are no numbers."""

    def __init__(self) -> None:
        self._points: dict[str, tuple[array[float], array[float]]] = {}
        self._others: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._points)

    def column(self, name: str) -> tuple[array[float], array[float]]:
        """Return the steps and values of a column, to append to."""
        return self._points.setdefault(name, (array("d"), array("d")))

    def add(self, name: str, step: float, value: Any) -> None:
        """Append one point; a value that is no number is left out."""
        number = as_number(value)
        if number is None:
            self.leave_out(name)
            return
        steps, values = self.column(name)
        steps.append(step)
        values.append(number)

    def leave_out(self, name: str) -> None:
        """Record that a value of this name was no number."""
        self._others[name] = None

    @property
    def longest(self) -> int:
        """Number of points in the longest column."""
        return max((len(steps) for steps, _ in self._points.values()), default=0)

    def add_new(self, other: Points) -> None:
        """Add the columns whose names are new."""
        self._points |= {name: points for name, points in other._points.items() if name not in self._points}

    def columns(self) -> dict[str, Column]:
        """Return the columns, in the order in which they began."""
        return {name: Column(np.array(values), np.array(steps)) for name, (steps, values) in self._points.items()}

    def notes(self) -> list[str]:
        """Return notes on what was left out."""
        return [f"values that are no single numbers were left out: {listed(self._others)}"] if self._others else []


def as_number(value: Any) -> float | None:
    """Return a JSON value as a number, None if it isn't one; ``"NaN"`` and ``"Infinity"`` are numbers that JSON lacks.

    Examples
    --------
    >>> as_number(True), as_number("-Infinity"), as_number("0.5")
    (1.0, -inf, None)
    """
    if isinstance(value, str):
        return WORDS.get(value)
    if not isinstance(value, bool | int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def distinct_names(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """Return unique names of the runs: empty for a single run, with the id where a name occurs twice.

    Examples
    --------
    >>> distinct_names(["a", "b", "a"], ["1", "2", "3"])
    ['a (1)', 'b', 'a (3)']
    """
    if len(names) == 1:
        return [""]
    return [
        name if name and names.count(name) == 1 else f"{name} ({identity})" if name else identity
        for name, identity in zip(names, ids, strict=True)
    ]


def listed(names: Iterable[str], most: int = 5) -> str:
    """Return the first few names for a message, and the number of the others."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def unique_names(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Make names unique by numbering repetitions, and note which were repeated.

    Examples
    --------
    >>> unique_names(["step", "loss", "loss"])
    (['step', 'loss', 'loss (2)'], ["the header names 'loss' 2 times; the later ones are called 'loss (2)' and so on"])
    """
    given = list(names)
    taken, unique = set(given), []
    counts: dict[str, int] = {}
    for name in given:
        counts[name] = number = counts.get(name, 0) + 1
        candidate = name if number == 1 else f"{name} ({number})"
        while number > 1 and candidate in taken:
            number += 1
            candidate = f"{name} ({number})"
        taken.add(candidate)
        unique.append(candidate)
    return unique, [
        f"the header names {name!r} {count} times; the later ones are called '{name} (2)' and so on"
        for name, count in counts.items()
        if count > 1
    ]
