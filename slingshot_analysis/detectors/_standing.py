"""How far each row of a series stands above its level just before, in units of the noise at that place."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from slingshot_analysis.canonical import FloatArray, row_medians

WINDOWS = (3, 8, 24, 72)
"""Rows before a row whose median is its level. Short windows follow a steep descent and noise that wanders, long ones
resist noise that does not and see rises of several rows."""
USUAL, MANY_ROWS = 24, 600
"""Heights are told in standard deviations of the noise in this window, if the log has at least this number of rows. The
course of a shorter log bends within the window; there the next shorter one counts."""
MINIMUM_WINDOWS = 4
"""Minimum number of windows that a series has to hold."""
KNOTS = 1 << 13
"""Maximum number of rows at which the level is computed. A longer series takes it from the knot before."""
BLOCK, BLOCKS = 128, 256
"""Minimum number of rows, and maximum number of blocks, in which the noise is taken as constant."""
SAMPLED = 256
"""Maximum number of rows of a block from which its noise is estimated."""
SHAPE_ROWS = 50_000
"""Number of rows from which the shape of the noise is read in a longer log."""
QUARTILE = 0.6745
"""The 0.75 quantile of normal noise whose standard deviation is 1."""
TAIL_ROWS, TAIL_SHARE = 15, 0.01
"""Minimum number of rows in the upper tail that is continued, and their minimum share of all."""
TAIL_FACTOR = 1.6
"""Ratio of the decay lengths of the continued tail and of the tail seen, as some tails are heavier than exponential
ones."""
LEAST_DEVIATIONS = 5.5
"""Minimum of the limit. In 1,000 rows of normal noise the largest value is 3.2, and in a million 4.9."""
FEW_ROWS = 30.0
"""What is added to the limit, over the number of rows: the noise of short series is poorly known."""
LARGEST_WANDER = 2.5
"""Maximum ratio of the noise in the usual window and in the shortest one. A course that bends widens only the former.
White noise has a ratio of 0.8, and noise with a correlation of 0.95 one of 2.6."""
AFTER, AFTER_PART = 48, 24
"""After a row that stands out, 48 rows, or one in 24 of a shorter log, do not count for the shape of the noise: they
are the decay of a spike."""
LARGEST_LIMIT = 16.0
"""Maximum of the limit. No noise needs more, and what looks like a heavier tail is the course of a silent loss."""


class Standing(NamedTuple):
    """Where a series stands above its level.

    Parameters
    ----------
    score : (n,) float array
        Height above the level before, in standard deviations of the noise; of several windows the largest.
    deviation : (b,) float array
        Standard deviation of the noise in each block, in the unit of the series.
    size : int
        Number of rows of a block. The last one holds the remaining rows too.
    limit : float
        Score that noise hardly reaches in so many rows.
    skewness : float
        Ratio of the noise's 0.9 and 0.1 quantile, both as distances from the median.
    """

    score: FloatArray
    deviation: FloatArray
    size: int
    limit: float
    skewness: float

    def deviation_at(self, row: int) -> float:
        """Return the standard deviation of the noise at a row."""
        return float(self.deviation[min(row // self.size, len(self.deviation) - 1)])


def standing(values: FloatArray, least: float) -> Standing:
    """Measure how far each row stands above its level.

    Parameters
    ----------
    values : (n,) float array
        Finite, at least 6.
    least : float
        Smallest standard deviation of the noise, such as that of rounding.

    Returns
    -------
    Standing

    Examples
    --------
    >>> import numpy as np
    >>> values = np.random.default_rng(0).normal(2.0, 0.01, 1000)
    >>> values[700] = 2.5
    >>> found = standing(values, 1e-6)
    >>> np.flatnonzero(found.score > found.limit).tolist()
    [700]
    """
    n = len(values)
    blocks = int(np.clip(n // BLOCK, 1, BLOCKS))
    size = n // blocks
    windows = [window for window in WINDOWS if MINIMUM_WINDOWS * window <= n] or [WINDOWS[0]]
    score = np.full(n, -np.inf)
    for window in windows:
        here = _above_level(values, window)
        spread = _to_deviations(here, window, blocks, size, least)
        np.maximum(score, here, out=score)
        if window == windows[0]:
            deviation, usual, shortest = spread, here[window:], spread
        elif window < USUAL or (window == USUAL and n >= MANY_ROWS):
            deviation, usual = np.minimum(spread, LARGEST_WANDER * shortest), here[window:]
    del here
    normal = _normal_limit(n)
    shape = _without_spikes(usual, score[-len(usual) :], normal)[:: max(1, n // SHAPE_ROWS)]
    low, middle, high = np.quantile(shape, [0.1, 0.5, 0.9])
    limit = min(max(normal, _tail_limit(shape, n)), LARGEST_LIMIT) + FEW_ROWS / n
    return Standing(score, deviation, size, limit, (high - middle) / max(middle - low, 1e-9))


def _above_level(values: FloatArray, window: int) -> FloatArray:
    """Return how far each row is above the median of the rows before it, or before the knot that precedes it.

    The level of the first rows, which have no full window, is the first value.
    """
    n = len(values)
    stride = max(1, -(-n // KNOTS))
    level = row_medians(np.lib.stride_tricks.sliding_window_view(values, window)[:-1:stride])
    whole = (n - window) // stride * stride
    above = np.empty(n)
    above[:window] = values[:window] - values[0]
    parts = (array[window : window + whole].reshape(-1, stride) for array in (values, above))
    np.subtract(next(parts), level[: whole // stride, np.newaxis], out=next(parts))
    above[window + whole :] = values[window + whole :] - level[-1]
    return above


def _to_deviations(above: FloatArray, window: int, blocks: int, size: int, least: float) -> FloatArray:
    """Turn heights, in place, into standard deviations of the noise around; return these by block.

    The noise is that of the narrower one of its halves: the decay of a spike widens one of them, and a steep descent
    the other. Of three neighbouring blocks the median counts.
    """
    above[:window] = above[window : 2 * window]
    table = above[: blocks * size].reshape(blocks, size)
    stride = max(1, size // SAMPLED)
    sample = np.sort(table[:, ::stride], axis=1)
    low, middle, high = (sample[:, int(part * (sample.shape[1] - 1))] for part in (0.25, 0.5, 0.75))
    half = np.minimum(middle - low, high - middle) / QUARTILE
    spread = np.maximum(np.minimum(half, _wander(table, stride) * np.sqrt(window)), least)
    middle, spread = (_of_three(each) for each in (middle, spread))
    table -= middle[:, np.newaxis]
    table /= spread[:, np.newaxis]
    rest = above[blocks * size :]
    rest -= middle[-1]
    rest /= spread[-1]
    above[:window] = -np.inf
    return np.asarray(spread)


def _of_three(values: FloatArray) -> FloatArray:
    """Return the median of each value and its two neighbours."""
    around = np.pad(values, 1, mode="edge")
    return row_medians(np.lib.stride_tricks.sliding_window_view(around, 3))


def _wander(table: FloatArray, stride: int) -> FloatArray:
    """Return the standard deviation of the change from row to row in each block, or of its bends if these are less.

    Noise strays from the median of the rows before by no more than the change times the root of their number, however
    correlated it is. What exceeds that is the course of the loss. A bend, the difference of two changes, is at least
    the root of 2 times as large as a change in such noise, and smaller in a steep course.
    """
    change = table[:, 1::stride] - table[:, :-1:stride]
    change -= row_medians(change)[:, np.newaxis]
    spread = row_medians(np.abs(change))
    if stride == 1:
        spread = np.minimum(spread, row_medians(np.abs(np.diff(table, 2, axis=1))) / np.sqrt(2))
    return np.asarray(spread / QUARTILE)


def _without_spikes(scores: FloatArray, highest: FloatArray, normal: float) -> FloatArray:
    """Return the scores of rows that are no spike's, if these are at least half of all."""
    out = np.flatnonzero(highest > normal)
    if not len(out):
        return scores
    marks = np.zeros(len(scores) + 1, dtype=np.int32)
    np.add.at(marks, out, 1)
    np.add.at(marks, np.minimum(out + min(AFTER, len(scores) // AFTER_PART), len(scores)), -1)
    rest = scores[np.cumsum(marks, out=marks)[:-1] == 0]
    return rest if 2 * len(rest) >= len(scores) else scores


def _normal_limit(n: int) -> float:
    return float(max(np.sqrt(2 * np.log(n)) + 0.7, LEAST_DEVIATIONS))


def _tail_limit(scores: FloatArray, n: int) -> float:
    """Return the score that an exponential tail, continued from that of these scores, hardly reaches."""
    share = max(TAIL_SHARE, TAIL_ROWS / n)
    if share >= 0.25:
        return 0.0
    upper, high = np.quantile(scores, [0.75, 1 - share])
    return float(high + TAIL_FACTOR * (high - upper) / np.log(0.25 / share) * np.log(share * n))
