"""The growth of a norm, compared with c log t, which gradient descent predicts for separable data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slingshot_analysis.canonical import FloatArray, canonical
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
    finite = np.abs(values) < LARGEST
    steps, values = steps[finite], values[finite]
    origin = float(steps[0]) if len(steps) > 1 and steps[0] > np.median(np.diff(steps)) else 0.0
    usable = (steps - origin >= 1) & (values > 0) & np.isfinite(values)
    steps, values = steps[usable], values[usable]

    # Rows of plateaus show the growth that gradient descent alone gives.
    calm = np.ones(len(steps), dtype=bool)
    phases = segment_norm(steps, values) if phases is None else phases
    for phase in phases:
        if phase.kind != "plateau":
            calm &= (steps < phase.start) | (steps >= phase.end)

    # Both laws are fitted to each growth phase, and its growth is compared with that of the plateaus before it.
    fits = []
    for phase in phases:
        inside = (steps >= phase.start) & (steps < phase.end)
        if phase.kind != "growth" or inside.sum() < MINIMUM_ROWS:
            continue
        time, grown = steps[inside], values[inside]
        extent = float(np.ptp(grown))
        if not extent > 0:
            continue
        slope, log_error = _line(np.log(time - origin), grown)
        _, exponential_error = _line(time, np.log(grown), grown)
        before = calm & (steps < phase.start)
        excess = None
        if before.sum() >= MINIMUM_ROWS:
            usual, _ = _line(np.log(steps[before] - origin), values[before])
            expected = usual * float(np.log((time[-1] - origin) / (time[0] - origin)))
            excess = float(grown[-1] - grown[0]) / expected if expected > 0 else None
        fits.append(LogGrowth(phase.start, phase.end, slope, log_error / extent, exponential_error / extent, excess))
    return fits


def _line(x: FloatArray, y: FloatArray, target: FloatArray | None = None) -> tuple[float, float]:
    """Return slope and root mean square error of a least-squares line.

    With a target, the error is that of the exponential of the line.
    """
    centre = x - x.mean()
    slope = float((centre * y).sum() / (centre * centre).sum())
    fitted = y.mean() + slope * centre
    residual = fitted - y if target is None else np.exp(fitted) - target
    largest = float(np.abs(residual).max())  # squares of huge norms would overflow
    return slope, largest * float(np.sqrt(((residual / largest) ** 2).mean())) if largest else 0.0
