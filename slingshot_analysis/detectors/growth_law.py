"""The growth of a norm, compared with c log t, which gradient descent predicts for separable data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slingshot_analysis.canonical import FloatArray, canonical, only
from slingshot_analysis.detectors.phases import segment_norm
from slingshot_analysis.events import LogGrowth, Phase

MINIMUM_ROWS = 4
"""Minimum number of rows of a fit. Fewer rows fit any law."""

LARGEST = 1e100
"""Larger norms, infinite ones among them, are left out: their squares overflow."""


def fit_log_growth(step: Any, norm: Any, *, phases: Sequence[Phase] | None = None) -> list[LogGrowth]:
    """Compare each growth phase of a norm with the logarithm of time and with an exponential.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the norm was measured. Time counts from step 0, or from the first step if the log begins later
        than after one median stride. Times before 1 are ignored.
    norm : (n,) array_like
        Any weight norm.
    phases : sequence of Phase, optional
        Phases of this norm. By default those of `segment_norm`.

    Returns
    -------
    list of LogGrowth
        One for each growth phase of at least four rows.

    Raises
    ------
    InputError
        If the arrays do not fit together.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, appendix F.
    .. [2] D. Soudry et al., JMLR 19(70), 2018, arXiv:1710.10345, Theorem 3: the norm grows as log t.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(1, 4000)
    >>> norm = np.log(step) + np.interp(step, [2000, 2500], [0, 6])
    >>> [(round(fit.start, -2), round(fit.excess, 1)) for fit in fit_log_growth(step, norm) if fit.start > 1000]
    [(2000, 27.9)]
    """
    # Time counts from the start of the run. The logarithm needs times of 1 or more and positive norms.
    steps, values = canonical(step, norm, "norm")
    steps, values = only(np.abs(values) < LARGEST, steps, values)
    origin = float(steps[0]) if len(steps) > 1 and steps[0] > np.median(np.diff(steps)) else 0.0
    steps, values = only((steps - origin >= 1) & (values > 0), steps, values)

    # Rows of plateaus show the growth that gradient descent alone gives.
    calm = np.ones(len(steps), dtype=bool)
    phases = segment_norm(steps, values) if phases is None else phases
    for phase in phases:
        if phase.kind != "plateau":
            calm[_inside(steps, phase)] = False

    # Both laws are fitted to each growth phase, and its growth is compared with that of the plateaus before it.
    fits = []
    for phase in phases:
        inside = _inside(steps, phase)
        time, grown = steps[inside], values[inside]
        if phase.kind != "growth" or len(time) < MINIMUM_ROWS:
            continue
        extent = float(np.ptp(grown))
        if not extent > 0:
            continue
        slope, log_error = _line(_log_of_time(time, origin), grown)
        _, exponential_error = _line(time, np.log(grown), grown)
        before = calm[: inside.start]
        excess = None
        if before.sum() >= MINIMUM_ROWS:
            earlier, calm_values = only(before, steps[: inside.start], values[: inside.start])
            usual = _slope(_log_of_time(earlier, origin), calm_values)
            expected = usual * float(np.log((time[-1] - origin) / (time[0] - origin)))
            excess = float(grown[-1] - grown[0]) / expected if expected > 0 else None
        fits.append(LogGrowth(phase.start, phase.end, slope, log_error / extent, exponential_error / extent, excess))
    return fits


def _inside(steps: FloatArray, phase: Phase) -> slice:
    """Return the rows of a phase."""
    return slice(*np.searchsorted(steps, [phase.start, phase.end]).tolist())


def _log_of_time(steps: FloatArray, origin: float) -> FloatArray:
    """Return the logarithm of the time since the start of the run."""
    time = steps - origin
    return np.log(time, out=time)


def _slope(x: FloatArray, y: FloatArray) -> float:
    """Return the slope of a least-squares line."""
    centre = x - x.mean()
    return float((centre * y).sum() / (centre * centre).sum())


def _line(x: FloatArray, y: FloatArray, target: FloatArray | None = None) -> tuple[float, float]:
    """Return slope and root mean square error of a least-squares line.

    With a target, the error is that of the exponential of the line. One array holds all intermediate values, because
    a phase may have millions of rows.
    """
    slope = _slope(x, y)
    work = x - x.mean()
    work *= slope
    work += y.mean()
    work = np.subtract(work if target is None else np.exp(work, out=work), y if target is None else target, out=work)
    largest = float(np.abs(work, out=work).max())  # squares of huge norms would overflow
    if not largest:
        return slope, 0.0
    work /= largest
    work *= work
    return slope, largest * float(np.sqrt(work.mean()))
