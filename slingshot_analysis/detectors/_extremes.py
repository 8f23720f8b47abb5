"""Extremes of a series by blocks of rows: quick bounds that save the search for rises its exact work."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from slingshot_analysis.canonical import FloatArray

BLOCKS_IN_REACH = 8
"""Number of blocks in the rows that a sudden rise takes at most. More blocks give closer bounds and cost more."""


class Extremes(NamedTuple):
    """Largest and smallest values of a series in each block of rows.

    Parameters
    ----------
    size : int
        Number of rows of a block. The last block may be shorter.
    top : (b,) float array
        Largest value of each block.
    low : (b,) float array
        Smallest value of each block of the smoothed series.
    """

    size: int
    top: FloatArray
    low: FloatArray


def extremes(values: FloatArray, smooth: FloatArray, reach: int) -> Extremes:
    """Return the extremes of a series and of its smoothed form, in blocks of an eighth of `reach` rows."""
    size = max(1, reach // BLOCKS_IN_REACH)
    edges = np.arange(0, len(values), size)
    return Extremes(size, np.maximum.reduceat(values, edges), np.minimum.reduceat(smooth, edges))


def level_bounds(found: Extremes, rows: int) -> FloatArray:
    """Return for each block a lower bound of the levels that are read from the `rows` rows before one of its rows.

    The smoothed series holds the medians of three neighbours. A median of five or more rows, which a level is, is at
    least the smallest of these.
    """
    blocks = -(-rows // found.size)
    return _in_windows(np.minimum, np.append(np.full(blocks, np.inf), found.low), blocks + 1)


def peak_bounds(found: Extremes, limit: FloatArray, reach: int) -> FloatArray:
    """Return for each block an upper bound of the peaks of rises that begin in it.

    Parameters
    ----------
    found : Extremes
        Of the series.
    limit : (b,) float array
        A rise that begins in a block is over at the latest where the smoothed series is at most this.
    reach : int
        Number of rows after the first in which the peak may lie even where the rise is over before.

    Returns
    -------
    (b,) float array
        Infinite where the series never falls to the limit.
    """
    bound = np.full(len(limit), np.inf)
    after = reach // found.size + 1
    while True:
        top = _in_windows(np.maximum, np.append(found.top, np.full(after, -np.inf)), after + 1)
        low = _in_windows(np.minimum, np.append(found.low[1:], np.full(after, np.inf)), after)
        bound = np.where(np.isinf(bound) & (low <= limit), top, bound)
        if after >= len(limit):
            return bound
        after *= 2


def _in_windows(extreme: np.ufunc, values: FloatArray, width: int) -> FloatArray:
    """Return the extreme of each window of so many values."""
    size = 1
    while 2 * size <= width:
        values = extreme(values[:-size], values[size:])
        size *= 2
    if size < width:
        values = extreme(values[: size - width], values[width - size :])
    return values
