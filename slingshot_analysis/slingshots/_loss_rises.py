"""Rises of the logarithm of the loss, from which a transition may be read: twofold or more, sudden, and undone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from slingshot_analysis.canonical import FloatArray, Samples, as_step
from slingshot_analysis.excursions import (
    FLOAT32_SPACING,
    MAXIMUM_DECADES,
    binned_log_loss,
    by_block,
    excursions,
    local_noise,
)

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
SUDDEN_BINS, SUDDEN_PART, SUDDEN_SHARE = 3, 0.01, 1 / 3
"""A rise is sudden if a third of it is gained within three successive bins, or within 1% of all bins if that is more.
A slow hump gains the same in every bin."""


class Rise(NamedTuple):
    """A rise of the loss and its fall.

    Parameters
    ----------
    start : int, updates
        First sample above the geometric mean of trough and peak.
    peak : int, updates
        Sample of the largest loss.
    end : int, updates
        First bin below that mean again, or the first at which one decade is undone.
    ratio : float
        Loss at the peak divided by that in the trough before it, which is at least 2**-23 (the resolution of float32)
        and at least the unit of rounding.
    """

    start: int
    peak: int
    end: int
    ratio: float


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


def clear_rises(loss: Samples, min_ratio: float) -> list[tuple[Rise, Clearness]]:
    """Find the sudden rises of a training loss that are followed by a fall.

    The logarithm of the largest loss in each bin, floored at the resolution of float32, is followed from trough to peak
    to trough. A rise counts if it exceeds `min_ratio` and eight times the local noise, if it is sudden, and if half of
    it (in decades) or one decade is undone. At the end of the log it need not be undone.

    Parameters
    ----------
    loss : Samples, nats
        In canonical form. Values that are not finite are ignored.
    min_ratio : float
        Minimum ratio of peak and trough.

    Returns
    -------
    list of (Rise, Clearness)
        In order.
    """
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
    found = []
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
        ratio = float(10 ** min(rise, MAXIMUM_DECADES))
        made = Rise(as_step(steps[start]), as_step(steps[top]), as_step(steps[edges[back]]), ratio)
        found.append((made, Clearness(float(rise / max(noise[trough], MINIMUM_CLEAR_RISE)), isolation)))
    return found


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


def _noise_of_descent(height: FloatArray) -> FloatArray:
    """Estimate the same noise from second differences, which a steady fall does not affect."""
    bend = np.abs(np.diff(height, n=2, prepend=height[:1], append=height[-1:]))
    low = by_block(bend, lambda blocks: np.quantile(blocks, NOISE_QUANTILE, axis=1))
    return np.asarray(low / (NORMAL_QUANTILE * np.sqrt(6)))
