"""Windows of a signal before spikes and before random times, each beside the stretches before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from slingshot_analysis.association._steps import FloatArray
from slingshot_analysis.canonical import MAD_OF_NORMAL, Samples

WINDOW_ROWS = 64
"""Default length of the window, in rows of the signal that has most. Published leads are 1 to 30 updates."""
WINDOWS_IN_RUN = 40
"""Minimum number of windows that fit into a run. It limits the smallest p-value of a single spike."""
WINDOWS_BETWEEN_SPIKES = 5
"""Windows that must fit between neighbouring spikes: one before the later, three after the earlier, one for chance."""
SPIKES_ENOUGH = 5
"""Minimum number of spikes that must have room for the window before them. Of fewer than ten spikes, half must."""
STRETCHES = 4
"""Number of stretches, each as long as the window, that tell the level and the noise before it."""
SHORTEST_STRETCH = 5
"""Minimum number of rows in a stretch. A median of fewer is hardly robust."""
AFTERMATH = 3
"""Number of windows after a spike in which its consequences would be taken for movements."""
MOST_TIMES = 1000
"""Number of random times for a single spike, which can then reach the p-value 0.001. More spikes need fewer."""
FEWEST_TIMES = 150
"""Number of random times for seven spikes and more."""
DRAWS = 4999
"""Number of random choices of windows. Thirty signals need a p-value below 0.0017, and 100 one below 0.0005."""
MOST_DEVIATIONS = 1000.0
"""Limit of a movement in deviations. What was constant before moves by infinitely many."""
ROUNDING = 1e-6
"""Noise below this fraction of the level counts as rounding in single precision."""
CHANGES_THAT_SHOW_RESOLUTION = 10
"""Minimum number of changes from row to row of which the smallest is taken for the last digit that was logged."""
CADENCE_ROWS = 5000
"""Number of rows, spread over the run, that tell the distance of rows."""


class Windows(NamedTuple):
    """Windows of one signal. Those before spikes come first.

    Parameters
    ----------
    events : int
        Number of windows before spikes.
    before : (n,) float array, updates
        Spike or random time.
    row : (n, 2 * rows) int array
        Rows of the stretch before the window and of the window.
    level, noise : (n,) float array
        As in `Movement`.
    size : (n,) float array
        Largest distance from the level in the window, in deviations.
    """

    events: int
    before: FloatArray
    row: npt.NDArray[np.intp]
    level: FloatArray
    noise: FloatArray
    size: FloatArray


def default_window(signals: Iterable[Samples], starts: FloatArray) -> float:
    """Return the length of the window for all signals of a run, in updates, as `signals_before` states it."""
    most = max((samples.step for samples in signals), key=len, default=np.empty(0))
    if len(most) < 2:
        return 1.0
    window = min(WINDOW_ROWS * _cadence(most), float(most[-1] - most[0]) / WINDOWS_IN_RUN)
    if len(starts) > 1:
        # The first spike has none before it and needs no room.
        roomy = max(min(SPIKES_ENOUGH, (len(starts) + 1) // 2) - 1, 1)
        window = min(window, float(np.sort(np.diff(starts))[-roomy]) / WINDOWS_BETWEEN_SPIKES)
    return window


def shortest_window(samples: Samples) -> float:
    """Return the length of the shortest window that has enough rows of a signal in it."""
    return SHORTEST_STRETCH * _cadence(samples.step) if len(samples.step) > 1 else 0.0


def measure(samples: Samples, starts: FloatArray, window: float, random: Random) -> Windows:
    """Compare the rows before spikes and random times with the stretches before them.

    Times with too few rows before them are left out, and so are times in the aftermath of a spike.
    """
    # The times: spikes outside the aftermath of others, and then random times.
    step, value = samples
    rows = SHORTEST_STRETCH
    times = starts[_count(starts, starts - AFTERMATH * window, starts) == 0]
    events = len(times)
    if len(step) > 1:
        # An odd number of rows has one in the middle.
        rows = int(window / _cadence(step)) // 2 * 2 + 1
        times = np.append(times, random.times(step[0], step[-1], starts, window))

    # The rows before each time: the window, and the stretches before it. Gaps in the log make some span too long.
    total = (STRETCHES + 1) * rows
    end = np.searchsorted(step, times)
    kept = np.flatnonzero(end >= total)
    oldest, newest = step[end[kept] - total], step[end[kept] - 1]
    kept = kept[(newest >= times[kept] - window) & (oldest >= times[kept] - 2 * (STRETCHES + 1) * window)]
    times, row = times[kept], end[kept, None] + np.arange(-total, 0)

    # The level is the median of the stretch before the window. The noise is how far each stretch lies from the level of
    # the one before, at least the last digit of the log.
    stretch = value[row].reshape(len(kept), STRETCHES + 1, rows)
    with np.errstate(invalid="ignore", over="ignore"):
        medians = _middle(stretch[:, :-1])
        level = medians[:, -1]
        drift = np.abs(stretch[:, 1:-1] - medians[:, :-1, None])
        noise = _middle(drift.reshape(len(kept), (STRETCHES - 1) * rows)) / MAD_OF_NORMAL
        if not noise.all():
            noise = np.maximum(noise, _resolution(value))
        noise = np.maximum(noise, ROUNDING * np.abs(level))
        distance = np.abs(stretch[:, -1] - level[:, None])

    # The size of a movement is its largest distance from the level within the window.
    distance[step[row[:, -rows:]] < (times - window)[:, None]] = 0.0
    finite = np.isfinite(level) & np.isfinite(noise)
    level, noise, distance = level[finite], noise[finite], distance[finite]
    before = int((kept[finite] < events).sum())
    size = deviations(distance.max(axis=1), noise)
    return Windows(before, times[finite], row[finite, -2 * rows :], level, noise, size)


def deviations(distance: FloatArray, noise: FloatArray) -> FloatArray:
    """Return distances from the level in deviations, at most 1000. What never changes is nowhere away from it."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        quotient = np.where(distance == 0, 0.0, distance / noise)
    return np.clip(quotient, -MOST_DEVIATIONS, MOST_DEVIATIONS)


class Random:
    """Random times and choices, which signals of the same steps share."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._times: dict[tuple[float, float, float], FloatArray] = {}
        self._choices: dict[tuple[int, int], npt.NDArray[np.intp]] = {}

    def times(self, first: float, last: float, starts: FloatArray, window: float) -> FloatArray:
        """Return a random time in each of the cells, as long as the window, that the run is cut into.

        Those shortly before spikes and in their aftermath are left out. Of the others the nearest to spikes are kept,
        because a run may be restless in one part only.
        """
        key = first, last, window
        if key not in self._times:
            cells = np.arange(int((last - first) / window) if len(starts) else 0)
            times = first + window * (cells + np.random.default_rng(self._seed).random(len(cells)))
            times = times[_count(starts, times - AFTERMATH * window, times + window) == 0]
            most = max(FEWEST_TIMES, MOST_TIMES // max(len(starts), 1))
            if len(times) > most:
                fenced = np.concatenate([[-np.inf], starts, [np.inf]])
                after = np.searchsorted(fenced, times)
                distance = np.minimum(times - fenced[after - 1], fenced[after] - times)
                times = times[np.argpartition(distance, most)[:most]]
            self._times[key] = times
        return self._times[key]

    def choices(self, n: int, k: int) -> npt.NDArray[np.intp]:
        """Return random choices of k of n without repetition, one in each column."""
        if (n, k) not in self._choices:
            random, every = np.random.default_rng(self._seed), np.arange(DRAWS)
            order = np.tile(np.arange(n)[:, None], DRAWS)
            for place in range(k):
                other = random.integers(place, n, DRAWS)
                order[place], order[other, every] = order[other, every], order[place].copy()
            self._choices[n, k] = order[:k]
        return self._choices[n, k]


def _cadence(step: FloatArray) -> float:
    """Return the median distance of rows."""
    some = np.arange(0, len(step) - 1, max(1, len(step) // CADENCE_ROWS))
    return float(np.median(step[some + 1] - step[some]))


def _count(starts: FloatArray, after: FloatArray, until: FloatArray) -> npt.NDArray[np.intp]:
    """Return how many spikes lie in each of the open intervals."""
    return np.searchsorted(starts, until) - np.searchsorted(starts, after, side="right")


def _middle(values: FloatArray) -> FloatArray:
    """Return the medians over the last axis, of odd length."""
    middle = values.shape[-1] // 2
    return np.asarray(np.partition(values, middle, axis=-1)[..., middle])


def _resolution(value: FloatArray) -> float:
    """Return the last digit that was logged, or 0 if too few rows differ to tell."""
    change = np.abs(np.diff(value[np.isfinite(value)]))
    change = change[change > 0]
    return float(change.min()) if len(change) >= CHANGES_THAT_SHOW_RESOLUTION else 0.0
