"""Rises and falls of a curve, and the noise that they have to exceed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from slingshot_analysis.canonical import MAD_OF_NORMAL, FloatArray, bin_edges, row_medians

FLOAT32_SPACING = 2.0**-23
"""Spacing of float32 numbers at 1. Losses below it are rounding noise, because log-softmax subtracts numbers of order
one or more."""
BINS = 4000
"""Maximum number of bins of the search. A spike shows in the maximum of its bin, however short it is."""
NOISE_BLOCK = 64
"""Number of bins in which the noise of the loss is taken as constant."""
MAXIMUM_ROUNDING_UNIT = 1e-2
"""Largest unit to which logs round a loss. Where a log has exact zeros, its smallest other value is taken for that
unit."""
MAXIMUM_DECADES = 300.0
"""Largest rise that a float can hold."""
LARGEST_FALL = 1.0
"""Decades of fall that end any spike. Half of a rise over many decades may take as long as the rest of the run, because
the loss resumes its slow descent far above the trough."""


def binned_log_loss(loss: FloatArray) -> tuple[Any, FloatArray]:
    """Return bin edges, and the decimal logarithm of the largest loss of each bin.

    The loss is floored at its resolution: the spacing of float32 at 1, or the unit to which the log rounds, if exact
    zeros show that it does.

    Parameters
    ----------
    loss : (n,) float array, nats
        In canonical form.

    Returns
    -------
    edges : (m,) int array
        First sample of each bin.
    height : (m,) float array, decades
        Logarithm of the largest loss.

    Examples
    --------
    >>> import numpy as np
    >>> binned_log_loss(np.array([1.0, 0.0, 0.01]))[1].round(2).tolist()
    [0.0, -2.0, -2.0]
    """
    edges = bin_edges(len(loss), BINS)
    peak = np.maximum.reduceat(loss, edges)
    least = float(np.min(loss, where=loss > 0, initial=np.inf)) if (loss == 0).any() else 0.0
    floor = max(FLOAT32_SPACING, least if least <= MAXIMUM_ROUNDING_UNIT else 0.0)
    return edges, np.log10(np.clip(peak, floor, np.finfo(float).max))


def excursions(height: FloatArray, threshold: FloatArray, *, open_end: bool = False) -> list[tuple[int, int, int]]:
    """Follow a curve from trough to peak to trough, and ignore rises below the threshold.

    Parameters
    ----------
    height : (m,) float array, decades
        Any curve, such as the logarithm of the loss.
    threshold : (m,) float array, decades
        Minimum rise above a trough at that place.
    open_end : bool, optional
        Whether a rise counts that is not undone at the end of the curve.

    Returns
    -------
    list of (trough, peak, back)
        Indices. `back` is the first index after the peak at which half of the rise or one decade is undone.

    Examples
    --------
    >>> import numpy as np
    >>> excursions(np.array([2.0, 0.0, 3.0, 2.5, 1.0, 0.5]), np.full(6, 1.0))
    [(1, 2, 4)]
    """
    found = []
    values, least = height.tolist(), threshold.tolist()
    trough, peak = 0, -1
    for i, value in enumerate(values):
        if peak < 0:
            if value <= values[trough]:
                trough = i
            elif value >= values[trough] + least[trough]:
                peak = i
        elif value > values[peak]:
            peak = i
        elif value <= values[peak] - min((values[peak] - values[trough]) / 2, max(LARGEST_FALL, least[trough])):
            found.append((trough, peak, i))
            trough, peak = i, -1
    if open_end and peak >= 0:
        found.append((trough, peak, len(values) - 1))
    return found


def local_noise(height: FloatArray) -> FloatArray:
    """Estimate the standard deviation of the noise of each bin from the median difference of neighbours in its block.

    Parameters
    ----------
    height : (m,) float array, decades
        Logarithm of the largest value of each bin.

    Returns
    -------
    (m,) float array, decades
        Constant in each block of 64 bins.
    """
    change = np.abs(np.diff(height, prepend=height[:1]))
    return np.asarray(by_block(change, row_medians) / (MAD_OF_NORMAL * np.sqrt(2)))


def by_block(values: FloatArray, summary: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Return for each value the summary of its block of about 64.

    Parameters
    ----------
    values : (m,) float array
        At least one.
    summary : callable
        Takes a table with a block in each row, and returns one number for each row.

    Returns
    -------
    (m,) float array

    Examples
    --------
    >>> by_block(np.array([1.0, 2.0, 6.0]), lambda blocks: blocks.mean(axis=1))
    array([3., 3., 3.])
    """
    blocks = bin_edges(len(values), -(-len(values) // NOISE_BLOCK))
    last = int(blocks[-1])  # that block may be shorter than the others
    tables = [values[:last].reshape(len(blocks) - 1, -1)] if last else []
    found = np.concatenate([summary(table) for table in (*tables, values[np.newaxis, last:])])
    return np.asarray(np.repeat(found, np.diff(np.append(blocks, len(values)))))
