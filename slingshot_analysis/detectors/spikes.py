"""Spikes: sudden rises of the training loss, or of the gradient norm, above the level just before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from slingshot_analysis.canonical import MAD_OF_NORMAL, FloatArray, Samples, as_step, canonical
from slingshot_analysis.detectors._find_rises import GRADIENT_RATIO, find_rises
from slingshot_analysis.detectors._no_spikes import (
    LASTING_REACH,
    running_mean,
    two_levels,
    without_first_rows,
    without_restarts,
)
from slingshot_analysis.detectors._rise import LEVEL_ROWS, Rise, level_rows, smoothed
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import LossSpike, Outcome

LASTING_SHARE, LASTING_ROWS = 0.05, 5
"""A spike that does not come back has diverged or lingers after 5% of the log and five rows."""
DIVERGED_SHARE = 0.5
"""Minimum share of the height that is left at the end of the log where a loss has diverged."""
LONG_RECOVERY, LONG_ROWS = 10, 200
"""A recovery is long if it takes ten times the median of the others, and 200 rows."""
LONG_SHARE = 0.1
"""Minimum share of the log that a long recovery takes."""

LARGEST = 1e100
"""Values are clipped to this, so that no difference or square of theirs overflows."""
LASTING_BIN, LASTING_BINS = 8, 40
"""Number of rows in each mean that is searched for rises which single rows do not show, and minimum number of such
means. A median of three rows removes single high ones before."""
NOISE_ROWS, HIDDEN = 64, 9.0
"""Number of rows before such a rise that tell the noise, and the maximum height of the rise in standard deviations. A
higher one that single rows do not show is gradual, or the end of a dip."""


def detect_loss_spikes(step: Any, loss: Any, *, min_ratio: float = 1.0) -> list[LossSpike]:
    """Find the sudden rises of a training loss above its level, and what becomes of each.

    The level is the median of up to 16 rows before. A row stands out if it exceeds the median of the 3, 8, 24 or 72
    rows before by more than noise does at that place. The limit is five to nine standard deviations of this excess, and
    more where the noise has a heavy upper tail. Measuring the excess itself takes the correlation of the noise into
    account. The means of 8 rows each are searched in the same way, for rises that last and are lower than the noise of
    a row. Gradual rises, steps down and returns from a dip are no spikes. Neither is what stays below 1% of the level
    or 0.025 nat.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the loss was measured, regular or not.
    loss : (n,) array_like, nats
        Of a minibatch or of the whole training set. Exact zeros and rounded values are fine. NaN and infinity are a
        spike if they last to the end or follow a rise.
    min_ratio : float, optional
        Minimum ratio of the peak and the level before.

    Returns
    -------
    list of LossSpike
        In order.

    Raises
    ------
    InputError
        If the arrays do not fit together, or `min_ratio` is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(3000)
    >>> loss = 2.5 + np.random.default_rng(0).normal(0, 0.02, 3000)
    >>> loss[2000:] += 1.2 * np.exp(-(step[2000:] - 2000) / 30)
    >>> (spike,) = detect_loss_spikes(step, loss)
    >>> spike.start, round(spike.height, 1), spike.outcome
    (2000, 1.2, 'recovered')
    """
    if not min_ratio >= 1:
        raise InputError(f"min_ratio: got {min_ratio}; a spike rises, so give a number of 1 or more")
    samples = canonical(step, loss, "loss", keep_nan=True)
    return [spike for spike in search_spikes(samples, gradient=False).spikes if spike.ratio >= min_ratio]


def detect_gradient_spikes(step: Any, gradient_norm: Any, *, min_ratio: float = GRADIENT_RATIO) -> list[LossSpike]:
    """Find the sudden rises of a gradient norm above its level, by the rule of `detect_loss_spikes`.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the norm was measured.
    gradient_norm : (n,) array_like
        Values of 0 or below are raised to 2**-23; the noise is taken as relative.
    min_ratio : float, optional
        Minimum ratio of the peak and the level before.

    Returns
    -------
    list of LossSpike
        In order. Heights and residuals are in the unit of the norm.

    Raises
    ------
    InputError
        If the arrays do not fit together, or `min_ratio` is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> norm = np.exp(np.random.default_rng(0).normal(0, 0.1, 500))
    >>> norm[300] = 9.0
    >>> [(spike.start, round(spike.ratio)) for spike in detect_gradient_spikes(np.arange(500), norm)]
    [(300, 9)]
    """
    if not min_ratio >= 1:
        raise InputError(f"min_ratio: got {min_ratio}; a spike rises, so give a number of 1 or more")
    samples = canonical(step, gradient_norm, "gradient_norm", keep_nan=True)
    return [spike for spike in search_spikes(samples, gradient=True).spikes if spike.ratio >= min_ratio]


def detect_two_levels(step: Any, loss: Any) -> tuple[float, float] | None:
    """Find out whether a loss moves between two levels, as those of reinforcement learning do.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the loss was measured.
    loss : (n,) array_like, nats
        Values that are not finite are ignored.

    Returns
    -------
    (float, float) or None, nats
        The lower and the upper level, if it rises from the one to the other three times or more and rests at both. Such
        rises are no spikes.

    Raises
    ------
    InputError
        If the arrays do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(0, 0.01, 400)
    >>> low, high = detect_two_levels(np.arange(400), np.arange(400) // 40 % 2 + 0.5 + noise)
    >>> round(low, 1), round(high, 1)
    (0.5, 1.5)
    """
    return search_spikes(canonical(step, loss, "loss"), gradient=False).levels


class SpikeSearch(NamedTuple):
    """The spikes of a series, and what else its rises are.

    Parameters
    ----------
    spikes : list of LossSpike
        In order.
    levels : (float, float) or None
        The two levels between which the series moves, in its unit. Such moves are no spikes.
    mean_rows : int or None
        Number of rows after which the series, a running mean, begins afresh. The rises just after are no spikes.
    """

    spikes: list[LossSpike]
    levels: tuple[float, float] | None
    mean_rows: int | None


def search_spikes(samples: Samples, *, gradient: bool) -> SpikeSearch:
    """Find the spikes of a series in canonical form that keeps its NaN."""
    finite = np.isfinite(samples.value)
    rows: Sequence[int] | npt.NDArray[np.intp] = range(len(finite))
    step, values = samples
    if not finite.all():
        rows = np.flatnonzero(finite)
        step, values = step[rows], values[rows]
    if len(values) and not -LARGEST <= values.min() <= values.max() <= LARGEST:
        values = np.clip(values, -LARGEST, LARGEST)
    rises = list(find_rises(values, gradient=gradient))
    rises = sorted([*rises, *_lasting_rises(values, rises, gradient=gradient)], key=lambda rise: rise.start)
    levels = two_levels(values, rises)
    mean = running_mean(values) if levels is None else None
    rises = rises if mean is None else without_first_rows(rises, mean)
    rises = without_restarts(values, rises) if levels is None else []
    found = []
    for rise, outcome in zip(rises, _outcomes(values, rises), strict=True):
        spike = _spike(step, values, rise, outcome)
        stop = len(finite) if rise.back is None else rows[rise.back]
        lost = np.flatnonzero(~finite[rows[rise.start] : min(stop, rows[rise.peak] + LASTING_REACH)])
        found.append(replace(spike, outcome="not finite") if len(lost) else spike)
    ends_so = bool(found) and found[-1].outcome == "not finite" and found[-1].recovery_steps is None
    if len(rows) and not finite[-1] and not ends_so:
        first = as_step(samples.step[rows[-1] + 1])
        found.append(LossSpike(first, first, first, np.inf, np.inf, np.inf, None, None, "not finite"))
    last = as_step(samples.step[-1]) if len(finite) else 0
    spikes = [spike if spike.recovery_steps is not None else replace(spike, end=last) for spike in found]
    return SpikeSearch(spikes, levels, None if mean is None else mean.period)


def _lasting_rises(values: FloatArray, known: list[Rise], *, gradient: bool) -> list[Rise]:
    """Find rises that hide in the noise of single rows and last for many, in the means of 8 rows each."""
    bins = len(values) // LASTING_BIN
    if bins < LASTING_BINS:
        return []
    found, smooth = [], smoothed(values)
    means = smooth[: bins * LASTING_BIN].reshape(bins, LASTING_BIN).mean(axis=1)
    for coarse in find_rises(means, gradient=gradient):
        peak = coarse.peak * LASTING_BIN + int(np.argmax(values[coarse.peak * LASTING_BIN :][:LASTING_BIN]))
        back = None if coarse.back is None else coarse.back * LASTING_BIN
        first = max(coarse.start - 1, 0) * LASTING_BIN
        start = first + _split(values[first : (coarse.start + 1) * LASTING_BIN])
        high = np.flatnonzero(smooth[start : (coarse.peak + 1) * LASTING_BIN] >= coarse.level + coarse.height / 2)
        start += int(high[0]) if len(high) else 0
        stop = len(values) if back is None else back
        near = values[max(start - NOISE_ROWS, 0) : start]
        noise = float(np.median(np.abs(np.diff(near)))) / (np.sqrt(2) * MAD_OF_NORMAL) if len(near) > 1 else 0.0
        seen = any(rise.start < stop and (rise.back is None or rise.back > start) for rise in known)
        if not seen and coarse.height <= HIDDEN * noise:
            found.append(replace(coarse, start=start, peak=max(peak, start), back=back))
    return found


def _split(values: FloatArray) -> int:
    """Return where a series is best cut into two parts of constant level."""
    n = np.arange(1, len(values))
    left, total = np.cumsum(values)[:-1], float(values.sum())
    return 1 + int(np.argmax(left**2 / n + (total - left) ** 2 / (len(values) - n)))


def _spike(step: FloatArray, values: FloatArray, rise: Rise, outcome: Outcome) -> LossSpike:
    start, back = as_step(step[rise.start]), rise.back
    after = values[back if back is not None else max(rise.peak + 1, len(values) - level_rows(len(values))) :]
    after = after[: level_rows(len(values))]
    return LossSpike(
        start=start,
        peak=as_step(step[rise.peak]),
        end=as_step(step[-1 if back is None else back]),
        ratio=(rise.level + rise.height) / max(rise.level, rise.floor),
        height=rise.height,
        deviations=float(rise.height / rise.deviation),
        recovery_steps=None if back is None else as_step(step[back] - step[rise.start]),
        residual=float(np.median(after)) - rise.level if len(after) >= LEVEL_ROWS[0] else None,
        outcome=outcome,
    )


def _outcomes(values: FloatArray, rises: list[Rise]) -> list[Outcome]:
    """Return what becomes of each rise."""
    lengths = np.array([rise.back - rise.start for rise in rises if rise.back is not None])
    n = len(values)
    found: list[Outcome] = []
    for rise in rises:
        if rise.back is None:
            rest = values[rise.start :]
            lasting = max(LASTING_ROWS, int(LASTING_SHARE * n))
            left = float(np.median(rest[-lasting:])) - rise.level if len(rest) else 0.0
            found.append("diverged" if len(rest) >= lasting and left >= DIVERGED_SHARE * rise.height else "lingering")
            continue
        length = rise.back - rise.start
        others = np.delete(lengths, np.flatnonzero(lengths == length)[0])
        usual = float(np.median(others)) if len(others) else 0.0
        long = max(LONG_RECOVERY * usual, LONG_ROWS, LONG_SHARE * n)
        found.append("lingering" if length > long else "recovered")
    return found
