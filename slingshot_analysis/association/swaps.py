"""A check of the association test: jumps of one run are compared with transitions of other runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.association._steps import FloatArray, as_span, as_steps, hits_near
from slingshot_analysis.errors import InputError

Counts = npt.NDArray[np.integer[Any]]

MAXIMUM_ENUMERATED = 7
"""Maximum number of runs for which all permutations are enumerated; more runs are sampled."""


@dataclass(frozen=True)
class RunEvents:
    """The events of one run, as input of `run_swap_test`.

    Parameters
    ----------
    jumps, transitions : array_like, updates
        Steps, or `AccuracyJump` and `Slingshot` objects.
    window : (float, float), updates
        Smallest and largest lag behind a transition that counts as near.
    run_span : (float, float), updates
        First and last step of the run.
    """

    jumps: Sequence[Any]
    transitions: Sequence[Any]
    window: tuple[float, float]
    run_span: tuple[float, float]


@dataclass(frozen=True)
class RunSwap:
    """Number of jumps near transitions of their own run, and of other runs.

    Parameters
    ----------
    hits : int
        Number of jumps near a transition of their own run, summed over runs.
    expected : float
        Mean number of hits over all permutations of the runs.
    p_value : float or None
        Fraction of the permutations that give at least as many hits; None without jumps or without transitions.
    smallest_p : float or None
        Fraction of the permutations that give the most hits, which is the smallest p-value that these runs can reach.
    runs, permutations : int
        Number of runs, and of permutations evaluated.
    exact : bool
        Whether all permutations were evaluated. Otherwise they are a random sample of n, and a fraction is
        (k + 1) / (n + 1), where k of them qualify.
    """

    hits: int
    expected: float
    p_value: float | None
    smallest_p: float | None
    runs: int
    permutations: int
    exact: bool


def run_swap_test(runs: Sequence[RunEvents], *, resamples: int = 2000, seed: int = 0) -> RunSwap:
    """Test the association of jumps with transitions by permuting the runs.

    If jumps only follow the training schedule, the jumps of another run lie as near to the transitions of this run as
    its own. The test evaluates all permutations of up to 7 runs, and a random sample for more.

    Parameters
    ----------
    runs : sequence of RunEvents
        Two or more runs with the same span and window, that is, of equal length and evaluation schedule.
    resamples : int, optional
        Number of random permutations, for more than 7 runs.
    seed : int, optional
        Seed of the random permutations.

    Returns
    -------
    RunSwap
        Hits, expectation, p-value, and the smallest p-value possible.

    Raises
    ------
    InputError
        If there are fewer than two runs, or their spans or windows differ.

    References
    ----------
    .. [1] eLife RP103703, doi:10.7554/eLife.103703: permutation tests that swap trials, with few replicates.

    Examples
    --------
    >>> runs = [RunEvents([at + 5], [at], (0, 10), (0, 1000)) for at in (100, 300, 700)]
    >>> found = run_swap_test(runs)
    >>> found.hits, found.expected, round(found.p_value, 3)
    (3, 1.0, 0.167)
    """
    from scipy.optimize import linear_sum_assignment

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
    exact = len(runs) <= MAXIMUM_ENUMERATED
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
    """Return the hits under random permutations. Drawing them one by one limits memory."""
    random, runs = np.random.default_rng(seed), np.arange(len(hits))
    return np.array([hits[runs, random.permutation(runs)].sum() for _ in range(resamples)])
