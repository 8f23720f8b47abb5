"""Loss spikes: sudden rises of the training loss, each followed by a fall."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from slingshot_analysis.canonical import MAD_OF_NORMAL, FloatArray, Samples, as_step, bin_edges, canonical
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import LossSpike

FLOAT32_SPACING = 2.0**-23
"""Spacing of float32 numbers at 1. Losses below it are rounding noise, because log-softmax subtracts numbers of order
one or more."""
BINS = 4000
"""Maximum number of bins of the search. A spike shows in the maximum of its bin, however short it is."""
NOISE_BLOCK = 64
"""Number of bins in which the noise of the loss is taken as constant."""
NOISE_QUANTILE, NORMAL_QUANTILE = 0.2, 0.2533
"""Quantile of the second differences from which noise is estimated, and its value for normal noise. A spike disturbs
three second differences, so that in cycles of seven rows their median is not noise."""
NOISE_FACTOR = 8.0
"""Minimum height of a spike, in standard deviations of the noise. The range of 4,000 normal numbers is about seven, and
the maxima of bins are skewed upwards."""
AROUND = 3
"""Number of bins on either side above which the rise of a local maximum is measured."""
HALF_RISE, SAME_RISE = 0.5, 0.9
"""Local rises from 0.5 to 0.9 of a spike's are half as high, and those from 0.9 on as high."""
MINIMUM_ISOLATION, TAIL_DECADES = -1.6, 3.0
"""A rise of less than three decades is the tail of skewed noise if the local rises that are half as high outnumber
those as high by three to one. Spikes stand out: few rises are half as high."""
MINIMUM_CLEAR_RISE = 0.15
"""Decades that any rise must exceed to be clear, however silent the loss: a factor of 1.4."""
MAXIMUM_NOISE = 3.0
"""Maximum height, in decades, that noise can demand of a spike: a loss that flickers below the floor is no reason to
miss a spike far above it."""
MAXIMUM_ROUNDING_UNIT = 1e-2
"""Largest unit to which logs round a loss. Where a log has exact zeros, its smallest other value is taken for that
unit."""
MAXIMUM_DECADES = 300.0
"""Largest rise that a float can hold."""
SUDDEN_BINS, SUDDEN_PART, SUDDEN_SHARE = 3, 0.01, 1 / 3
"""A rise is sudden if a third of it is gained within three successive bins, or within 1% of all bins if that is more.
A slow hump gains the same in every bin."""
LARGEST_FALL = 1.0
"""Decades of fall that end any spike. Half of a rise over many decades may take as long as the rest of the run, because
the loss resumes its slow descent far above the trough."""


def detect_loss_spikes(step: Any, loss: Any, *, min_ratio: float = 2.0) -> list[LossSpike]:
    """Find the sudden rises of a training loss that are followed by a fall.

    The detector takes the logarithm of the largest loss in each bin, floored at the resolution of float32, and follows
    it from trough to peak to trough. A rise is a spike if it exceeds `min_ratio` and eight times the local noise, if it
    is sudden, and if half of it (in decades) or one decade is undone. At the end of the log it need not be undone. The
    first step of the spike is then read off the samples themselves.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the loss was measured, regular or not.
    loss : (n,) array_like, nats
        Of a minibatch or of the whole training set. Exact zeros and rounded values are fine, and values that are not
        finite are ignored.
    min_ratio : float, optional
        Minimum ratio of peak and trough. Spikes of large language models are no higher than the default of 2.

    Returns
    -------
    list of LossSpike
        In order. `start` is the first sample above the geometric mean of trough and peak. `end` is the first bin below
        it again, or the first at which one decade is undone. For `ratio`, the trough is at least 2**-23 (the resolution
        of float32) and at least the unit of rounding.

    Raises
    ------
    InputError
        If the arrays do not fit together, or `min_ratio` is not above 1.

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
    return loss_spikes(canonical(step, loss, "loss"), min_ratio)


def loss_spikes(loss: Samples, min_ratio: float) -> list[LossSpike]:
    """Find loss spikes in canonical samples; see `detect_loss_spikes`."""
    return [spike for spike, _ in clear_spikes(loss, min_ratio)]


class Clearness(NamedTuple):
    """How clearly a spike stands out from its loss.

    Parameters
    ----------
    noise_ratio : float
        Rise over the rise that noise hardly reaches at that place.
    isolation : float
        Binary logarithm of the number of local maxima as high as the spike over the number of those half as high.
    """

    noise_ratio: float = 0.0
    isolation: float = 0.0


def clear_spikes(loss: Samples, min_ratio: float) -> list[tuple[LossSpike, Clearness]]:
    """Find loss spikes in canonical samples, with their clearness; see `detect_loss_spikes`."""
    finite = np.isfinite(loss.value)
    steps, values = loss if finite.all() else (loss.step[finite], loss.value[finite])
    if len(steps) < 3:
        return []
    # Candidates: rises that exceed the local noise.
    edges, height = binned_log_loss(values)
    flicker = np.log10(np.clip(np.maximum.reduceat(values, edges), FLOAT32_SPACING / 100, np.finfo(float).max))
    noise = NOISE_FACTOR * np.minimum(local_noise(flicker), _noise_of_descent(flicker))
    threshold = np.maximum(np.log10(min_ratio), np.minimum(noise, MAXIMUM_NOISE))
    local = _local_rises(height)
    rises = np.sort(local)
    reach = max(SUDDEN_BINS, round(SUDDEN_PART * len(height)))
    spikes = []
    for trough, peak, back in excursions(height, threshold, open_end=True):
        # A gradual rise is no spike, and neither is the tail of skewed noise.
        rise = height[peak] - height[trough]
        gain = max(height[i] - height[max(i - reach, trough)] for i in range(trough + 1, peak + 1))
        isolation = _isolation(float(local[peak]), rises)
        if gain < SUDDEN_SHARE * rise or (rise < TAIL_DECADES and isolation < MINIMUM_ISOLATION):
            continue
        # Start: the first sample above half of the rise.
        level = 10 ** ((height[peak] + height[trough]) / 2)
        first = int(edges[trough])
        stop = min(int(edges[peak]) + int(edges[1] - edges[0]), len(values))
        top = int(edges[peak]) + int(np.argmax(values[edges[peak] : stop]))
        start = first + int(np.argmax(values[first : top + 1] >= level))
        # End: the first bin below half of the rise, if that comes before the fall suffices.
        below = peak + np.flatnonzero(height[peak : back + 1] < np.log10(level))
        end = edges[below[0]] if len(below) else edges[back]
        ratio = float(10 ** min(rise, MAXIMUM_DECADES))
        spike = LossSpike(as_step(steps[start]), as_step(steps[top]), as_step(steps[end]), ratio)
        spikes.append((spike, Clearness(float(rise / max(noise[trough], MINIMUM_CLEAR_RISE)), isolation)))
    return spikes


def _local_rises(height: FloatArray) -> FloatArray:
    """Return how far each local maximum stands above the bins around it; 0 elsewhere."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(height, AROUND, mode="edge"), AROUND)
    lowest = np.maximum(windows[: len(height)].min(axis=1), windows[AROUND + 1 :].min(axis=1))
    change = np.diff(height, prepend=height[:1], append=height[-1:])
    return np.asarray(np.where((change[:-1] > 0) & (change[1:] <= 0), height - lowest, 0.0))


def _isolation(rise: float, rises: FloatArray) -> float:
    """Return the binary logarithm of the number of local rises like this one over the number of those half as high."""
    half, full = np.searchsorted(rises, [HALF_RISE * rise, SAME_RISE * rise])
    return float(np.log2((1 + len(rises) - full) / (1 + full - half)))


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
    return np.asarray(_by_block(change, lambda block: float(np.median(block))) / (MAD_OF_NORMAL * np.sqrt(2)))


def _noise_of_descent(height: FloatArray) -> FloatArray:
    """Estimate the same noise from second differences, which a steady fall does not affect."""
    bend = np.abs(np.diff(height, n=2, prepend=height[:1], append=height[-1:]))
    low = _by_block(bend, lambda block: float(np.quantile(block, NOISE_QUANTILE)))
    return np.asarray(low / (NORMAL_QUANTILE * np.sqrt(6)))


def _by_block(values: FloatArray, summary: Callable[[FloatArray], float]) -> FloatArray:
    """Return for each value the summary of its block."""
    blocks = bin_edges(len(values), -(-len(values) // NOISE_BLOCK))
    found = np.array([summary(block) for block in np.split(values, blocks[1:])], dtype=np.float64)
    return np.asarray(np.repeat(found, np.diff(np.append(blocks, len(values)))))
