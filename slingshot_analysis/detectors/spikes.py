"""Loss spikes: sudden rises of the training loss that come back."""

from __future__ import annotations

from typing import Any

import numpy as np

from slingshot_analysis.canonical import FloatArray, as_step, bin_edges, canonical
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import LossSpike

__all__ = ["FLOAT32_FLOOR", "binned_log_loss", "detect_loss_spikes", "excursions", "local_noise"]

FLOAT32_FLOOR = 2.0**-23
"""Losses below the spacing of float32 at 1 are rounding noise: log-softmax subtracts numbers of order one or more."""
BINS = 4000
"""Bins of the search; a spike shows in the maximum of its bin, however short it is."""
NOISE_BLOCK = 64
"""Bins over which the noise of the loss is taken as constant."""
NOISE_FACTOR = 8.0
"""A spike stands this many standard deviations of the noise above the trough: 4,000 normal numbers range over seven,
and maxima of bins are skewed upwards."""
MOST_NOISE = 3.0
"""Decades above the floor that noise can never reach, however much the loss flickers below it."""
ROUNDED = 1e-2
"""Largest unit to which losses are rounded in logs; where there are exact zeros, the least other value is that unit."""
MOST_DECADES = 300.0
"""Largest rise that still fits a float."""
SUDDEN_BINS, SUDDEN_SHARE = 3, 1 / 3
"""A rise is sudden if three neighbouring bins gain a third of its height; slow humps gain it everywhere alike."""


def detect_loss_spikes(step: Any, loss: Any, *, min_ratio: float = 2.0) -> list[LossSpike]:
    """Find the sudden rises of a training loss that come back.

    The loss is floored at the resolution of float32, reduced to the logarithm of bin maxima, and followed from trough
    to peak to trough; a rise counts if it exceeds `min_ratio` and eight times the local noise, if it is sudden, and if
    at least half of it (in decades) is lost again. The start is then read off the samples themselves.

    Parameters
    ----------
    step : (n,) array_like, updates
        Where the loss was measured; every update or now and then.
    loss : (n,) array_like, nats
        Of a minibatch or of the whole training set. Exact zeros and rounded values are fine.
    min_ratio : float, optional
        Smallest rise. Twofold by default, as spikes of large language models are no more than that.

    Returns
    -------
    list of LossSpike
        In order. `start` is the first sample above the geometric mean of trough and peak, `end` the first bin below it
        again; `ratio` counts from a trough of no less than 2**-23, the resolution of float32, or the unit of rounding.

    Raises
    ------
    InputError
        If the arrays do not fit, or `min_ratio` is not above 1.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, Figure 1.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(3000)
    >>> loss = np.exp(-step / 200)
    >>> loss[2000:] += 3 * np.exp(-(step[2000:] - 2000) / 100)
    >>> detect_loss_spikes(step, loss)[0].start
    2000
    """
    if not min_ratio > 1:
        raise InputError(f"min_ratio: got {min_ratio}; a spike rises, so give a number above 1")
    steps, values = canonical(step, loss, "loss")
    if len(steps) < 3:
        return []
    edges, height = binned_log_loss(values)
    noise = local_noise(np.log10(np.clip(np.maximum.reduceat(values, edges), FLOAT32_FLOOR / 100, np.finfo(float).max)))
    threshold = np.maximum(np.log10(min_ratio), np.minimum(NOISE_FACTOR * noise, MOST_NOISE))
    spikes = []
    for trough, peak, back in excursions(height, threshold):
        rise = height[peak] - height[trough]
        gain = max(height[i] - height[max(i - SUDDEN_BINS, trough)] for i in range(trough + 1, peak + 1))
        if gain < SUDDEN_SHARE * rise:
            continue
        level = 10 ** ((height[peak] + height[trough]) / 2)
        width = int(edges[1] - edges[0])
        first = int(edges[trough])
        stop = min(int(edges[peak]) + width, len(values))
        top = int(edges[peak]) + int(np.argmax(values[edges[peak] : stop]))
        above = first + np.flatnonzero(values[first : top + 1] >= level)
        breaks = np.flatnonzero(np.diff(above) > width)
        start = above[breaks[-1] + 1] if len(breaks) else above[0]
        below = peak + np.flatnonzero(height[peak : back + 1] < np.log10(level))
        end = edges[below[0]] if len(below) else edges[back]
        spikes.append(
            LossSpike(
                as_step(steps[start]), as_step(steps[top]), as_step(steps[end]), float(10 ** min(rise, MOST_DECADES))
            )
        )
    return spikes


def binned_log_loss(loss: FloatArray) -> tuple[Any, FloatArray]:
    """Return bin edges and the decimal logarithm of each bin's largest loss, floored at the resolution of the numbers.

    That is the spacing of float32 at 1, or the unit to which a log rounds, told by exact zeros.

    Parameters
    ----------
    loss : (n,) float array, nats
        Canonical.

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
    floor = max(FLOAT32_FLOOR, least if least <= ROUNDED else 0.0)
    return edges, np.log10(np.clip(peak, floor, np.finfo(float).max))


def excursions(height: FloatArray, threshold: FloatArray) -> list[tuple[int, int, int]]:
    """Follow a curve from trough to peak to trough, ignoring what is smaller than the threshold.

    Parameters
    ----------
    height : (m,) float array, decades
        Such as the logarithm of the loss.
    threshold : (m,) float array, decades
        Least rise above a trough at that place. Half of the rise must be lost again.

    Returns
    -------
    list of (trough, peak, back)
        Indices; `back` is where half of the rise is lost again.

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
        elif value <= (values[peak] + values[trough]) / 2:
            found.append((trough, peak, i))
            trough, peak = i, -1
    return found


def local_noise(height: FloatArray) -> FloatArray:
    """Return the standard deviation of the noise per bin, from the median difference of neighbours in each block.

    Parameters
    ----------
    height : (m,) float array, decades
        Logarithm of the largest value of each bin.

    Returns
    -------
    (m,) float array, decades
        Constant over blocks of 64 bins.
    """
    change = np.abs(np.diff(height, prepend=height[:1]))
    blocks = bin_edges(len(height), -(-len(height) // NOISE_BLOCK))
    noise = [np.median(block) for block in np.split(change, blocks[1:])]
    spread = np.array(noise, dtype=np.float64) / (0.6745 * np.sqrt(2))
    return np.asarray(np.repeat(spread, np.diff(np.append(blocks, len(height)))), dtype=np.float64)
