"""Jumps of the validation accuracy, and the step at which a network groks."""

from __future__ import annotations

from typing import Any

import numpy as np

from slingshot_analysis.canonical import MAD_OF_NORMAL, FloatArray, Samples, as_step, bin_edges, canonical_accuracy
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import AccuracyJump

DEFAULT_SAMPLES = 1000
"""Assumed size of a validation set whose size is unknown. Few validation sets are smaller."""
SIGNIFICANCE = 2.0
"""Minimum height of a jump, in standard deviations of the difference of two binomial fractions."""
MINIMUM_RISE = 0.01
"""Minimum height of a jump: one percentage point."""
NOISE_FACTOR = 5.0
"""Minimum height of a jump, in standard deviations of the noise between evaluations: one false alarm in a million."""
INNER_WIDTH, OUTER_WIDTH = 3, 10
"""Number of evaluations averaged on either side of a jump, and number of those beyond that show the usual slope."""
STEEPNESS = 3.0
"""Minimum ratio of the slope of a jump and the usual slope on either side. Smooth curves hardly reach it."""
SUDDEN_SHARE = 0.8
"""Minimum share of a jump that two successive changes make. Of a straight ramp they make two thirds."""
LEVEL, LEVELS = 0.95, (0.9, 0.95, 0.99)
"""Accuracy that counts as generalisation, and those that papers use."""
HOLD = 3
"""Number of successive evaluations that must reach the level."""
DELAY, DELAY_RATIO, DELAY_SHARE = 1000.0, 10.0, 0.05
"""Minimum time in updates, and minimum ratio of steps, between fitting the training set and generalising. In runs
shorter than 20,000 steps, such as logs that count epochs, the minimum time is 5% of the run."""
BINS = 4000
"""Maximum number of bins into which evaluations are averaged."""


def detect_accuracy_jumps(step: Any, accuracy: Any, *, samples: int | None = None) -> list[AccuracyJump]:
    """Find the rises of an accuracy that are steeper than gradual learning and larger than chance allows.

    The detector works on the angular scale 2 asin(sqrt(accuracy)), on which the standard deviation of a fraction of n
    samples is 1/sqrt(n). At each evaluation it compares the level of the next three (and ten) evaluations with that of
    the three (and ten) before. Their difference must exceed two standard deviations of the difference of two fractions,
    five standard deviations of the noise between evaluations, and three times the usual rise in as long a time. Two
    successive changes must make most of it.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps of the evaluations.
    accuracy : (n,) array_like, fraction in [0, 1]
        On the validation set.
    samples : int, optional
        Size of the validation set. By default 1,000: then a jump is at least four and a half percentage points near an
        accuracy of one half, and at least one or two near 0 or 1.

    Returns
    -------
    list of AccuracyJump
        In order. The step of each is the first evaluation after a quarter of the rise.

    Raises
    ------
    InputError
        If the arrays do not fit together, the accuracy is not a fraction, or `samples` is not positive.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, Figure 4.
    .. [2] F. J. Anscombe, Biometrika 35, 1948, doi:10.1093/biomet/35.3-4.246.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(40) * 400
    >>> [jump.step for jump in detect_accuracy_jumps(step, np.where(step < 8000, 0.5, 0.6), samples=8000)]
    [8000]
    """
    if samples is not None and not samples > 0:
        raise InputError(f"samples: got {samples}; give the size of the validation set, a positive number")
    steps, values = canonical_accuracy(step, accuracy)
    if len(steps) < 2 * INNER_WIDTH:
        return []
    # Angular scale, and the smallest rise that is not noise.
    edges = bin_edges(len(values), BINS)
    values = np.add.reduceat(values, edges) / np.diff(np.append(edges, len(values)))
    steps = steps[edges]
    angle = 2 * np.arcsin(np.sqrt(values))
    change = np.diff(angle)
    noise = float(np.median(np.abs(change - np.median(change)))) / MAD_OF_NORMAL / np.sqrt(2)
    least = max(
        SIGNIFICANCE * np.sqrt(2 / (samples or DEFAULT_SAMPLES)), NOISE_FACTOR * noise * np.sqrt(2 / INNER_WIDTH)
    )
    rise = _rise(angle)
    jumps = []
    open_from = 0
    for i in np.flatnonzero(rise > least).tolist():
        if i < open_from or rise[i] < rise[max(i - INNER_WIDTH, 0) : i + INNER_WIDTH + 1].max():
            continue
        # At a local maximum of the rise: it must be steeper than the curve around it, and sudden.
        before, after = _levels(angle, i)
        first = max(i - INNER_WIDTH, 1)
        steepest = np.convolve(change[first - 1 : i + INNER_WIDTH - 1], [1, 1]).max()
        usual = STEEPNESS * INNER_WIDTH * _usual_change(steps, change, i)
        if after - before < max(least, usual) or steepest < SUDDEN_SHARE * (after - before):
            continue
        # The jump stands where a quarter of the rise is done.
        low, high = np.sin(before / 2) ** 2, np.sin(after / 2) ** 2
        if high - low >= MINIMUM_RISE:
            left = np.flatnonzero(angle[first : i + INNER_WIDTH] >= before + 0.25 * (after - before))
            at = first + int(left[0]) if len(left) else i
            jumps.append(AccuracyJump(as_step(steps[at]), float(low), float(high)))
            open_from = i + INNER_WIDTH
    return jumps


def grokking_step(
    step: Any,
    accuracy: Any,
    terminal_phase_start: float | None,
    *,
    level: float = LEVEL,
    hold: int = HOLD,
    least_delay: float = DELAY,
    least_ratio: float = DELAY_RATIO,
    first_step: float | None = None,
) -> int | None:
    """Find the first step from which the validation accuracy stays high, long after the training set was fitted.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps of the evaluations.
    accuracy : (n,) array_like, fraction in [0, 1]
        On the validation set.
    terminal_phase_start : float or None, updates
        Step from which the training set is fitted, as returned by `terminal_phase_start`.
    level : float, optional
        Accuracy to reach.
    hold : int, optional
        Number of successive evaluations that must reach it.
    least_delay : float, updates, optional
        Minimum time between fitting and generalising; 5% of the run, if that is less.
    least_ratio : float, optional
        Minimum ratio of the two steps, counted from `first_step`.
    first_step : float, updates, optional
        First step of the run. By default the first evaluation or the start of the terminal phase, whichever is earlier.

    Returns
    -------
    int or None, updates
        None if the training set was never fitted, or if the accuracy does not stay at the level or reaches it too early
        to be called grokking.

    Raises
    ------
    InputError
        If the arrays do not fit together, the accuracy is not a fraction, or `hold` is less than 1.

    References
    ----------
    .. [1] A. Power et al., Grokking, 2022, arXiv:2201.02177, Figure 1. The thresholds are conventions of this project.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(0, 50_000, 500)
    >>> grokking_step(step, np.where(step < 30_000, 0.4, 0.99), terminal_phase_start=400)
    30000
    """
    if hold < 1:
        raise InputError(f"hold: got {hold}; give the number of evaluations, 1 or more")
    samples = canonical_accuracy(step, accuracy)
    return _grokking_step(samples, terminal_phase_start, level, hold, least_delay, least_ratio, first_step)


def grokking_sensitivity(
    step: Any, accuracy: Any, terminal_phase_start: float | None, *, first_step: float | None = None
) -> dict[str, int | None]:
    """Return the grokking step under other definitions than the default, because there is no standard one.

    Parameters
    ----------
    step, accuracy, terminal_phase_start, first_step
        As for `grokking_step`.

    Returns
    -------
    dict of str to int or None, updates
        By the definition in words: other levels, one evaluation instead of three, and no minimum delay.

    Raises
    ------
    InputError
        If the arrays do not fit together, or the accuracy is not a fraction.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(0, 50_000, 500)
    >>> accuracy = np.interp(step, [20_000, 30_000], [0.4, 1.0])
    >>> grokking_sensitivity(step, accuracy, terminal_phase_start=400)["level 0.9"]
    28500
    """
    samples = canonical_accuracy(step, accuracy)

    def under(
        level: float = LEVEL, hold: int = HOLD, least_delay: float = DELAY, least_ratio: float = DELAY_RATIO
    ) -> int | None:
        return _grokking_step(samples, terminal_phase_start, level, hold, least_delay, least_ratio, first_step)

    return {
        **{f"level {level}": under(level=level) for level in LEVELS},
        "held once": under(hold=1),
        "no delay": under(least_delay=0, least_ratio=0),
    }


def _grokking_step(
    samples: Samples,
    terminal_phase_start: float | None,
    level: float,
    hold: int,
    delay: float,
    ratio: float,
    first_step: float | None,
) -> int | None:
    steps, values = samples
    if terminal_phase_start is None or len(steps) < hold:
        return None
    # The first of `hold` successive evaluations at the level.
    low = np.flatnonzero(values < level)
    runs = np.diff(low, prepend=-1, append=len(values)) - 1
    long = np.flatnonzero(runs >= hold)
    if not len(long):
        return None
    reached = steps[low[long[0] - 1] + 1 if long[0] else 0]
    # Grokking is late: both in updates and as a multiple of the time that fitting took.
    first = min(float(steps[0]), terminal_phase_start) if first_step is None else first_step
    enough = min(delay, DELAY_SHARE * (float(steps[-1]) - first))
    late = reached - terminal_phase_start >= enough and reached - first >= ratio * (terminal_phase_start - first)
    return as_step(reached) if late else None


def _rise(angle: FloatArray) -> FloatArray:
    """Return for each evaluation the mean of the next few evaluations minus the mean of as many before it."""
    total = np.concatenate([[0.0], np.cumsum(angle)])
    at = np.arange(1, len(angle))
    after, before = np.minimum(at + INNER_WIDTH, len(angle)), np.maximum(at - INNER_WIDTH, 0)
    rise = (total[after] - total[at]) / (after - at) - (total[at] - total[before]) / (at - before)
    return np.concatenate([[0.0], rise])


def _levels(angle: FloatArray, i: int) -> tuple[float, float]:
    """Return the levels before and after evaluation `i`. Neither a dip before nor a bump after raises a jump."""
    before = max(np.median(angle[max(i - width, 0) : i]) for width in (INNER_WIDTH, OUTER_WIDTH))
    after = min(np.median(angle[i : i + width]) for width in (INNER_WIDTH, OUTER_WIDTH))
    return float(before), float(after)


def _usual_change(steps: FloatArray, change: FloatArray, i: int) -> float:
    """Return the median change per evaluation a little to the left or to the right of `i`, whichever is larger."""
    gap = np.diff(steps)
    here = np.median(gap[max(i - INNER_WIDTH, 0) : i + INNER_WIDTH])
    sides = [
        slice(max(i - INNER_WIDTH - OUTER_WIDTH, 0), max(i - INNER_WIDTH, 0)),
        slice(i + INNER_WIDTH, i + INNER_WIDTH + OUTER_WIDTH),
    ]
    return max(
        [float(np.median(change[side] / gap[side])) * float(here) for side in sides if len(gap[side])], default=0.0
    )
