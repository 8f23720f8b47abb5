"""Association of accuracy jumps with transitions: an exact test that places each jump at random in its own cycle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slingshot_analysis.association._steps import FloatArray, as_span, as_steps, hits_near
from slingshot_analysis.errors import InputError

STRIDES_BEFORE = 2
"""Number of evaluations by which a jump may precede its transition, because both are dated on a grid of steps."""
MINIMUM_REACH, REACH_SHARE, MAXIMUM_REACH_SHARE = 1000, 0.01, 0.05
"""A jump follows within 1,000 updates or 1% of the run, whichever is more, but within 5% of the run."""
ROUNDED_WIDTH = 200
"""A window of this many steps or more is reported in whole steps, which changes it by 1% at most."""


@dataclass(frozen=True)
class Association:
    """Accuracy jumps near transitions: their number, and the number expected by chance.

    Parameters
    ----------
    jumps_near_transitions : int
        Number of jumps that fall into the window of some transition.
    jumps, transitions : int
        Total numbers.
    window : (float, float), updates
        Smallest and largest lag that counts as near; in whole steps if the window is 200 steps or wider.
    expected : float
        Number of jumps near transitions expected by chance: the sum of `coverage`.
    p_value : float or None
        Probability of at least this many hits by chance; None without jumps or without transitions.
    lags : tuple of float, updates
        Lag of each jump behind its nearest transition; negative where the jump comes first.
    coverage : tuple of float
        For each jump the fraction of its cycle that windows cover. `pool_associations` needs it.
    """

    jumps_near_transitions: int
    jumps: int
    transitions: int
    window: tuple[float, float]
    expected: float
    p_value: float | None
    lags: tuple[float, ...]
    coverage: tuple[float, ...]


def association_test(
    jumps: Sequence[Any], transitions: Sequence[Any], window: tuple[float, float], run_span: tuple[float, float]
) -> Association:
    """Test whether accuracy jumps fall near transitions more often than by chance.

    A cycle lies between two consecutive transitions; the first starts with the run and the last ends with it. Under
    the null hypothesis each jump is uniformly distributed over its own cycle, and the number of hits is Poisson
    binomial. Because jumps stay in their cycles, a trend in their frequency along the run does not look like an
    association. A test that shifts all jumps along the run has no such protection and rejects too often. A window
    that reaches past a transition counts in both cycles that it covers.

    Parameters
    ----------
    jumps : (n,) array_like, updates
        Steps of the accuracy jumps, or `AccuracyJump` objects.
    transitions : (m,) array_like, updates
        Steps of the transitions, or `Slingshot` objects.
    window : (float, float), updates
        Smallest and largest lag behind a transition that counts as near; `near_window` returns the default.
    run_span : (float, float), updates
        First and last step at which a jump could be observed.

    Returns
    -------
    Association
        Counts, lags, expectation and exact p-value.

    Raises
    ------
    InputError
        If the window or the span is empty, or a step is not a finite number within the span.

    References
    ----------
    .. [1] Y. H. Wang, Statistica Sinica 3, 1993, p. 295: the Poisson binomial distribution.
    .. [2] K. D. Harris, bioRxiv 2020.11.29.402719: why shifts reject too often.

    Examples
    --------
    >>> found = association_test([10_100, 30_050], [10_000, 20_000, 30_000], (-800, 1000), (0, 40_000))
    >>> found.jumps_near_transitions, round(found.p_value, 4)
    (2, 0.018)
    """
    low, high = as_span(window, "window")
    first, last = as_span(run_span, "run_span")
    jump = as_steps(jumps, "step", "jumps", first, last)
    transition = np.unique(as_steps(transitions, "transition", "transitions", first, last))
    reported = (int(np.floor(low)), int(np.ceil(high))) if high - low >= ROUNDED_WIDTH else (low, high)
    if not len(jump) or not len(transition):
        return Association(0, len(jump), len(transition), reported, 0.0, None, (), ())
    lags = _lags(jump, transition)
    hits = int(hits_near(jump, transition, (low, high)))
    coverage = _coverage(jump, transition, (low, high), (first, last))
    return Association(
        hits,
        len(jump),
        len(transition),
        reported,
        float(coverage.sum()),
        _poisson_binomial_tail(coverage, hits),
        tuple(lags.tolist()),
        tuple(coverage.tolist()),
    )


def pool_associations(associations: Iterable[Association]) -> Association:
    """Pool the tests of several runs into one.

    Parameters
    ----------
    associations : iterable of Association
        One for each run. A run without jumps or without transitions adds to the counts only.

    Returns
    -------
    Association
        The exact test of all jumps together. Its window spans those of the runs.

    Raises
    ------
    InputError
        If there are no runs.

    Examples
    --------
    >>> run = association_test([10_100], [10_000], (-800, 1000), (0, 20_000))
    >>> round(run.p_value, 3), round(pool_associations([run, run]).p_value, 4)
    (0.1, 0.01)
    """
    runs = list(associations)
    if not runs:
        raise InputError("pool_associations: got no association; give one for each run")
    coverage = tuple(share for run in runs for share in run.coverage)
    hits = sum(run.jumps_near_transitions for run in runs)
    return Association(
        hits,
        sum(run.jumps for run in runs),
        sum(run.transitions for run in runs),
        (min(run.window[0] for run in runs), max(run.window[1] for run in runs)),
        float(sum(coverage)),
        _poisson_binomial_tail(coverage, hits) if coverage else None,
        tuple(lag for run in runs for lag in run.lags),
        coverage,
    )


def near_window(
    evaluation_stride: float, run_span: tuple[float, float], run_length: float | None = None
) -> tuple[float, float]:
    """Return the default window: from two evaluations before a transition to 1,000 updates or 1% of the run after it.

    The window ends at 5% of the run at the latest, because 1,000 steps can be most of a short run, such as a log that
    counts epochs. It always reaches the next evaluation.

    Parameters
    ----------
    evaluation_stride : float, updates
        Typical distance of two evaluations.
    run_span : (float, float), updates
        First and last step at which a jump could be observed.
    run_length : float, updates, optional
        Length of the whole run, if the span is only a part of it.

    Returns
    -------
    (float, float), updates
        Smallest and largest lag.

    Raises
    ------
    InputError
        If the stride is not positive or the span is empty.

    Examples
    --------
    >>> near_window(400, (0, 200_000))
    (-800, 2000.0)
    >>> near_window(1, (0, 206)), near_window(500, (0, 5000))
    ((-2, 10.3), (-1000, 500))
    """
    if not evaluation_stride > 0:
        raise InputError(f"evaluation_stride: got {evaluation_stride}; give the distance of two evaluations in updates")
    first, last = as_span(run_span, "run_span")
    after = max(MINIMUM_REACH, REACH_SHARE * (last - first))
    end = min(after, MAXIMUM_REACH_SHARE * (run_length or last - first))
    return -STRIDES_BEFORE * evaluation_stride, max(end, evaluation_stride)


def _poisson_binomial_tail(probabilities: Sequence[float] | FloatArray, hits: int) -> float:
    """Return the exact probability that at least `hits` of independent events with these probabilities happen."""
    count = np.ones(1)
    for probability in probabilities:
        count = np.convolve(count, [1 - probability, probability])
    return float(min(count[max(hits, 0) :].sum(), 1.0))


def _coverage(
    jump: FloatArray, transition: FloatArray, window: tuple[float, float], span: tuple[float, float]
) -> FloatArray:
    """Return for each jump the fraction of its cycle that lies in the window of any transition."""
    bounds = np.unique(np.concatenate([[span[0]], transition, [span[1]]]))
    cycle = np.clip(np.searchsorted(bounds, jump, side="right") - 1, 0, len(bounds) - 2)
    # Overlapping windows count once: each starts where the previous one ends, if that is later.
    end = transition + window[1]
    start = np.maximum(transition + window[0], np.concatenate([[-np.inf], end[:-1]]))
    knots = np.column_stack([start, end]).ravel()
    length = np.cumsum(end - start)
    covered = np.interp(bounds, knots, np.column_stack([length - (end - start), length]).ravel())
    shares = np.diff(covered) / np.diff(bounds)
    return np.asarray(np.minimum(shares[cycle], 1.0))


def _lags(jump: FloatArray, transition: FloatArray) -> FloatArray:
    """Return the lag of each jump behind the nearest transition; of two equally near ones, the earlier."""
    after = np.clip(np.searchsorted(transition, jump), 0, len(transition) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(jump - transition[before] <= np.abs(transition[after] - jump), before, after)
    return np.asarray(jump - transition[nearest])
