"""Do validation jumps fall next to slingshots? An exact test that draws each jump anew within its own cycle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from slingshot_analysis.association._steps import FloatArray, as_span, as_steps
from slingshot_analysis.errors import InputError

__all__ = ["Association", "association_test", "near_window", "poisson_binomial_tail", "pool_associations"]

STRIDES_BEFORE = 2
"""Evaluations by which a jump may seem to come early: it is seen between two, and both ends are read from a grid."""
LEAST_AFTER, SHARE_AFTER, MOST_AFTER = 1000, 0.01, 0.05
"""A jump follows within 1,000 updates or 1% of the run, whichever is more, and within 5% of the run."""
WIDE = 200
"""Steps from which on a window is told in whole steps, which changes it by 1% at most."""


@dataclass(frozen=True)
class Association:
    """How often accuracy jumps fall near transitions, and how often they would by chance.

    Parameters
    ----------
    jumps_near_transitions : int
        Jumps within `window` of some transition.
    jumps, transitions : int
        All of them.
    window : (float, float), updates
        First and last lag that counts as near, in whole steps if it is 200 steps wide or more.
    expected : float
        Jumps that would fall near by chance, the sum of `coverage`.
    p_value : float or None
        Probability of so many or more by chance; None without a jump or without a transition.
    lags : tuple of float, updates
        Of each jump behind its nearest transition; negative where the jump comes first.
    coverage : tuple of float
        For each jump the share of its own cycle that the window covers; what `pool_associations` joins.
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
    """Test whether accuracy jumps fall near slingshots more often than chance puts them there.

    Under the null hypothesis each jump lies anywhere in its own cycle, between two consecutive transitions, with equal
    probability; so it may get rarer or more frequent along the run, as jumps do, without looking associated. The
    number of hits is then Poisson binomial. A shift of all jumps along the run, in contrast, rejects far too often.
    Before the first transition the cycle starts with the run, after the last it ends with the run. A window reaching
    past a transition counts in both cycles that it covers.

    Parameters
    ----------
    jumps : (n,) array_like, updates
        Steps of the accuracy jumps, or `AccuracyJump` objects; of the terminal phase, if only that is asked about.
    transitions : (m,) array_like, updates
        Steps of the transitions, or `Slingshot` objects.
    window : (float, float), updates
        First and last lag behind a transition that count as near, as `near_window` tells.
    run_span : (float, float), updates
        First and last step in which a jump could have been seen.

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
    told = (int(np.floor(low)), int(np.ceil(high))) if high - low >= WIDE else (low, high)
    if not len(jump) or not len(transition):
        return Association(0, len(jump), len(transition), told, 0.0, None, (), ())
    lags = _lags(jump, transition)
    near = ((jump[:, None] - transition >= low) & (jump[:, None] - transition <= high)).any(axis=1)
    coverage = _coverage(jump, transition, (low, high), (first, last))
    hits = int(near.sum())
    return Association(
        hits,
        len(jump),
        len(transition),
        told,
        float(coverage.sum()),
        poisson_binomial_tail(coverage, hits),
        tuple(lags.tolist()),
        tuple(coverage.tolist()),
    )


def pool_associations(associations: Iterable[Association]) -> Association:
    """Join the tests of several runs into one, by concatenating their jumps.

    Parameters
    ----------
    associations : iterable of Association
        One for each run. A run without jumps or without transitions says nothing and adds only to the counts.

    Returns
    -------
    Association
        With the widest window.

    Raises
    ------
    InputError
        If there is none.

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
        poisson_binomial_tail(coverage, hits) if coverage else None,
        tuple(lag for run in runs for lag in run.lags),
        coverage,
    )


def near_window(
    evaluation_stride: float, run_span: tuple[float, float], run_length: float | None = None
) -> tuple[float, float]:
    """Return the lags that count as near: from two evaluations early to 1,000 updates or 1% of the run late.

    Of a run of fewer than 20,000 steps, such as a log that counts epochs, 1,000 would be too much of it to tell near
    from far: there 5% of the run is the end, or the next evaluation where that is later.

    Parameters
    ----------
    evaluation_stride : float, updates
        Usual distance of two evaluations.
    run_span : (float, float), updates
        First and last step in which a jump could have been seen.
    run_length : float, updates, optional
        Of the whole run, where the span is only a part of it.

    Returns
    -------
    (float, float), updates
        First and last lag.

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
    after = max(LEAST_AFTER, SHARE_AFTER * (last - first))
    end = min(after, MOST_AFTER * (run_length or last - first))
    return -STRIDES_BEFORE * evaluation_stride, max(end, evaluation_stride)


def poisson_binomial_tail(probabilities: Sequence[float] | FloatArray, hits: int) -> float:
    """Return the probability that at least `hits` of independent events happen.

    Parameters
    ----------
    probabilities : (n,) array_like
        Of the single events.
    hits : int
        Number asked about.

    Returns
    -------
    float
        By convolution, exact.

    Examples
    --------
    >>> round(poisson_binomial_tail([0.1, 0.2], 1), 6)
    0.28
    """
    count = np.ones(1)
    for probability in probabilities:
        count = np.convolve(count, [1 - probability, probability])
    return float(min(count[max(hits, 0) :].sum(), 1.0))


def _coverage(
    jump: FloatArray, transition: FloatArray, window: tuple[float, float], span: tuple[float, float]
) -> FloatArray:
    """Return for each jump the share of its cycle that lies within the window of any transition."""
    bounds = np.unique(np.concatenate([[span[0]], transition, [span[1]]]))
    cycle = np.clip(np.searchsorted(bounds, jump, side="right") - 1, 0, len(bounds) - 2)
    shares = np.zeros(len(bounds) - 1)
    for k, (start, end) in enumerate(pairwise(bounds)):
        reached = start
        for at in transition:
            low, high = max(at + window[0], reached), min(at + window[1], end)
            if high > low:
                shares[k] += (high - low) / (end - start)
                reached = high
    return np.minimum(shares[cycle], 1.0)


def _lags(jump: FloatArray, transition: FloatArray) -> FloatArray:
    """Return the step of each jump less that of the transition nearest to it."""
    lag = jump[:, None] - transition
    return np.asarray(lag[np.arange(len(jump)), np.abs(lag).argmin(axis=1)])
