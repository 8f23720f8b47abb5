"""Jumps of the validation accuracy, and the step at which a network groks."""

from __future__ import annotations

from typing import Any

import numpy as np

from slingshot_analysis.canonical import FloatArray, as_step, bin_edges, canonical
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import AccuracyJump

__all__ = ["detect_accuracy_jumps", "grokking_sensitivity", "grokking_step"]

DEFAULT_SAMPLES = 1000
"""Assumed size of a validation set that is not known; few are smaller."""
SIGNIFICANCE = 2.0
"""Standard deviations of the difference of two binomial fractions that a jump exceeds."""
LEAST_RISE = 0.01
"""Smallest jump, one percentage point; less is of no interest even if it is significant."""
NOISE_FACTOR = 5.0
"""Standard deviations of the noise between evaluations that a jump exceeds; one false alarm in a million."""
INNER, OUTER = 3, 10
"""Evaluations averaged on each side of a jump, and those beyond them that tell how fast the accuracy rises anyway."""
STEEPER = 3.0
"""A jump rises this many times faster than the accuracy does on either side; a smooth curve is hardly steeper."""
AT_ONCE = 0.8
"""Share of a jump that two successive changes make; a straight ramp over both sides makes two thirds."""
LEVELS = (0.9, 0.95, 0.99)
"""Accuracies that papers call generalisation."""
BINS = 4000
"""Evaluations beyond this number are averaged."""


def detect_accuracy_jumps(step: Any, accuracy: Any, *, samples: int | None = None) -> list[AccuracyJump]:
    """Find the rises of an accuracy that are too steep to be slow learning and too large to be chance.

    On the angular scale 2 asin(sqrt(accuracy)), where the standard deviation of a fraction of n samples is 1/sqrt(n),
    the level of the next three (and ten) evaluations is compared with that of the last three (and ten). The difference
    must exceed two standard deviations of the difference of two fractions, five of the noise between evaluations, and
    three times what the evaluations beyond rise in the same time; and two successive changes must make most of it.

    Parameters
    ----------
    step : (n,) array_like, updates
        Evaluations.
    accuracy : (n,) array_like, fraction in [0, 1]
        On the validation set.
    samples : int, optional
        Size of the validation set. If it is not known, 1,000 is assumed: near an accuracy of one half a jump is then
        at least four and a half percentage points, near 0 or 1 at least one or two.

    Returns
    -------
    list of AccuracyJump
        In order; each at the first evaluation after a quarter of the rise.

    Raises
    ------
    InputError
        If the arrays do not fit, the accuracy is no fraction, or `samples` is not positive.

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
    steps, values = _fractions(step, accuracy)
    if len(steps) < 2 * INNER:
        return []
    edges = bin_edges(len(values), BINS)
    values = np.add.reduceat(values, edges) / np.diff(np.append(edges, len(values)))
    steps = steps[edges]
    angle = 2 * np.arcsin(np.sqrt(values))
    change = np.diff(angle)
    noise = float(np.median(np.abs(change - np.median(change)))) / 0.6745 / np.sqrt(2)
    least = max(SIGNIFICANCE * np.sqrt(2 / (samples or DEFAULT_SAMPLES)), NOISE_FACTOR * noise * np.sqrt(2 / INNER))
    rise = _rise(angle)
    jumps = []
    open_from = 0
    for i in np.flatnonzero(rise > least).tolist():
        if i < open_from or rise[i] < rise[max(i - INNER, 0) : i + INNER + 1].max():
            continue
        before, after = _levels(angle, i)
        first = max(i - INNER, 1)
        steepest = np.convolve(change[first - 1 : i + INNER - 1], [1, 1]).max()
        usual = STEEPER * INNER * _usual_change(steps, change, i)
        if after - before < max(least, usual) or steepest < AT_ONCE * (after - before):
            continue
        low, high = np.sin(before / 2) ** 2, np.sin(after / 2) ** 2
        if high - low >= LEAST_RISE:
            left = np.flatnonzero(angle[first : i + INNER] >= before + 0.25 * (after - before))
            at = first + int(left[0]) if len(left) else i
            jumps.append(AccuracyJump(as_step(steps[at]), float(low), float(high)))
            open_from = i + INNER
    return jumps


def grokking_step(
    step: Any,
    accuracy: Any,
    terminal_phase_start: float | None,
    *,
    level: float = 0.95,
    hold: int = 3,
    least_delay: float = 1000,
    least_ratio: float = 10,
) -> int | None:
    """Find the first step from which the validation accuracy holds the level, long after the training set was fitted.

    Parameters
    ----------
    step : (n,) array_like, updates
        Evaluations.
    accuracy : (n,) array_like, fraction in [0, 1]
        On the validation set.
    terminal_phase_start : float or None, updates
        When the training set was fitted, as `terminal_phase_start` tells.
    level : float, optional
        Accuracy to reach.
    hold : int, optional
        Evaluations in a row that must reach it.
    least_delay : float, updates, optional
        Least time between fitting and generalising.
    least_ratio : float, optional
        Least ratio of the two steps.

    Returns
    -------
    int or None, updates
        None where the accuracy never holds the level, does so too early to be called grokking, or nothing was fitted.

    Raises
    ------
    InputError
        If the arrays do not fit, the accuracy is no fraction, or `hold` is less than 1.

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
    steps, values = _fractions(step, accuracy)
    if terminal_phase_start is None or len(steps) < hold:
        return None
    low = np.flatnonzero(values < level)
    runs = np.diff(low, prepend=-1, append=len(values)) - 1
    long = np.flatnonzero(runs >= hold)
    if not len(long):
        return None
    reached = steps[low[long[0] - 1] + 1 if long[0] else 0]
    late = reached - terminal_phase_start >= least_delay and reached >= least_ratio * terminal_phase_start
    return as_step(reached) if late else None


def grokking_sensitivity(step: Any, accuracy: Any, terminal_phase_start: float | None) -> dict[str, int | None]:
    """Return the grokking step under other definitions than the default, as there is no standard one.

    Parameters
    ----------
    step, accuracy, terminal_phase_start
        As for `grokking_step`.

    Returns
    -------
    dict of str to int or None, updates
        By definition in words: other levels, one evaluation instead of three, and no delay asked for.

    Raises
    ------
    InputError
        If the arrays do not fit, or the accuracy is no fraction.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(0, 50_000, 500)
    >>> accuracy = np.interp(step, [20_000, 30_000], [0.4, 1.0])
    >>> grokking_sensitivity(step, accuracy, terminal_phase_start=400)["level 0.9"]
    28500
    """
    definitions: dict[str, dict[str, float]] = {f"level {level}": {"level": level} for level in LEVELS}
    definitions |= {"held once": {"hold": 1}, "no delay": {"least_delay": 0, "least_ratio": 0}}
    return {
        words: grokking_step(step, accuracy, terminal_phase_start, **changed)  # type: ignore[arg-type]
        for words, changed in definitions.items()
    }


def _rise(angle: FloatArray) -> FloatArray:
    """Return at each evaluation the mean of INNER evaluations from there on, less the mean of INNER before."""
    total = np.concatenate([[0.0], np.cumsum(angle)])
    at = np.arange(1, len(angle))
    after, before = np.minimum(at + INNER, len(angle)), np.maximum(at - INNER, 0)
    rise = (total[after] - total[at]) / (after - at) - (total[at] - total[before]) / (at - before)
    return np.concatenate([[0.0], rise])


def _levels(angle: FloatArray, i: int) -> tuple[float, float]:
    """Return the levels before and from `i` on; a dip before or a bump after makes no jump."""
    before = max(np.median(angle[max(i - width, 0) : i]) for width in (INNER, OUTER))
    after = min(np.median(angle[i : i + width]) for width in (INNER, OUTER))
    return float(before), float(after)


def _usual_change(steps: FloatArray, change: FloatArray, i: int) -> float:
    """Return the larger of the median changes per evaluation beyond INNER on the left and on the right of `i`."""
    gap = np.diff(steps)
    here = np.median(gap[max(i - INNER, 0) : i + INNER])
    sides = [slice(max(i - INNER - OUTER, 0), max(i - INNER, 0)), slice(i + INNER, i + INNER + OUTER)]
    return max(
        [float(np.median(change[side] / gap[side])) * float(here) for side in sides if len(gap[side])], default=0.0
    )


def _fractions(step: Any, accuracy: Any) -> tuple[FloatArray, FloatArray]:
    steps, values = canonical(step, accuracy, "accuracy")
    if len(values) and (values.max() > 1 + 1e-6 or values.min() < 0):
        raise InputError("accuracy: not a fraction in [0, 1]; divide percentages by 100")
    return steps, np.minimum(values, 1.0)
