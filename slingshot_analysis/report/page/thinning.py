"""Thin the signals of a run onto one shared grid, so that no spike of one step is lost.

The grid divides the run into buckets of equal length, of which each signal keeps its lowest and its highest value in
the order in which they occurred. Around events, each row is a bucket of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

NARROWEST, WIDEST = 64, 512
"""Rows on either side of an event that are kept at least, as many as the flight recorder keeps, and at most."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Buckets of a run. A bucket of one row has one place on the step axis of the curves, any other has two.

    Parameters
    ----------
    edges : (n,) float array, updates
        First step of each bucket.
    middles : (n,) float array, updates
        Step of the second place of each bucket; that of the first where there is only one.
    """

    edges: Array
    middles: Array

    @cached_property
    def is_wide(self) -> npt.NDArray[np.bool_]:
        """Which buckets have two places, (n,)."""
        return self.middles > self.edges

    @cached_property
    def first(self) -> Rows:
        """Number of the first place of each bucket, (n,)."""
        return np.arange(len(self.edges)) + np.cumsum(self.is_wide) - self.is_wide

    @cached_property
    def step(self) -> Array:
        """Step of each place, (m,), updates."""
        return np.sort(np.concatenate([self.edges, self.middles[self.is_wide]]))


def shared_grid(step: Array, columns: int, events: Sequence[float] = ()) -> Grid:
    """Return buckets for all signals of a run.

    Parameters
    ----------
    step : (n,) float array, updates
        The steps of all signals, increasing.
    columns : int
        Number of buckets of equal length. As many places again are given to rows around events.
    events : sequence of float, updates
        The most important ones first.

    Examples
    --------
    >>> grid = shared_grid(np.arange(1_000_000.0), columns=1000, events=[123_456])
    >>> len(grid.step), np.isin(np.arange(123_400, 123_500), grid.step).all()
    (3025, np.True_)
    """
    coarse = np.searchsorted(step, np.linspace(step[0], step[-1], columns + 1)[:-1])
    starts = np.union1d(coarse, _around(step, events, 2 * columns))
    ends = np.append(starts[1:], len(step))
    return Grid(step[starts], step[np.where(ends - starts > 1, (starts + ends) // 2, starts)])


def _around(step: Array, events: Sequence[float], budget: int) -> Rows:
    """Return the rows around as many events as the budget allows, and the first row after each window."""
    if not events:
        return np.empty(0, dtype=np.intp)
    reach = int(np.clip(budget // (2 * len(events)), NARROWEST, WIDEST))
    centres = np.searchsorted(step, events[: max(1, budget // (2 * reach))])
    rows = np.unique(centres[:, None] + np.arange(-reach, reach + 2))
    return rows[(rows >= 0) & (rows < len(step))]


def on_grid(grid: Grid, step: Array, value: Array) -> Array:
    """Return the values of a signal at the places of a grid.

    Parameters
    ----------
    grid : Grid
        Its buckets cover all steps.
    step, value : (n,) float array
        The signal, by increasing step.

    Returns
    -------
    (m,) float array
        NaN where the signal has no row, and infinity where it has rows and none is finite.

    Examples
    --------
    >>> step = np.arange(1_000_000.0)
    >>> spike = np.where(step == 777_777, 1.0, 0.0)
    >>> thin = on_grid(shared_grid(step, columns=1000), step, spike)
    >>> len(thin), thin.max()
    (2000, np.float64(1.0))
    """
    begins = np.searchsorted(step, grid.edges)
    counts = np.diff(begins, append=len(step))
    here = np.flatnonzero(counts)
    starts, rows = begins[here], counts[here]
    finite = np.where(np.isfinite(value), value, np.nan)
    low, high = np.fmin.reduceat(finite, starts), np.fmax.reduceat(finite, starts)
    falls = _first_row(finite, high, starts, rows) < _first_row(finite, low, starts, rows)
    low[np.isnan(low)] = high[np.isnan(high)] = np.inf
    places = np.full(len(grid.step), np.nan)
    one, two = grid.first[here], grid.is_wide[here] & (rows > 1)
    places[one] = np.where(two & ~falls, low, high)
    places[one[two] + 1] = np.where(falls, low, high)[two]
    return places


def _first_row(value: Array, wanted: Array, starts: Rows, rows: Rows) -> Rows:
    """Return for each bucket the first row that has the value wanted."""
    found = np.append(np.flatnonzero(value == np.repeat(wanted, rows)), len(value))
    return found[np.searchsorted(found, starts)]
