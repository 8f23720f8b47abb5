"""Axes and paths of the small figures that the templates draw as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from slingshot_analysis.report._words import step_words

Array = npt.NDArray[np.float64]
Scale = Literal["linear", "log", "symlog"]

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
PLAIN_POWERS = range(-3, 6)
"""Powers of ten that are written out."""


@dataclass(frozen=True)
class Axis:
    """An axis: where a value stands, and its ticks.

    Parameters
    ----------
    low, high : float
        Values at its two ends.
    start, end : float, pixels
        Places of its two ends.
    scale : {"linear", "log", "symlog"}
        "symlog" is logarithmic on both sides of 0, and linear between -1 and 1.
    words : tuple of str
        Text of each tick, if not the number itself.
    """

    low: float
    high: float
    start: float
    end: float
    scale: Scale = "linear"

    def at(self, value: npt.ArrayLike) -> Array:
        """Return the places of values, pixels.

        Examples
        --------
        >>> Axis(1, 100, 0, 200, "log").at([1, 10, 100]).tolist()
        [0.0, 100.0, 200.0]
        """
        low, high, given = self._scaled(self.low), self._scaled(self.high), self._scaled(value)
        return np.asarray(self.start + (given - low) / (high - low) * (self.end - self.start))

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Return place and text of up to about `most` ticks."""
        values = self._tick_values(most)
        return [
            (round(float(place), 1), self._words(value)) for place, value in zip(self.at(values), values, strict=True)
        ]

    def _scaled(self, value: npt.ArrayLike) -> Array:
        given = np.asarray(value, dtype=np.float64)
        if self.scale == "log":
            return np.log10(given)
        return np.sign(given) * np.log10(1 + np.abs(given)) if self.scale == "symlog" else given

    def _tick_values(self, most: int) -> list[float]:
        if self.scale == "linear":
            return nice_numbers(self.low, self.high, most)
        if self.scale == "log":
            first, last = int(np.ceil(np.log10(self.low) - 1e-9)), int(np.floor(np.log10(self.high) + 1e-9))
            stride = max(1, -(-(last - first + 1) // most))
            powers = [10.0**power for power in range(first, last + 1, stride)]
            if len(powers) > 2:
                return powers
            for factors in ((1, 2, 5), (1, 3)):
                finer = [factor * 10.0**power for power in range(first - 1, last + 1) for factor in factors]
                finer = [value for value in finer if self.low <= value <= self.high]
                if len(finer) <= most + 1:
                    break
            return finer if len(finer) > 1 else [value for value in nice_numbers(self.low, self.high, 3) if value > 0]
        reach = int(np.floor(np.log10(max(abs(self.low), abs(self.high), 1))))
        stride = max(1, -(-reach // max(most // 2, 1)))
        sizes = [10.0**power for power in range(reach, 0, -stride)]
        values = [*(-size for size in sizes), 0.0, *reversed(sizes)]
        return [value for value in values if self.low <= value <= self.high]

    def _words(self, value: float) -> str:
        if self.scale == "symlog":
            return "0" if value == 0 else f"{'−' if value < 0 else '+'}{step_words(abs(value))}"
        return number_words(value)


def nice_numbers(low: float, high: float, most: int) -> list[float]:
    """Return round numbers between two others.

    Examples
    --------
    >>> nice_numbers(0, 97, 5)
    [0.0, 20.0, 40.0, 60.0, 80.0]
    """
    rough = (high - low) / most
    if not rough > 0:
        return [low]
    power = 10.0 ** np.floor(np.log10(rough))
    size = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = int(np.ceil(low / size - 1e-9)), int(np.floor(high / size + 1e-9))
    return [float(f"{count * size:.12g}") for count in range(first, last + 1)]


def number_words(value: float) -> str:
    """Return a number as a tick shows it.

    Examples
    --------
    >>> number_words(1e-8), number_words(20_000), number_words(0.25)
    ('10⁻⁸', '20,000', '0.25')
    """
    if value == 0:
        return "0"
    power = np.log10(abs(value))
    if abs(power - round(power)) < 1e-9 and round(power) not in PLAIN_POWERS and value > 0:
        return f"10{str(round(power)).translate(SUPERSCRIPTS)}"
    return f"{value:,.10g}" if 1e-4 <= abs(value) < 1e9 else f"{value:.3g}"


def path(x: npt.ArrayLike, y: npt.ArrayLike) -> str:
    """Return a line through points, pixels, with a gap where one is not finite.

    Examples
    --------
    >>> path([0, 1, 2, 3], [5, np.nan, 4, 3.55])
    'M0,5M2,4L3,3.6'
    """
    places = np.round(np.stack(np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))), 1)
    known = np.asarray(np.isfinite(places).all(axis=0))
    begins = known & ~np.concatenate([[False], known[:-1]])
    letters = np.where(begins, "M", "L")[known].tolist()
    return "".join(
        f"{letter}{at_x:g},{at_y:g}" for letter, at_x, at_y in zip(letters, *places[:, known].tolist(), strict=True)
    )


def area(x: Array, low: Array, high: Array) -> str:
    """Return the outline of what lies between two lines, pixels."""
    known = np.isfinite(low + high)
    outline = path(np.concatenate([x[known], x[known][::-1]]), np.concatenate([low[known], high[known][::-1]]))
    return f"{outline}Z" if outline else ""


def spread(places: Sequence[float], room: float) -> list[float]:
    """Move places apart, so that labels there do not touch, and return them in their order.

    Examples
    --------
    >>> spread([10.0, 12.0, 40.0], 10)
    [10.0, 20.0, 40.0]
    """
    found = list(places)
    order = np.argsort(places)
    for before, here in pairwise(order):
        found[here] = max(found[here], found[before] + room)
    return found
