"""Levels of a series, and the rises above them, by rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slingshot_analysis.canonical import FloatArray

LEVEL_ROWS, LEVEL_PART = (3, 16), 12
"""Rows whose median is a level: at least, at most, and one in so many of the log."""


@dataclass(frozen=True)
class Rise:
    """A rise of a series.

    Parameters
    ----------
    start, peak : int, rows
        First and largest row.
    back : int or None, rows
        First row after the peak that is back at the level. None if there is none.
    level : float
        What the series rises from, in its unit.
    floor : float
        Resolution of the series.
    deviation : float
        Standard deviation of the noise.
    height : float
        Value at the peak minus the level.
    """

    start: int
    peak: int
    back: int | None
    level: float
    floor: float
    deviation: float
    height: float


def level_rows(n: int) -> int:
    """Return the number of rows whose median is a level of a series of so many rows."""
    return min(max(n // LEVEL_PART, LEVEL_ROWS[0]), LEVEL_ROWS[1])


def median(values: FloatArray) -> float:
    """Return the median of a few values, which is faster than `numpy.median` for some dozens.

    Examples
    --------
    >>> median(np.array([3.0, 1.0, 2.0, 9.0]))
    2.5
    """
    ordered = values.copy()
    ordered.sort()
    return 0.5 * float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2])


def smoothed(values: FloatArray) -> FloatArray:
    """Return the median of each row and the two that follow it."""
    smooth = values.copy()
    a, b, c = values[:-2], values[1:-1], values[2:]
    most = np.maximum(a, b)
    np.minimum(most, c, out=most)
    np.maximum(np.minimum(a, b, out=smooth[:-2]), most, out=smooth[:-2])
    return smooth
