"""Runs whose loss rises without slingshots: divergence, where it stays high, and instability, where it never rests."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.canonical import FloatArray, Samples, as_step, bin_edges, bin_medians, canonical, only
from slingshot_analysis.detectors._scale_drifts import scale_drifts
from slingshot_analysis.excursions import FLOAT32_SPACING, binned_log_loss, excursions

BINS = 400
"""Maximum number of bins whose medians describe the level of a noisy loss."""
ROWS_PER_BIN, MINIMUM_BINS = 20, 40
"""A bin has at least 20 rows, because the loss of batches flickers; in short runs fewer, so that there are 40 bins."""
MINIMUM_RISE = 3.0
"""Minimum ratio of a diverged loss and the best loss before. Large language models diverge from 2 to 7 nats."""
UNTRAINED_SHARE = 0.1
"""Minimum ratio of a diverged loss and the first loss of the run, which is that of an untrained network."""
LASTING_SHARE, LASTING_BINS = 0.05, 5
"""A divergence has lasted for 5% of the run and five bins. A shorter rise at the end of a run may still be undone."""
UNDONE_SHARE, LASTING_RATIO, LASTING_HEIGHT = 0.5, 1.5, 0.1
"""A loss has risen for good if it undoes half of its fall and stays above 1.5 times its lowest level, by 0.1 nats more
than either demands. An objective that drifts undoes less."""
MINIMUM_SPIKES = 12
"""Minimum number of rises of an unstable run. Logs of unstable runs contain up to 270."""
QUIET_BINS = 6
"""Minimum length of a quiet part between two rises, in bins. Logs of cycles have seven rows a cycle or more."""
QUIET_SHARE = 0.6
"""A run is unstable if its quiet parts make up less than this share."""


def detect_divergence(step: Any, loss: Any) -> int | None:
    """Find the step from which the loss stays high to the end of the run.

    A loss has diverged if it is not finite to the end of the run. It also has if its level, the median in bins,
    stays above three times its best level and above a tenth of its first value for at least the last 5% of the run. A
    loss whose scale drifts has not: it never fell, rises slowly to less than ten times its first level, and its noise
    rises in proportion, as in reinforcement learning.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the loss was measured.
    loss : (n,) array_like, nats
        NaN means that NaN was measured.

    Returns
    -------
    int or None, updates
        None if the loss fell again, or if the run ended too early to tell.

    Raises
    ------
    InputError
        If the arrays do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(1000)
    >>> detect_divergence(step, np.where(step < 700, np.exp(-step / 100), 4.7))
    700
    """
    return divergence(canonical(step, loss, "loss", keep_nan=True))


def divergence(loss: Samples) -> int | None:
    """Find the divergence in canonical samples that keep their NaN; see `detect_divergence`."""
    steps, values = loss
    finite = np.isfinite(values)
    if len(values) and not finite[-1]:
        known = np.flatnonzero(finite)
        return as_step(steps[known[-1] + 1 if len(known) else 0])
    steps, values = only(finite, steps, values)
    values = np.minimum(values, np.finfo(float).max / (2 * MINIMUM_RISE))
    if len(values) < LASTING_BINS + 1 or scale_drifts(values):
        return None
    edges, level = _level(values)
    best = np.maximum(np.minimum.accumulate(level), FLOAT32_SPACING)
    limit = np.maximum(MINIMUM_RISE * best, UNTRAINED_SHARE * values[0])
    first = _stays_above(steps[edges], level, limit, float(steps[-1]))
    if first is None:
        return None
    # The first sample from which on the loss stays above the limit.
    begin, stop = edges[max(first - 1, 0)], edges[first] + 1
    below = np.flatnonzero(values[begin:stop] < limit[first])
    return as_step(steps[min(begin + below[-1] + 1 if len(below) else begin, len(steps) - 1)])


def detect_lasting_rise(step: Any, loss: Any) -> int | None:
    """Find the step from which a loss has risen for good, at any level and however gradually.

    Its level, the median in bins, stays to the end at more than 1.5 times its lowest value before, and has undone more
    than half of what the loss had fallen, for at least the last 5% of the run. A drift of the scale, which
    `detect_divergence` describes, is no such rise.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the loss was measured.
    loss : (n,) array_like, nats
        Values that are not finite are ignored.

    Returns
    -------
    int or None, updates
        First step of the bin from which the level stays that high. None if there is no such rise.

    Raises
    ------
    InputError
        If the arrays do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(1000)
    >>> detect_lasting_rise(step, 3 + 7 * np.exp(-step / 100) + 4.5 / (1 + np.exp((600 - step) / 20)))
    620
    """
    steps, values = canonical(step, loss, "loss")
    steps, values = only(np.isfinite(values), steps, values)
    if len(values) < MINIMUM_BINS or scale_drifts(values):
        return None
    edges, level = _level(values)
    best = np.minimum.accumulate(level)
    limit = np.maximum(best + UNDONE_SHARE * (level[0] - best), LASTING_RATIO * best) + LASTING_HEIGHT
    first = _stays_above(steps[edges], level, limit, float(steps[-1]))
    return None if first is None else as_step(steps[edges[first]])


def _level(loss: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the first row of each bin, and the level of the loss: the median of each bin."""
    edges = bin_edges(len(loss), min(BINS, max(len(loss) // ROWS_PER_BIN, MINIMUM_BINS)))
    return edges, bin_medians(loss, edges)


def _stays_above(start: FloatArray, level: FloatArray, limit: FloatArray, last: float) -> int | None:
    """Return the first bin from which the level stays above a limit to the last step; None if that is too short.

    `start` holds the first step of each bin.
    """
    back = np.flatnonzero(level < limit)
    first = int(back[-1]) + 1 if len(back) else 0
    lasts = len(level) - first >= LASTING_BINS and last - start[first] >= LASTING_SHARE * (last - start[0])
    return first if lasts else None


def detect_instability(step: Any, loss: Any, *, after: float | None = None) -> bool:
    """Return whether the loss rises again and again without quiet parts between the rises.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the loss was measured.
    loss : (n,) array_like, nats
        Of minibatches or of the whole training set.
    after : float, updates, optional
        Start of the terminal phase. Earlier samples are ignored.

    Returns
    -------
    bool
        True if the loss rises tenfold at least 12 times, and quiet parts make up less than 60% of the run. A part is
        quiet if it has six or more bins without such a rise. There are at most 4,000 bins; in shorter logs each row is
        one.

    Raises
    ------
    InputError
        If the arrays do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(400)
    >>> detect_instability(step, np.where(step % 4 == 0, 1e-2, 1e-5))
    True
    """
    return instability(canonical(step, loss, "loss"), after)


def instability(loss: Samples, after: float | None) -> bool:
    """Return whether canonical samples are unstable; see `detect_instability`."""
    steps, values = loss
    if after is not None:
        values = values[steps >= after]
    if len(values) < MINIMUM_SPIKES:
        return False
    height = binned_log_loss(values)[1]
    peaks = [peak for _, peak, _ in excursions(height, np.ones(len(height)))]
    gaps = np.diff([0, *peaks, len(height)])
    quiet = gaps[gaps >= QUIET_BINS].sum()
    return bool(len(peaks) >= MINIMUM_SPIKES and quiet < QUIET_SHARE * len(height))
