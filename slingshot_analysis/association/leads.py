"""Which signals move before spikes, by how much and how early, against random times of the same run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any, Literal

import numpy as np

from slingshot_analysis.association._steps import FloatArray, as_steps
from slingshot_analysis.association._windows import (
    DRAWS,
    Random,
    Windows,
    default_window,
    deviations,
    measure,
    shortest_window,
)
from slingshot_analysis.canonical import Samples, as_step, canonical, step_and_value
from slingshot_analysis.errors import InputError

Direction = Literal["up", "down", "mixed"]
Finding = Literal["moves", "flat", "undecided", "not measured"]

MOVED = 4.0
"""Minimum distance of a movement from the level, in deviations. Normal noise gets that far in one window of 250."""
UNDER_WAY = 2.5
"""A movement has begun when the signal stays further from its level than this, in deviations, up to its extreme."""
SAME_DIRECTION = 0.75
"""Minimum share of the movements in one direction that gives the signal a direction."""
FLAT_SHARE = 0.1
"""Maximum share of the spikes before which a flat signal may move by chance."""
LEVEL = 0.05
"""Probability of a false alarm in a run, over all signals."""


@dataclass(frozen=True)
class Movement:
    """One signal before one spike.

    Parameters
    ----------
    event : int, updates
        Onset of the spike.
    moved : bool
        Whether the signal left its range.
    level, noise : float, in the unit of the signal
        The level is the median of the stretch before the window. The noise is a robust standard deviation: that of the
        values in earlier stretches, each about the median of the stretch before it.
    extreme : float, in the unit of the signal
        Value in the window that lies furthest from the level.
    deviations : float
        Its distance from the level divided by the noise, signed, at most 1000.
    ratio : float or None
        Extreme divided by level; None unless both are finite and of one sign.
    lead : int or None, updates
        Steps from the onset of the movement to that of the spike; None if the signal did not move.
    """

    event: int
    moved: bool
    level: float
    noise: float
    extreme: float
    deviations: float
    ratio: float | None
    lead: int | None


@dataclass(frozen=True)
class SignalLead:
    """One signal before all spikes of a run.

    Parameters
    ----------
    name : str
        Name of the signal; for one with axes followed by the label, as in ``norm[0.weight]``.
    finding : {"moves", "flat", "undecided", "not measured"}
        *moves*: `p_adjusted` is at most 0.05. *flat*: a movement as large as its level, such as a doubling, would
        have counted before each spike, and the signal moved before at most a tenth of them. *not measured*: no spike
        has enough rows before it, or there are no random times. *undecided*: none of these.
    direction : {"up", "down", "mixed"} or None
        Direction of at least three quarters of the movements; None without movements.
    deviations, ratio : float or None
        Medians over the movements, of the distance from the level (without sign) and of `Movement.ratio`.
    lead : float or None, updates
        Median lead of the movements.
    lead_range : (int, int) or None, updates
        Shortest and longest lead.
    moved, events : int
        Number of spikes before which it moved, and before which it was measured.
    window : float, updates
        Length of the window before a spike.
    random_moved, random_times : int
        Number of random times before which it moved, and before which it was measured.
    p_value : float or None
        Probability that as many random times have as large movements before them; None if it was not measured.
    p_adjusted : float or None
        The p-value corrected for the number of signals by Holm's method.
    smallest_p : float or None
        Smallest p-value that these numbers of spikes and random times can reach.
    visible_ratio : float or None
        Median over spikes of the smallest ratio to the level that would have counted as a movement upwards; None
        where the level is not positive.
    movements : tuple of Movement
        One for each spike before which it was measured.
    """

    name: str
    finding: Finding
    direction: Direction | None
    deviations: float | None
    ratio: float | None
    lead: float | None
    lead_range: tuple[int, int] | None
    moved: int
    events: int
    window: float
    random_moved: int
    random_times: int
    p_value: float | None
    p_adjusted: float | None
    smallest_p: float | None
    visible_ratio: float | None
    movements: tuple[Movement, ...]


def signals_before(
    events: Sequence[Any],
    signals: Mapping[str, Any],
    *,
    loss: Any = None,
    before: float | None = None,
    seed: int = 0,
) -> list[SignalLead]:
    """Tell which signals move before spikes, and with what lead.

    A signal moves if it leaves its recent range: in the window before the spike it gets four deviations or more away
    from its level, the median of the stretch of the same length before the window. A deviation is how far values of
    earlier stretches lie from the median of the stretch before theirs. Drift, a trend and slow noise thus widen the
    range, as they should. The same measure at random times of the run, one in each window's length, says what is
    chance. The test ranks the n windows, of spikes and of random times, by the size of their movements. The statistic
    is the sum of −log(rank / n) over the spikes, without those before which the signal does not move. It is compared
    with that of random choices of as many windows.

    Spikes within three windows after another one are left out, and random times there and in the window before a
    spike, because a spike moves most signals.

    Parameters
    ----------
    events : (m,) array_like, updates
        Onsets of the spikes, or events that have `start`. A movement counts if it begins before.
    signals : mapping of str to Signal or (step, value)
        What was logged beside the loss, each at a cadence of its own; each label of a signal with axes counts as one.
        NaN counts as missing.
    loss : Signal or (step, value), optional
        The loss that spikes. A spike then begins where the loss leaves its own range, by the same measure, because a
        start that is found late makes all that moves with the loss look early.
    before : float, optional, updates
        Length of the window. By default it is 64 rows of the signal that has most, but at most 1/40 of the run. It is
        also at most a fifth of a distance: the one that five of the spikes, or half of them, keep from the spike
        before. A signal that has fewer than five rows in the window gets a longer one. For a signal whose gaps keep it
        from a p-value of 0.05 it is halved until they do not.
    seed : int, optional
        Seed of the random times and choices.

    Returns
    -------
    list of SignalLead
        In the order of the p-values, and where these are equal, of the leads, longest first.

    Raises
    ------
    InputError
        If a signal or `events` can't be read, or `before` is not positive.

    References
    ----------
    .. [1] I. R. Savage, Contributions to the theory of rank order statistics: the two-sample case, Annals of
       Mathematical Statistics 27, 1956: exponential scores.
    .. [2] S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    .. [3] R. E. Tarone, A modified Bonferroni method for discrete data, Biometrics 46, 1990: what can't reject does not
       count.

    Examples
    --------
    >>> step = np.arange(4000)
    >>> noise = np.random.default_rng(0).normal(1.0, 0.05, (2, 4000))
    >>> spikes = [1000, 1900, 3100]
    >>> doubled = np.isin(step, np.add.outer(spikes, np.arange(-12, 0)))
    >>> found = signals_before(spikes, {"second moment": (step, noise[0]), "update": (step, noise[1] * (1 + doubled))})
    >>> [(one.name, one.finding, one.lead, one.moved) for one in found]
    [('update', 'moves', 12.0, 3), ('second moment', 'flat', None, 0)]
    """
    if before is not None and not (np.isfinite(before) and before > 0):
        raise InputError(f"before: got {before}; give a positive number of updates")
    starts = np.unique(as_steps(events, "start", "events", -np.inf, np.inf))
    columns = {name: samples for given in signals.items() for name, samples in _columns(*given)}
    window = default_window(columns.values(), starts) if before is None else float(before)
    if loss is not None:
        starts = _onsets(canonical(*step_and_value(loss, "loss"), "loss"), starts, window, Random(seed))
    random = Random(seed)
    leads = [_signal_lead(name, samples, starts, window, random) for name, samples in columns.items()]
    return sorted(
        _adjusted(leads), key=lambda one: (one.p_value is None, one.p_value or 0.0, -(one.lead or 0.0), one.name)
    )


def _columns(name: str, signal: Any) -> Iterator[tuple[str, Samples]]:
    """Yield the signal in canonical form, or each label of a signal with axes."""
    axes = getattr(signal, "axes", ())
    if not axes:
        yield name, canonical(*step_and_value(signal, name), name)
        return
    for label in axes[0].labels:
        yield from _columns(f"{name}[{label}]", signal.select(**{axes[0].name: label}))


def _signal_lead(name: str, samples: Samples, starts: FloatArray, window: float, random: Random) -> SignalLead:
    window, seen = _fitting(samples, starts, window, random)
    events, n = seen.events, len(seen.size)
    movements = _movements(samples, seen, window)
    moving = [one for one in movements if one.moved]
    leads = [one.lead for one in moving if one.lead is not None]
    measured = 0 < events < n
    visible = all(MOVED * one.noise <= abs(one.level) for one in movements)
    flat = visible and len(moving) <= FLAT_SHARE * events
    return SignalLead(
        name=name,
        finding="not measured" if not measured else "flat" if flat else "undecided",
        direction=_direction(moving),
        deviations=_median([abs(one.deviations) for one in moving]),
        ratio=_median([one.ratio for one in moving if one.ratio is not None]),
        lead=_median(leads),
        lead_range=(min(leads), max(leads)) if leads else None,
        moved=len(moving),
        events=events,
        window=window,
        random_moved=int((seen.size[events:] >= MOVED).sum()),
        random_times=n - events,
        p_value=_p_value(seen.size, events, random) if measured else None,
        p_adjusted=None,
        smallest_p=_smallest_p(seen) if measured else None,
        visible_ratio=_median([1 + MOVED * one.noise / one.level for one in movements if one.level > 0]),
        movements=movements,
    )


def _fitting(samples: Samples, starts: FloatArray, window: float, random: Random) -> tuple[float, Windows]:
    """Return the window and what the signal shows in it. The window is halved while the p-value can't reach the level.

    A signal of fewer than two rows has no window.
    """
    shortest = shortest_window(samples)
    window = max(window, shortest) if shortest else 0.0
    while True:
        seen = measure(samples, starts, window, random)
        if window <= shortest or _smallest_p(seen) <= LEVEL:
            return window, seen
        window = max(window / 2, shortest)


def _onsets(loss: Samples, starts: FloatArray, window: float, random: Random) -> FloatArray:
    """Return for each spike the step from which on the loss stays above its range up to the start."""
    _, seen = _fitting(loss, starts, window, random)
    spikes = slice(seen.events)
    above = deviations(loss.value[seen.row] - seen.level[:, None], seen.noise[:, None])[spikes] >= UNDER_WAY
    rows = np.where(above, 0, np.arange(1, above.shape[1] + 1)).max(axis=1, initial=0)
    late = rows < above.shape[1]
    onset = dict(zip(seen.before[spikes][late], loss.step[seen.row[spikes][late, rows[late]]], strict=True))
    return np.unique([onset.get(start, start) for start in starts])


def _movements(samples: Samples, seen: Windows, window: float) -> tuple[Movement, ...]:
    """Describe the window before each spike: its extreme, and the onset of the movement that reaches it."""
    spikes = slice(seen.events)
    row, level, noise, before = seen.row[spikes], seen.level[spikes], seen.noise[spikes], seen.before[spikes]
    step, value = samples.step[row], samples.value[row]
    column = np.arange(row.shape[1])
    with np.errstate(over="ignore"):
        away = deviations(value - level[:, None], noise[:, None])
    # The extreme lies within the window, the onset perhaps before: in the first row from which the signal stays away.
    inside = (column >= len(column) // 2) & (step >= before[:, None] - window)
    extreme = np.where(inside, np.abs(away), -1.0).argmax(axis=1)[:, None]
    height = np.take_along_axis(away, extreme, axis=1)
    resting = (away * np.sign(height) < UNDER_WAY) & (column < extreme)
    onset = np.where(resting, column + 1, 0).max(axis=1, initial=0)[:, None]
    moved = seen.size[spikes] >= MOVED
    lead = before - np.take_along_axis(step, onset, axis=1)[:, 0]
    furthest = np.take_along_axis(value, extreme, axis=1)[:, 0]
    return tuple(
        Movement(
            event=as_step(before[event]),
            moved=bool(moved[event]),
            level=float(level[event]),
            noise=float(noise[event]),
            extreme=float(furthest[event]),
            deviations=float(height[event, 0]),
            ratio=_ratio(float(furthest[event]), float(level[event])),
            lead=as_step(lead[event]) if moved[event] else None,
        )
        for event in range(seen.events)
    )


def _ratio(value: float, level: float) -> float | None:
    ratio = value / level if level else 0.0
    return ratio if 0 < ratio < np.inf else None


def _direction(moving: Sequence[Movement]) -> Direction | None:
    if not moving:
        return None
    up = sum(one.deviations > 0 for one in moving) / len(moving)
    return "up" if up >= SAME_DIRECTION else "down" if up <= 1 - SAME_DIRECTION else "mixed"


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if len(values) else None


def _p_value(size: FloatArray, events: int, random: Random) -> float:
    """Return the probability that a random choice of as many windows shows as large movements as the first ones."""
    n = len(size)
    rank = n - np.searchsorted(np.sort(size), size)
    score = np.where(size >= MOVED, -np.log(rank / n), 0.0)
    observed = score[:events].sum()
    if observed == 0:
        return 1.0
    if events == 1:
        return float(rank[0] / n)
    total = score[random.choices(n, events)].sum(axis=0)
    return float((1 + (total >= observed * (1 - 1e-9)).sum()) / (1 + DRAWS))


def _smallest_p(seen: Windows) -> float:
    n = len(seen.size)
    if seen.events < 2:
        return 1 / n if seen.events else 1.0
    return max(1 / comb(n, seen.events), 1 / (1 + DRAWS))


def _adjusted(leads: Sequence[SignalLead]) -> list[SignalLead]:
    """Return the signals with p-values corrected by Holm's method.

    A signal that moves nowhere can't raise a false alarm, and does not count as a test.
    """
    tested = sorted((one.p_value, place) for place, one in enumerate(leads) if one.p_value is not None and _moves(one))
    corrected, least = {}, 0.0
    for rank, (p_value, place) in enumerate(tested):
        least = corrected[place] = min(1.0, max(least, (len(tested) - rank) * p_value))
    adjusted = []
    for place, one in enumerate(leads):
        p_adjusted = None if one.p_value is None else corrected.get(place, 1.0)
        found = p_adjusted is not None and p_adjusted <= LEVEL
        adjusted.append(replace(one, p_adjusted=p_adjusted, finding="moves" if found else one.finding))
    return adjusted


def _moves(one: SignalLead) -> bool:
    return one.moved + one.random_moved > 0
