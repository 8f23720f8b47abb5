"""Runs that are no slingshots though their loss rises: those that never come back, and those that never rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from slingshot_analysis.canonical import as_step, bin_edges, bin_medians, canonical
from slingshot_analysis.detectors.spikes import FLOAT32_FLOOR, binned_log_loss, excursions

__all__ = ["detect_divergence", "detect_instability"]

BINS = 400
"""Medians of these bins stand for the level of a noisy loss."""
ROWS_PER_BIN, LEAST_BINS = 20, 40
"""A bin holds at least 20 rows, as batches flicker, unless there would be fewer than 40 bins."""
RISE = 3.0
"""A diverged loss stays threefold above its best; large language models diverge from 2 to 7 nats."""
UNTRAINED_SHARE = 0.1
"""And it stays above a tenth of its first value, near that of an untrained network."""
LASTING_SHARE, LASTING_BINS = 0.05, 5
"""It has lasted for 5% of the run and five bins; a spike at the end of a run may still come back."""
LEAST_SPIKES = 20
"""Rises to be called a steady instability; logs of such runs hold 60 to 270."""
QUIET_BINS = 10
"""Bins without a rise that make a stretch quiet; a slingshot's loss falls over more than that before the next."""
QUIET_SHARE = 0.6
"""Share of the run in quiet stretches below which it is unstable."""


def detect_divergence(step: Any, loss: Any) -> int | None:
    """Find the step from which the loss never came back.

    Either the loss is not a finite number to the end of the run, or its level, the median in bins, stays to the end
    above three times its best and above a tenth of its first value, for at least 5% of the run.

    Parameters
    ----------
    step : (n,) array_like, updates
        Where the loss was measured.
    loss : (n,) array_like, nats
        NaN means that NaN was measured.

    Returns
    -------
    int or None, updates
        None if the loss came back, or the run ended too early to tell.

    Raises
    ------
    InputError
        If the arrays do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(1000)
    >>> detect_divergence(step, np.where(step < 700, np.exp(-step / 100), 4.7))
    700
    """
    steps, values = canonical(step, loss, "loss", keep_nan=True)
    finite = np.isfinite(values)
    if len(values) and not finite[-1]:
        known = np.flatnonzero(finite)
        return as_step(steps[known[-1] + 1 if len(known) else 0])
    steps, values = steps[finite], np.minimum(values[finite], np.finfo(float).max / (2 * RISE))
    if len(values) < LASTING_BINS + 1:
        return None
    edges = bin_edges(len(values), min(BINS, max(len(values) // ROWS_PER_BIN, LEAST_BINS)))
    level = bin_medians(values, edges)
    best = np.maximum(np.minimum.accumulate(level), FLOAT32_FLOOR)
    limit = np.maximum(RISE * best, UNTRAINED_SHARE * values[0])
    back = np.flatnonzero(level < limit)
    first = int(back[-1]) + 1 if len(back) else 0
    if len(level) - first < LASTING_BINS or steps[-1] - steps[edges[first]] < LASTING_SHARE * (steps[-1] - steps[0]):
        return None
    begin, stop = edges[max(first - 1, 0)], edges[first] + 1
    below = np.flatnonzero(values[begin:stop] < limit[first])
    return as_step(steps[min(begin + below[-1] + 1 if len(below) else begin, len(steps) - 1)])


def detect_instability(step: Any, loss: Any, *, after: float | None = None) -> bool:
    """Tell whether the loss spikes again and again without a quiet stretch between.

    Parameters
    ----------
    step : (n,) array_like, updates
        Where the loss was measured.
    loss : (n,) array_like, nats
        Of minibatches or of the whole training set.
    after : float, updates, optional
        Start of the terminal phase; what comes before is not counted.

    Returns
    -------
    bool
        True if the loss rises tenfold at least 20 times, and less than 60% of the run lies in stretches of ten or more
        bins (samples, where there are at most 4,000) without such a rise.

    Raises
    ------
    InputError
        If the arrays do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(400)
    >>> detect_instability(step, np.where(step % 4 == 0, 1e-2, 1e-5))
    True
    """
    steps, values = canonical(step, loss, "loss")
    if after is not None:
        values = values[steps >= after]
    if len(values) < LEAST_SPIKES:
        return False
    height = binned_log_loss(values)[1]
    peaks = [peak for _, peak, _ in excursions(height, np.ones(len(height)))]
    gaps = np.diff([0, *peaks, len(height)])
    quiet = gaps[gaps >= QUIET_BINS].sum()
    return bool(len(peaks) >= LEAST_SPIKES and quiet < QUIET_SHARE * len(height))
