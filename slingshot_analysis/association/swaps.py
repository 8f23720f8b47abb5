"""A check of the association test: swap the jumps of different runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from slingshot_analysis.association._steps import FloatArray, as_span, as_steps, hits_near
from slingshot_analysis.errors import InputError

__all__ = ["RunEvents", "RunSwap", "run_swap_test"]

Counts = npt.NDArray[np.integer[Any]]

ENUMERATED = 7
"""Up to so many runs, all of their permutations are looked at."""


@dataclass(frozen=True)
class RunEvents:
    """The events of one run, as `run_swap_test` wants them.

    Parameters
    ----------
    jumps, transitions : array_like, updates
        Steps, or `AccuracyJump` and `Slingshot` objects.
    window : (float, float), updates
        First and last lag behind a transition that count as near.
    run_span : (float, float), updates
        First and last step of the run.
    """

    jumps: Sequence[Any]
    transitions: Sequence[Any]
    window: tuple[float, float]
    run_span: tuple[float, float]


@dataclass(frozen=True)
class RunSwap:
    """How many jumps fall near the transitions of their own run, and of other runs.

    Parameters
    ----------
    hits : int
        Jumps near a transition of their own run, summed over runs.
    expected : float
        Mean of that sum over all permutations of the runs.
    p_value : float or None
        Share of the permutations that give as many hits or more; None without a jump or without a transition.
    smallest_p : float or None
        Share of those that give the most: no pairing of these jumps with these transitions can have a smaller p.
    runs, permutations : int
        Number of runs, and of the permutations looked at.
    exact : bool
        Whether these are all permutations; else a sample, and shares are (k + 1) / (n + 1).
    """

    hits: int
    expected: float
    p_value: float | None
    smallest_p: float | None
    runs: int
    permutations: int
    exact: bool


def run_swap_test(runs: Sequence[RunEvents], *, resamples: int = 2000, seed: int = 0) -> RunSwap:
    """Compare the jumps of each run with the transitions of every other run.

    If jumps only follow the clock of the schedule, those of another run lie as near to this run's transitions. All
    permutations of the runs are looked at up to 7 runs, else a sample.

    Parameters
    ----------
    runs : sequence of RunEvents
        Two or more of the same length, evaluated equally often, so that they have the same span and window.
    resamples : int, optional
        Number of random permutations where there are too many.
    seed : int, optional
        Of the permutations.

    Returns
    -------
    RunSwap
        Hits, expectation, p-value, and the smallest p-value that was possible.

    Raises
    ------
    InputError
        If there are fewer than two runs, or their spans or windows differ.

    References
    ----------
    .. [1] eLife RP103703, doi:10.7554/eLife.103703: tests that swap trials, with few replicates.

    Examples
    --------
    >>> runs = [RunEvents([at + 5], [at], (0, 10), (0, 1000)) for at in (100, 300, 700)]
    >>> found = run_swap_test(runs)
    >>> found.hits, found.expected, round(found.p_value, 3)
    (3, 1.0, 0.167)
    """
    spans = [as_span(run.run_span, "run_span") for run in runs]
    windows = [as_span(run.window, "window") for run in runs]
    if len(runs) < 2:
        raise InputError(f"runs: got {len(runs)}; swapping needs at least 2")
    for name, given in (("run_span", spans), ("window", windows)):
        differing = next((k for k, one in enumerate(given) if one != given[0]), None)
        if differing is not None:
            raise InputError(
                f"runs: run 0 has {name} {given[0]} and run {differing} has {given[differing]}; only runs of the same "
                "length and evaluation schedule can be swapped"
            )
    if resamples < 1:
        raise InputError(f"resamples: got {resamples}; give at least 1")
    jump = [as_steps(run.jumps, "step", "jumps", *spans[0]) for run in runs]
    transition = [np.unique(as_steps(run.transitions, "transition", "transitions", *spans[0])) for run in runs]
    hits = _hits(jump, transition, windows[0])
    exact = len(runs) <= ENUMERATED
    totals = _all_totals(hits) if exact else _drawn_totals(hits, resamples, seed)
    own = int(hits.trace())
    most = int(hits[linear_sum_assignment(hits, maximize=True)].sum())
    silent = not any(map(len, jump)) or not any(map(len, transition))

    def share(least: int) -> float:
        return float(((totals >= least).sum() + (not exact)) / (len(totals) + (not exact)))

    return RunSwap(
        own,
        float(hits.sum() / len(runs)),
        None if silent else share(own),
        None if silent else share(most),
        len(runs),
        len(totals),
        exact,
    )


def _hits(jump: list[FloatArray], transition: list[FloatArray], window: tuple[float, float]) -> Counts:
    """Count the jumps of each run (columns) near the transitions of each run (rows)."""
    every = np.concatenate(jump)
    run = np.repeat(np.arange(len(jump)), [len(own) for own in jump])
    hits = np.empty((len(transition), len(jump)), dtype=np.int32)
    for row, own in zip(hits, transition, strict=True):
        row[:] = np.bincount(run, hits_near(every[:, None], own, window), len(jump))
    return hits


def _all_totals(hits: Counts) -> Counts:
    order = np.array(list(permutations(range(len(hits)))))
    return np.asarray(hits[np.arange(len(hits)), order].sum(axis=1))


def _drawn_totals(hits: Counts, resamples: int, seed: int) -> Counts:
    """Return the hits under random permutations, drawn one after the other so that memory stays small."""
    random, runs = np.random.default_rng(seed), np.arange(len(hits))
    return np.array([hits[runs, random.permutation(runs)].sum() for _ in range(resamples)])
