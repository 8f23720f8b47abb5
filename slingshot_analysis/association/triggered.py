"""Averages of a signal around events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from slingshot_analysis.association._steps import FloatArray, as_steps
from slingshot_analysis.errors import InputError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from slingshot_analysis.signal import Signal

__all__ = ["TriggeredAverage", "event_triggered_average", "pooled_triggered_average"]

Normalize = Literal["first", "before"]

WIDEST_GAP = 3.0
"""Unless told, interpolate over at most three times the usual distance of two measurements."""


@dataclass(frozen=True, eq=False)
class TriggeredAverage:
    """A signal around events, averaged over events or over runs. Where nothing was measured it is NaN.

    Parameters
    ----------
    lag : (points,) float array, updates
        Behind the event.
    mean : (points,) float array, in the unit of the signal
        Average; of natural logarithms where `log` is set; relative where `normalize` is.
    standard_error : (points,) float array
        Of the mean, by the spread over events or runs; NaN where there are fewer than two.
    lower_quartile, upper_quartile : (points,) float array
        Over events or runs.
    n : (points,) int array
        Events, or runs, that contribute at each lag.
    events, runs : int
        That contribute at any lag.
    name : str
        Of the signal.
    log : bool
        Whether logarithms were averaged.
    normalize : {"first", "before"} or None
        What each curve was divided by; its logarithm subtracted.
    max_gap : float, updates
        Widest gap that was interpolated over.
    """

    lag: FloatArray
    mean: FloatArray
    standard_error: FloatArray
    lower_quartile: FloatArray
    upper_quartile: FloatArray
    n: npt.NDArray[np.int64]
    events: int
    runs: int
    name: str
    log: bool
    normalize: Normalize | None
    max_gap: float

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row for each lag."""
        import pandas as pd

        columns = ("lag", "mean", "standard_error", "lower_quartile", "upper_quartile", "n")
        return pd.DataFrame({name: getattr(self, name) for name in columns})


def event_triggered_average(
    signal: Signal | tuple[Any, Any],
    events: Sequence[Any],
    before: float,
    after: float,
    *,
    points: int = 200,
    normalize: Normalize | None = None,
    log: bool = False,
    max_gap: float | None = None,
) -> TriggeredAverage:
    """Average a signal around events.

    The signal is interpolated linearly (its logarithm, with `log`) on one grid of lags for every event. Events near the
    ends of the run contribute to those lags at which something was measured.

    Parameters
    ----------
    signal : Signal, or (step, value) of shapes (n,) and (n,)
        What was measured; values that are not finite count as not measured, nor do those <= 0 on a log scale.
    events : (m,) array_like, updates
        Steps, or objects such as `Slingshot` and `AccuracyJump`.
    before, after : float, updates
        How far the grid reaches on either side.
    points : int, optional
        Number of lags.
    normalize : {"first", "before"}, optional
        Divide each event's curve by its first value, or by its mean over negative lags.
    log : bool, optional
        Average natural logarithms, as losses need, which span many decades.
    max_gap : float, optional, updates
        Never interpolate between measurements farther apart; three times their median distance if not given.

    Returns
    -------
    TriggeredAverage
        With the number of events at each lag.

    Raises
    ------
    InputError
        If the signal has axes or fewer than two rows, or the grid is empty.

    Examples
    --------
    >>> found = event_triggered_average(([0, 10, 20, 30], [1.0, 1.0, 5.0, 3.0]), [10, 20], 10, 10, points=3)
    >>> found.lag, found.mean, found.n
    (array([-10.,   0.,  10.]), array([1., 3., 4.]), array([2, 2, 2]))
    """
    lag = _grid(before, after, points)
    curves, gap = _curves(signal, events, lag, normalize, log, max_gap)
    return _average(lag, curves, len(curves), 1, str(getattr(signal, "name", "")), log, normalize, gap)


def pooled_triggered_average(
    runs: Sequence[tuple[Signal | tuple[Any, Any], Sequence[Any]]],
    before: float,
    after: float,
    *,
    points: int = 200,
    normalize: Normalize | None = None,
    log: bool = False,
    max_gap: float | None = None,
) -> TriggeredAverage:
    """Average a signal around the events of each run, then over runs, so that each run weighs the same.

    Parameters
    ----------
    runs : sequence of (signal, events)
        As `event_triggered_average` takes them, one pair for each run.
    before, after, points, normalize, log, max_gap
        As there; the widest gap is found for each run if not given.

    Returns
    -------
    TriggeredAverage
        Whose `n`, standard error and quartiles are over runs; `max_gap` is the largest of the runs.

    Raises
    ------
    InputError
        If there is no run, or as `event_triggered_average` does.

    Examples
    --------
    >>> step = [0, 10, 20, 30]
    >>> runs = [((step, [1, 1, 5, 3]), [10, 20]), ((step, [3, 3, 3, 3]), [10])]
    >>> found = pooled_triggered_average(runs, 10, 10, points=3)
    >>> found.mean, found.n, found.events
    (array([2. , 3. , 3.5]), array([2, 2, 2]), 3)
    """
    if not len(runs):
        raise InputError("runs: got none; give a pair of signal and events for each run")
    lag = _grid(before, after, points)
    means, gaps, events = [], [], 0
    for signal, given in runs:
        curves, gap = _curves(signal, given, lag, normalize, log, max_gap)
        gaps.append(gap)
        if len(curves):
            events += len(curves)
            means.append(_mean(curves))
    over_runs = np.array(means).reshape(len(means), points)
    name = str(getattr(runs[0][0], "name", ""))
    return _average(lag, over_runs, events, len(means), name, log, normalize, max(gaps))


def _curves(
    signal: Signal | tuple[Any, Any],
    events: Sequence[Any],
    lag: FloatArray,
    normalize: Normalize | None,
    log: bool,
    max_gap: float | None,
) -> tuple[FloatArray, float]:
    """Return one row for each event that has data at some lag, and the widest gap interpolated over."""
    step, value = _read(signal, log)
    if max_gap is not None and not max_gap > 0:
        raise InputError(f"max_gap: got {max_gap}; give a positive number of updates")
    gap = float(WIDEST_GAP * np.median(np.diff(step))) if max_gap is None else float(max_gap)
    steps = [getattr(event, "transition", getattr(event, "step", getattr(event, "start", event))) for event in events]
    at = as_steps(steps, "", "events", -np.inf, np.inf)[:, None] + lag
    left = np.clip(np.searchsorted(step, at, side="right") - 1, 0, len(step) - 2)
    measured = (at >= step[0]) & (at <= step[-1])
    measured &= (step[left + 1] - step[left] <= gap) | (at == step[left]) | (at == step[left + 1])
    curves = np.where(measured, np.interp(at, step, value), np.nan)
    if normalize is not None:
        base = _base(curves, lag, normalize)[:, None]
        curves = curves - base if log else np.divide(curves, base, out=np.full_like(curves, np.nan), where=base != 0)
    return curves[np.isfinite(curves).any(axis=1)], gap


def _base(curves: FloatArray, lag: FloatArray, normalize: Normalize) -> FloatArray:
    """Return for each curve the value that it is compared with; NaN where there is none."""
    if normalize == "before":
        return _mean(curves[:, lag < 0].T)
    if normalize != "first":
        raise unknown_name("normalize", str(normalize), ["first", "before"])
    first = np.isfinite(curves).argmax(axis=1)
    return np.asarray(curves[np.arange(len(curves)), first])


def _mean(curves: FloatArray) -> FloatArray:
    """Return the mean over rows of what is measured, NaN where nothing is."""
    number = np.isfinite(curves).sum(axis=0)
    total = np.nansum(curves, axis=0)
    return np.asarray(np.divide(total, number, out=np.full(curves.shape[1], np.nan), where=number > 0))


def _average(
    lag: FloatArray,
    curves: FloatArray,
    events: int,
    runs: int,
    name: str,
    log: bool,
    normalize: Normalize | None,
    gap: float,
) -> TriggeredAverage:
    n = np.isfinite(curves).sum(axis=0)
    mean = _mean(curves)
    squares = np.nansum((curves - mean) ** 2, axis=0)
    variance = np.divide(squares, n - 1, out=np.full(len(lag), np.nan), where=n > 1)
    quartiles = np.full((2, len(lag)), np.nan)
    quartiles[:, n > 0] = np.nanpercentile(curves[:, n > 0], [25, 75], axis=0) if n.any() else np.nan
    error = np.sqrt(np.divide(variance, n, out=np.full(len(lag), np.nan), where=n > 1))
    return TriggeredAverage(lag, mean, error, quartiles[0], quartiles[1], n, events, runs, name, log, normalize, gap)


def _grid(before: float, after: float, points: int) -> FloatArray:
    if not (np.isfinite(before) and np.isfinite(after) and before >= 0 and after >= 0 and before + after > 0):
        raise InputError(f"before, after: got {before} and {after}; give two numbers of updates >= 0, one of them > 0")
    if points < 2:
        raise InputError(f"points: got {points}; give at least 2")
    return np.linspace(-before, after, points)


def _read(signal: Signal | tuple[Any, Any], log: bool) -> tuple[FloatArray, FloatArray]:
    """Return steps in order, the last row of each, and values; NaN where not finite, or without a logarithm."""
    given = signal if isinstance(signal, tuple) else (signal.step, signal.value)
    step, value = (np.asarray(part, dtype=np.float64) for part in given)
    if step.ndim != 1 or step.shape != value.shape:
        raise InputError(
            f"signal: step has shape {step.shape} and value {value.shape}; give one number for each step, "
            "and select() a label of a signal with axes"
        )
    if not np.isfinite(step).all():
        raise InputError("signal: a step is not finite; steps count optimizer updates")
    backwards, place = np.unique(step[::-1], return_index=True)
    value = value[::-1][place]
    if len(backwards) < 2:
        raise InputError(f"signal: got {len(backwards)} steps; interpolation needs at least 2")
    kept = np.isfinite(value) & (value > 0) if log else np.isfinite(value)
    value = np.where(kept, value, np.nan)
    return backwards, np.log(value) if log else value
