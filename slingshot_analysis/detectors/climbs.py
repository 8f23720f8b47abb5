"""Climbs of the validation accuracy: rises over one or several evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np

from slingshot_analysis.canonical import MAD_OF_NORMAL, FloatArray, as_step, bin_edges, canonical_accuracy
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import AccuracyClimb

DEFAULT_SAMPLES = 1000
"""Assumed size of a validation set whose size is unknown. Few validation sets are smaller."""
SIGNIFICANCE = 2.0
"""Minimum height of a climb, in standard deviations of the difference of two binomial fractions."""
NOISE_FACTOR = 7.0
"""Minimum height of a climb, in standard deviations of the noise between evaluations: the best of thousands of noisy
values exceeds the first by six."""
MINIMUM_RISE = 0.01
"""Minimum height of a climb: one percentage point."""
STEEPNESS = 3.0
"""Minimum ratio of the rate of a climb and the mean rate of the rest of the run."""
CONTRAST = 2.0
"""Minimum ratio of the rise in a climb and the rise in equally long intervals just before and after it."""
MAXIMUM_ROUNDS = 10
"""Maximum number of rounds in which the mean rate is updated."""
BINS = 4000
"""Maximum number of bins into which evaluations are averaged."""


def detect_accuracy_climbs(step: Any, accuracy: Any, *, samples: int | None = None) -> list[AccuracyClimb]:
    """Find the rises of an accuracy that are much faster than usual in the run, whether sudden or over evaluations.

    The detector follows the best accuracy so far, so that a dip that recovers to the old level is no climb. It works on
    the angular scale 2 asin(sqrt(accuracy)), on which the standard deviation of a fraction of n samples is 1/sqrt(n).
    A climb is an interval in which the best accuracy rises at three times its mean rate over the rest of the run, and
    twice as much as in equally long intervals just before and after. The rise must exceed two standard deviations of
    the difference of two fractions, seven standard deviations of the noise between evaluations, and one percentage
    point.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps of the evaluations.
    accuracy : (n,) array_like, fraction in [0, 1]
        Validation accuracy.
    samples : int, optional
        Size of the validation set; by default 1,000.

    Returns
    -------
    list of AccuracyClimb
        In the order of their onsets. They do not overlap.

    Raises
    ------
    InputError
        If the arrays do not fit together, the accuracy is not a fraction, or `samples` is not positive.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, Figure 4.
    .. [2] F. J. Anscombe, Biometrika 35, 1948, doi:10.1093/biomet/35.3-4.246: the angular scale.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(0, 40_000, 500)
    >>> detect_accuracy_climbs(step, np.interp(step, [24_500, 26_500], [0.25, 0.75]))
    [AccuracyClimb(onset=24500, end=26500, before=0.25, after=0.75)]
    """
    if samples is not None and not samples > 0:
        raise InputError(f"samples: got {samples}; give the size of the validation set, a positive number")
    steps, values = canonical_accuracy(step, accuracy)
    if len(steps) < 2:
        return []
    edges = bin_edges(len(values), BINS)
    steps, values = steps[edges], np.add.reduceat(values, edges) / np.diff(np.append(edges, len(values)))
    best = np.maximum.accumulate(values)
    angle, noise = _angle(best), _noise(_angle(values))
    least = max(SIGNIFICANCE * float(np.sqrt(2 / (samples or DEFAULT_SAMPLES))), NOISE_FACTOR * noise)

    # The mean rate of a run with climbs is that of its climbs. Once they are found, the mean rate of the rest is lower,
    # and smaller climbs may stand out against it.
    climbs: list[tuple[int, int]] = []
    for _ in range(MAXIMUM_ROUNDS):
        rate = _mean_rate(steps, angle, climbs)
        found = [
            (onset, end)
            for onset, end in _steep_intervals(steps, angle, STEEPNESS * rate)
            if angle[end] - angle[onset] > max(least, CONTRAST * _rise_beside(steps, angle, onset, end))
            and best[end] - best[onset] >= MINIMUM_RISE
        ]
        # What touches a known climb is its slower beginning or end.
        new = [(onset, end) for onset, end in found if all(end < first or onset > last for first, last in climbs)]
        if not new:
            break
        climbs = sorted(climbs + new)
    return [
        AccuracyClimb(as_step(steps[onset]), as_step(steps[end]), float(best[onset]), float(best[end]))
        for onset, end in climbs
    ]


def _angle(accuracy: FloatArray) -> FloatArray:
    """Return the accuracy on the angular scale."""
    return np.asarray(2 * np.arcsin(np.sqrt(accuracy)))


def _noise(angle: FloatArray) -> float:
    """Return the standard deviation of the fluctuations from one evaluation to the next."""
    change = np.diff(angle)
    return float(np.median(np.abs(change - np.median(change))) / MAD_OF_NORMAL / np.sqrt(2))


def _mean_rate(steps: FloatArray, angle: FloatArray, climbs: list[tuple[int, int]]) -> float:
    """Return the rise per update outside the climbs; infinite if they fill the run."""
    rise, time = angle[-1] - angle[0], steps[-1] - steps[0]
    for onset, end in climbs:
        rise -= angle[end] - angle[onset]
        time -= steps[end] - steps[onset]
    return float(rise / time) if time > 0 else np.inf


def _rise_beside(steps: FloatArray, angle: FloatArray, onset: int, end: int) -> float:
    """Return the larger one of the rises in the intervals as long as the climb before and after it."""
    duration = steps[end] - steps[onset]
    at = np.array([steps[onset] - duration, steps[onset], steps[end], steps[end] + duration])
    before, _, after = np.diff(np.interp(at, steps, angle))
    return max(float(before), float(after))


def _steep_intervals(steps: FloatArray, angle: FloatArray, rate: float) -> list[tuple[int, int]]:
    """Return the first and last row of the intervals in which the angle rises faster than at some rate.

    A pause in a rise does not end it if it is no longer than the parts that it separates are together, and if the rise
    with the pause is still fast enough.
    """
    steep = np.flatnonzero(np.diff(angle) > rate * np.diff(steps)).tolist()
    intervals: list[tuple[int, int]] = []
    for row in steep:
        onset, end = row, row + 1
        while intervals:
            first, last = intervals[-1]
            pause, rising = steps[onset] - steps[last], steps[last] - steps[first] + steps[end] - steps[onset]
            if pause > rising or angle[end] - angle[first] <= rate * (steps[end] - steps[first]):
                break
            onset = first
            intervals.pop()
        intervals.append((onset, end))
    return intervals
