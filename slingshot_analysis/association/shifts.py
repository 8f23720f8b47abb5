"""A check of the association test: shift the jumps of a run together, in log time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slingshot_analysis.association._steps import as_span, as_steps, hits_near
from slingshot_analysis.errors import InputError

__all__ = ["LogTimeShift", "log_time_shift_test", "pool_shifts"]

EARLIEST = 1e-3
"""Log time begins at this share of the last step where the span begins earlier; earlier jumps are put there."""


@dataclass(frozen=True)
class LogTimeShift:
    """How many jumps fall near transitions, and how many do when all jumps are shifted in log time.

    Parameters
    ----------
    hits : int
        Jumps near some transition.
    expected : float
        Their mean number over the shifts.
    p_value : float or None
        (k + 1) / (n + 1), where k of the n shifts give as many hits or more; None without a jump or a transition.
    resamples : int
        The number n of shifts.
    jumps, transitions : int
        All of them.
    counts : tuple of int
        Shifts that gave 0, 1, 2, ... hits; what `pool_shifts` joins.
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
    """Shift all jumps of a run together, around the circle that log time makes, and count the hits anew.

    This keeps the distances of the jumps in log time, which `association_test` does not, and pays with power. In log
    time jumps and transitions are spread more evenly than in time, where such a test rejects far too often.

    Parameters
    ----------
    jumps : (n,) array_like, updates
        Steps of the accuracy jumps, or `AccuracyJump` objects.
    transitions : (m,) array_like, updates
        Steps of the transitions, or `Slingshot` objects.
    window : (float, float), updates
        First and last lag behind a transition that count as near.
    run_span : (float, float), updates
        First and last step in which a jump could have been seen.
    resamples : int, optional
        Number of random shifts.
    seed : int, optional
        Of the shifts.

    Returns
    -------
    LogTimeShift
        Hits, expectation and p-value.

    Raises
    ------
    InputError
        If the window or the span is empty, a step is no finite number within the span, or the last step is not
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
    start = max(first, EARLIEST * last)
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
    """Join the shift tests of several runs, each run shifted on its own.

    Parameters
    ----------
    tests : iterable of LogTimeShift
        One for each run. A run without jumps or without transitions adds only to the counts.

    Returns
    -------
    LogTimeShift
        With the distribution of the sum of hits by convolution; `resamples` is the smallest of the runs, and the
        p-value is never below 1 / (resamples + 1). Its `counts` are empty, as it can't be joined again.

    Raises
    ------
    InputError
        If there is none, or one is itself joined.

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
        raise InputError("pool_shifts: got a test that is itself joined from several runs; give those of the runs")
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
