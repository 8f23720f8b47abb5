"""Event-triggered averages of a signal."""

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

Normalize = Literal["first", "before"]

MAXIMUM_GAP = 3.0
"""Default of the widest gap to interpolate over, as a multiple of the median distance of two measurements."""


@dataclass(frozen=True, eq=False)
class TriggeredAverage:
    """Average of a signal around events. It is NaN at lags without measurements.

    Parameters
    ----------
    lag : (points,) float array, updates
        Lag behind the event.
    mean : (points,) float array, in the unit of the signal
        Mean over events: of the natural logarithm if `log` is true, of the normalized signal if `normalize` is set.
    standard_error : (points,) float array
        Standard error of the mean; NaN for fewer than two events.
    lower_quartile, upper_quartile : (points,) float array
        Quartiles over events.
    n : (points,) int array
        Number of events that contribute at each lag.
    events : int
        Number of events that contribute at any lag.
    name : str
        Name of the signal.
    log : bool
        Whether logarithms were averaged.
    normalize : {"first", "before"} or None
        What each curve was divided by; with `log`, its logarithm is subtracted.
    max_gap : float, updates
        Widest gap between measurements that was interpolated over.
    """

    lag: FloatArray
    mean: FloatArray
    standard_error: FloatArray
    lower_quartile: FloatArray
    upper_quartile: FloatArray
    n: npt.NDArray[np.int64]
    events: int
    name: str
    log: bool
    normalize: Normalize | None
    max_gap: float

    def __repr__(self) -> str:
        lags = f"lags {self.lag[0]:g} to {self.lag[-1]:g}" if len(self.lag) else "no lags"
        return f"TriggeredAverage({self.name!r}, {self.events} events, {len(self.lag)} points, {lags})"

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

    The signal (with `log`, its logarithm) is interpolated linearly onto the same grid of lags for every event. Events
    near the ends of the run contribute only at lags within the run.

    Parameters
    ----------
    signal : Signal, or (step, value) of shapes (n,) and (n,)
        The measurements. Values that are not finite count as missing; with `log`, so do values <= 0.
    events : (m,) array_like, updates
        Steps, or objects such as `Slingshot` and `AccuracyJump`.
    before, after : float, updates
        Extent of the grid on either side.
    points : int, optional
        Number of lags.
    normalize : {"first", "before"}, optional
        Divide the curve of each event by its first value, or by its mean over negative lags.
    log : bool, optional
        Average natural logarithms, as is appropriate for losses, which span many decades.
    max_gap : float, optional, updates
        Maximum distance of two measurements to interpolate between; by default three times their median distance.

    Returns
    -------
    TriggeredAverage
        The average, with the number of events at each lag.

    Raises
    ------
    InputError
        If the signal is not one-dimensional or has fewer than two rows, or the grid is empty.

    Examples
    --------
    >>> found = event_triggered_average(([0, 10, 20, 30], [1.0, 1.0, 5.0, 3.0]), [10, 20], 10, 10, points=3)
    >>> found.lag, found.mean, found.n
    (array([-10.,   0.,  10.]), array([1., 3., 4.]), array([2, 2, 2]))
    """
    lag = _grid(before, after, points)
    curves, gap = _curves(signal, events, lag, normalize, log, max_gap)
    n = np.isfinite(curves).sum(axis=0)
    mean = _mean(curves)
    squares = np.nansum((curves - mean) ** 2, axis=0)
    variance = np.divide(squares, n - 1, out=np.full(points, np.nan), where=n > 1)
    error = np.sqrt(np.divide(variance, n, out=np.full(points, np.nan), where=n > 1))
    quartiles = np.full((2, points), np.nan)
    quartiles[:, n > 0] = np.nanpercentile(curves[:, n > 0], [25, 75], axis=0) if n.any() else np.nan
    name = str(getattr(signal, "name", ""))
    return TriggeredAverage(lag, mean, error, quartiles[0], quartiles[1], n, len(curves), name, log, normalize, gap)


def _curves(
    signal: Signal | tuple[Any, Any],
    events: Sequence[Any],
    lag: FloatArray,
    normalize: Normalize | None,
    log: bool,
    max_gap: float | None,
) -> tuple[FloatArray, float]:
    """Return one row for each event that has data at some lag, and the widest gap to interpolate over."""
    step, value = _read(signal, log)
    if max_gap is not None and not max_gap > 0:
        raise InputError(f"max_gap: got {max_gap}; give a positive number of updates")
    gap = float(MAXIMUM_GAP * np.median(np.diff(step))) if max_gap is None else float(max_gap)
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
    """Return the value that each curve is normalized by; NaN if there is none."""
    if normalize == "before":
        return _mean(curves[:, lag < 0].T)
    if normalize != "first":
        raise unknown_name("normalize", str(normalize), ["first", "before"])
    first = np.isfinite(curves).argmax(axis=1)
    return np.asarray(curves[np.arange(len(curves)), first])


def _mean(curves: FloatArray) -> FloatArray:
    """Return the mean over the finite rows; NaN without any."""
    number = np.isfinite(curves).sum(axis=0)
    total = np.nansum(curves, axis=0)
    return np.asarray(np.divide(total, number, out=np.full(curves.shape[1], np.nan), where=number > 0))


def _grid(before: float, after: float, points: int) -> FloatArray:
    if not (np.isfinite(before) and np.isfinite(after) and before >= 0 and after >= 0 and before + after > 0):
        raise InputError(f"before, after: got {before} and {after}; give two numbers of updates >= 0, one of them > 0")
    if points < 2:
        raise InputError(f"points: got {points}; give at least 2")
    return np.linspace(-before, after, points)


def _read(signal: Signal | tuple[Any, Any], log: bool) -> tuple[FloatArray, FloatArray]:
    """Return sorted steps without duplicates, and values, which are NaN where missing or without a logarithm."""
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
