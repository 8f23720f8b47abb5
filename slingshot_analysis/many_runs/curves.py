"""Curves of many runs: thinned in each run, so that thousands fit into memory, and summarized over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slingshot_analysis.analysis.signals import LOSSES, NORMS, Signals, chosen_norm, first_of
from slingshot_analysis.canonical import only
from slingshot_analysis.signal import Signal

Array = npt.NDArray[np.float64]

POINTS = 400
"""Largest number of points of a thinned curve."""


@dataclass(frozen=True, eq=False)
class Band:
    """Median and quartiles of the curves of several runs.

    Parameters
    ----------
    step : (n,) float array, updates
        Evenly spaced from the first to the last step of all runs.
    median, low, high : (n,) float array
        Median and quartiles over the runs that were measured at that step.
    """

    step: Array
    median: Array
    low: Array
    high: Array


def thin_curves(run: Signals) -> dict[str, Signal]:
    """Return the curves of a run that figures over seeds need, each of at most 400 points.

    Parameters
    ----------
    run : Trace or mapping of str to Signal
        Signals by canonical name.

    Returns
    -------
    dict of str to Signal
        ``norm``, ``loss`` and ``val_accuracy``, if they were logged; each has the name of its signal.
    """
    loss, accuracy = first_of(LOSSES, run), first_of(["val_accuracy"], run)
    signals = {
        "norm": (first_of(NORMS, run), chosen_norm(run)),
        "loss": (loss, run[loss] if loss else None),
        "val_accuracy": (accuracy, run[accuracy] if accuracy else None),
    }
    found = {}
    for curve, (name, signal) in signals.items():
        if name is not None and signal is not None and signal.value.ndim == 1:
            step, value = thin(signal.step, signal.value, highest=curve == "loss")
            if len(step):
                found[curve] = Signal(step, value, name, signal.unit)
    return found


def thin(
    step: npt.ArrayLike, value: npt.ArrayLike, points: int = POINTS, *, highest: bool = False
) -> tuple[Array, Array]:
    """Thin a curve: divide the run into equal parts, and take one point from each.

    Parameters
    ----------
    step, value : (n,) array_like
        The curve; rows that are not finite are dropped.
    points : int, optional
        Number of parts.
    highest : bool, optional
        Take the highest value of each part instead of the mean, so that no spike is lost.

    Returns
    -------
    step, value : (m,) float array
        At most `points`, by increasing step, each at the first step of its part; all rows if there are no more.

    Examples
    --------
    >>> step, value = thin(np.arange(1000), np.arange(1000) == 577, points=4, highest=True)
    >>> step.tolist(), value.tolist()
    ([0.0, 250.0, 500.0, 750.0], [0.0, 0.0, 1.0, 0.0])
    """
    x, y = np.asarray(step, dtype=np.float64), np.asarray(value, dtype=np.float64)
    x, y = only(np.isfinite(y), x, y)
    if (x[1:] < x[:-1]).any():
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    if len(x) <= points:
        return x, y
    starts = np.unique(np.searchsorted(x, np.linspace(x[0], x[-1], points + 1)[:-1]))
    if highest:
        return x[starts], np.maximum.reduceat(y, starts)
    return x[starts], np.add.reduceat(y, starts) / np.diff(np.append(starts, len(y)))


def band(curves: Sequence[Signal], *, logarithmic: bool = False, points: int = POINTS) -> Band:
    """Return median and quartiles, at each step, of the curves of several runs.

    Parameters
    ----------
    curves : sequence of Signal
        One for each run, with scalar values.
    logarithmic : bool, optional
        Interpolate logarithms; values that are not positive count as not measured.
    points : int, optional
        Number of points of the common step axis.

    Returns
    -------
    Band
        Empty if no curve has a point.

    Examples
    --------
    >>> joined = band([Signal([0, 10], [1.0, 3.0]), Signal([0, 10], [2.0, 2.0]), Signal([0, 5], [9.0, 9.0])], points=3)
    >>> joined.step.tolist(), joined.median.tolist()
    ([0.0, 5.0, 10.0], [2.0, 2.0, 2.5])
    """
    lines = []
    for curve in curves:
        x, y = curve.step.astype(np.float64), curve.value.astype(np.float64)
        shown = y > 0 if logarithmic else np.isfinite(y)
        if shown.any():
            lines.append((x[shown], np.log(y[shown]) if logarithmic else y[shown]))
    if not lines:
        return Band(*(np.empty(0) for _ in range(4)))
    grid = np.linspace(min(x[0] for x, _ in lines), max(x[-1] for x, _ in lines), points)
    on_grid = np.stack([np.interp(grid, x, y, left=np.nan, right=np.nan) for x, y in lines])
    measured = np.isfinite(on_grid).any(axis=0)
    median, low, high = np.nanquantile(on_grid[:, measured], [0.5, 0.25, 0.75], axis=0)
    if logarithmic:
        median, low, high = np.exp(median), np.exp(low), np.exp(high)
    return Band(grid[measured], median, low, high)
