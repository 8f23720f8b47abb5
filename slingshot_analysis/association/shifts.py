"""A check of the association test: all jumps of a run are shifted together in log time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slingshot_analysis.association._steps import as_span, as_steps, hits_near
from slingshot_analysis.errors import InputError

LOG_TIME_START = 1e-3
"""Log time starts at this fraction of the last step, if the span starts earlier; earlier jumps are moved there."""


@dataclass(frozen=True)
class LogTimeShift:
    """Number of jumps near transitions, and its distribution when all jumps are shifted in log time.

    Parameters
    ----------
    hits : int
        Number of jumps near some transition.
    expected : float
        Mean number of hits over the shifts.
    p_value : float or None
        (k + 1) / (n + 1), where k of n shifts give at least as many hits; None without jumps or transitions.
    resamples : int
        Number of shifts.
    jumps, transitions : int
        Total numbers.
    counts : tuple of int
        Number of shifts that gave 0, 1, 2, ... hits. `pool_shifts` needs it.
    """

    hits: int
    expected: float
    p_value: float | None
    resamples: int
    jumps: int
    transitions: int
    counts: tuple[int, ...]


def log_time_shift_test(
    jumps: Sequence[Any],
    transitions: Sequence[Any],
    window: tuple[float, float],
    run_span: tuple[float, float],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> LogTimeShift:
    """Test the association of jumps with transitions by circular shifts of all jumps in log time.

    Unlike `association_test`, this test preserves the distances between jumps, at the price of power. It shifts in log
    time because jumps and transitions are spread more evenly there; shifts in linear time reject too often.

    Parameters
    ----------
    jumps : (n,) array_like, updates
        Steps of the accuracy jumps, or `AccuracyJump` objects.
    transitions : (m,) array_like, updates
        Steps of the transitions, or `Slingshot` objects.
    window : (float, float), updates
        Smallest and largest lag behind a transition that counts as near.
    run_span : (float, float), updates
        First and last step at which a jump could be observed.
    resamples : int, optional
        Number of random shifts.
    seed : int, optional
        Seed of the shifts.

    Returns
    -------
    LogTimeShift
        Hits, expectation and p-value.

    Raises
    ------
    InputError
        If the window or the span is empty, a step is not a finite number within the span, or the last step is not
        positive.

    References
    ----------
    .. [1] K. D. Harris, bioRxiv 2020.11.29.402719: when shifts reject too often.

    Examples
    --------
    >>> found = log_time_shift_test([10_100, 30_050], [10_000, 30_000], (-800, 1000), (1000, 40_000))
    >>> found.hits, round(found.expected, 1), found.p_value < 0.05
    (2, 0.1, True)
    """
    low, high = as_span(window, "window")
    first, last = as_span(run_span, "run_span")
    jump = as_steps(jumps, "step", "jumps", first, last)
    transition = np.unique(as_steps(transitions, "transition", "transitions", first, last))
    if resamples < 1:
        raise InputError(f"resamples: got {resamples}; give at least 1")
    if not last > 0:
        raise InputError(f"run_span: got ({first:g}, {last:g}); log time needs a last step greater than 0")
    if not len(jump) or not len(transition):
        return LogTimeShift(0, 0.0, None, resamples, len(jump), len(transition), ())
    start = max(first, LOG_TIME_START * last)
    length = np.log(last / start)
    place = np.log(np.maximum(jump, start) / start) / length
    shift = np.random.default_rng(seed).random((resamples, 1))
    shifted = start * np.exp((place + shift) % 1.0 * length)
    hits = int(hits_near(jump, transition, (low, high)))
    by_shift = hits_near(shifted, transition, (low, high))
    return LogTimeShift(
        hits,
        float(by_shift.mean()),
        (int((by_shift >= hits).sum()) + 1) / (resamples + 1),
        resamples,
        len(jump),
        len(transition),
        tuple(np.bincount(by_shift, minlength=len(jump) + 1).tolist()),
    )


def pool_shifts(tests: Iterable[LogTimeShift]) -> LogTimeShift:
    """Pool the shift tests of several runs, each of which is shifted independently.

    Parameters
    ----------
    tests : iterable of LogTimeShift
        One for each run. A run without jumps or without transitions adds to the counts only.

    Returns
    -------
    LogTimeShift
        The test of the total number of hits, whose distribution is the convolution of those of the runs. `resamples`
        is the smallest of the runs, and the p-value is at least 1 / (resamples + 1). `counts` is empty because a
        pooled test can't be pooled again.

    Raises
    ------
    InputError
        If there are no tests, or one of them is pooled already.

    Examples
    --------
    >>> run = log_time_shift_test([10_100], [10_000], (-800, 1000), (1000, 40_000), resamples=999)
    >>> run.p_value, pool_shifts([run, run]).p_value < run.p_value
    (0.055, True)
    """
    runs = list(tests)
    if not runs:
        raise InputError("pool_shifts: got no test; give one for each run")
    telling = [run for run in runs if run.p_value is not None]
    if not all(run.counts for run in telling):
        raise InputError("pool_shifts: got a test that is already pooled; give the tests of the single runs")
    hits = sum(run.hits for run in telling)
    resamples = min(run.resamples for run in telling or runs)
    chance = np.ones(1)
    for run in telling:
        chance = np.convolve(chance, np.array(run.counts) / run.resamples)
    return LogTimeShift(
        hits,
        float(sum(run.expected for run in telling)),
        float(min((chance[hits:].sum() * resamples + 1) / (resamples + 1), 1.0)) if telling else None,
        resamples,
        sum(run.jumps for run in runs),
        sum(run.transitions for run in runs),
        (),
    )
