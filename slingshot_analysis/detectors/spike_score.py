"""Scores to compare runs by: the share of steps at which loss or gradient norm leap out of their recent past."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.canonical import FloatArray, canonical, step_and_value
from slingshot_analysis.errors import InputError

WINDOW, DEVIATIONS = 128, 6.0
"""Rows of the recent past, and standard deviations above their mean, of the monitor of OLMo-core."""
LONG_WINDOW, LONG_DEVIATIONS = 1000, 7.0
"""Values of the recent past, and standard deviations to either side of their mean, of the OLMo 2 report."""
LEAST_DEVIATION = 1e-10
"""Standard deviation below which that monitor sees no spike."""
BLOCK = 1 << 16
"""Number of rows that are searched at once, which bounds the memory."""
SLACK = 1e-6
"""Share by which the standard deviations that are looked for first are lowered, so that rounding misses no spike."""


def spike_score(
    step: Any,
    loss: Any,
    *,
    gradient_norm: Any = None,
    window: int = WINDOW,
    deviations: float = DEVIATIONS,
) -> float | None:
    """Return the share of rows at which loss or gradient norm exceed the mean of the rows before by far.

    A row counts if its loss, or its gradient norm, is more than `deviations` standard deviations (of the population)
    above the mean of the `window` values before it; spikes among these count in both. All rows are in the denominator,
    also the first ones, which have no full window. Rows after NaN count only once it has left the window. With the
    defaults this is the score of OLMo-core's stability monitor [1]_. That of the OLMo 2 report is `series_spike_score`.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the loss was logged. The score is defined for a row each update, and for coarser logs counts
        rows.
    loss : (n,) array_like, nats
        Training loss.
    gradient_norm : (n,) array_like, Signal or (step, value), optional
        Norm of the gradient; rows of equal step count as one.
    window : int, optional
        Number of values before, 2 or more.
    deviations : float, optional
        Standard deviations above their mean, 0 or more.

    Returns
    -------
    float or None, fraction in [0, 1]
        None for fewer rows than `window`.

    Raises
    ------
    InputError
        If the arrays do not fit together, or `window` or `deviations` is too small.

    References
    ----------
    .. [1] Allen Institute for AI, OLMo-core, ``StabilityMonitorCallback``, https://github.com/allenai/OLMo-core.

    Examples
    --------
    >>> import numpy as np
    >>> loss = 2 + 0.01 * np.sin(np.arange(400))
    >>> loss[300] = 2.5
    >>> spike_score(np.arange(400), loss)
    0.0025
    """
    _check(window, deviations)
    steps, values = canonical(step, loss, "loss", keep_nan=True)
    found, rows = steps[_leaps(values, window, deviations)], steps
    if gradient_norm is not None:
        steps, values = canonical(*step_and_value(gradient_norm, "gradient_norm", step), "gradient_norm", keep_nan=True)
        found = np.union1d(found, steps[_leaps(values, window, deviations)])
        rows = np.union1d(rows, steps)
    return len(found) / len(rows) if len(rows) >= window else None


def series_spike_score(
    step: Any, value: Any, *, window: int = LONG_WINDOW, deviations: float = LONG_DEVIATIONS
) -> float | None:
    """Return the share of the values of one series that are far from the mean of the values before.

    A value counts if it is at least `deviations` standard deviations (of the population) above or below the mean of the
    `window` values before it. With the defaults this is the spike score of the OLMo 2 report [1]_, which gives it in
    percent, of the loss and of the gradient norm each. The report leaves open whether the first values, which have no
    full window, are in the denominator. Here they are, as in `spike_score`.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the series was logged.
    value : (n,) array_like
        Such as the training loss or the norm of the gradient. Values after NaN count only once it has left the window.
    window : int, optional
        Number of values before, 2 or more.
    deviations : float, optional
        Standard deviations from their mean, 0 or more.

    Returns
    -------
    float or None, fraction in [0, 1]
        None for fewer values than `window`.

    Raises
    ------
    InputError
        If the arrays do not fit together, or `window` or `deviations` is too small.

    References
    ----------
    .. [1] OLMo Team, 2 OLMo 2 Furious, 2025, arXiv:2501.00656, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> norm = 2 + 0.01 * np.sin(np.arange(2000))
    >>> norm[[1500, 1800]] = 2.5, 1.0
    >>> series_spike_score(np.arange(2000), norm)
    0.001
    """
    _check(window, deviations)
    values = canonical(step, value, "value", keep_nan=True).value
    found = _leaps(values, window, deviations, both_ways=True)
    return len(found) / len(values) if len(values) >= window else None


def _check(window: int, deviations: float) -> None:
    if not window >= 2 or not deviations >= 0:
        raise InputError(
            f"window={window}, deviations={deviations}: give a window of 2 or more, and 0 deviations or more"
        )


def _leaps(values: FloatArray, window: int, deviations: float, *, both_ways: bool = False) -> npt.NDArray[np.intp]:
    """Return the rows that exceed the mean of the window before by more than so many standard deviations.

    Both ways, these are the rows that are so many or more away from it.
    """
    found = [np.empty(0, dtype=np.intp)]
    for start in range(window, len(values), BLOCK):
        stop = min(start + BLOCK, len(values))
        likely = start + np.flatnonzero(
            _may_leap(values[start - window : stop], window, deviations, both_ways=both_ways)
        )
        windows = np.lib.stride_tricks.sliding_window_view(values, window)[likely - window]
        with np.errstate(invalid="ignore", over="ignore"):
            mean, spread, here = windows.mean(axis=1), windows.std(axis=1), values[likely]
            far = np.abs(here - mean) >= deviations * spread
            leaps = far if both_ways else here > mean + deviations * spread
            found.append(likely[leaps & ~(spread < LEAST_DEVIATION)])
    return np.concatenate(found)


def _may_leap(part: FloatArray, window: int, deviations: float, *, both_ways: bool) -> npt.NDArray[np.bool_]:
    """Return which rows after the first window may leap, from moments of the windows that rounding changes a little."""
    with np.errstate(invalid="ignore", over="ignore"):
        mean, squares = _moments(part[:-1], window)
        away, spread = part[window:] - mean, np.sqrt(squares / window)
        high = np.abs(away) if both_ways else away
        enough = high >= (1 - SLACK) * deviations * spread - SLACK * np.abs(mean)
    return np.asarray(enough & (spread > LEAST_DEVIATION / 2))


def _moments(values: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Return the mean of each window, and the sum of the squared distances from it.

    Neighbouring windows are joined to longer ones, by the formula for the moments of two sets [1]_. It subtracts no
    large numbers from each other, so that small windows beside large values keep their digits.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, Updating formulae and a pairwise algorithm for computing sample
       variances, COMPSTAT 1982.
    """
    size, mean, squares = 1, values, np.zeros(len(values))
    rows, found = 0, (values, squares)
    while True:
        if window & size:
            found, rows = _joined(found, rows, (mean, squares), size), rows + size
        if 2 * size > window:
            return found
        (mean, squares), size = _joined((mean, squares), size, (mean, squares), size), 2 * size


def _joined(
    first: tuple[FloatArray, FloatArray], size: int, second: tuple[FloatArray, FloatArray], more: int
) -> tuple[FloatArray, FloatArray]:
    """Return the moments of the windows of `size` rows joined with those of `more` rows that follow each."""
    if not size:
        return second
    (mean, squares), (other, more_squares) = first, (part[size:] for part in second)
    n = min(len(mean), len(other))
    apart = other[:n] - mean[:n]
    joined = mean[:n] + apart * (more / (size + more))
    return joined, squares[:n] + more_squares[:n] + apart**2 * (size * more / (size + more))
