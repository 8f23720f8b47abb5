"""Two small figures of the slingshots of a run: signals aligned at their transitions, and the order of events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.analysis.signals import LOSSES, chosen_norm, first_of
from slingshot_analysis.association import EventOrder
from slingshot_analysis.canonical import canonical, only
from slingshot_analysis.report._words import count_of, lag_words, step_words
from slingshot_analysis.report.page.svg import Axis, path
from slingshot_analysis.signal import Signal

Array = npt.NDArray[np.float64]

DRAWN = 8
"""Largest number of transitions that are drawn one by one; the average is over all."""
POINTS = 128
"""Points of a curve."""
CLOSE_ROWS = 64
"""Rows on either side of a transition at which the loss is shown, as many as the flight recorder keeps."""
REACH = 1.3
"""Extent of the other curves, in typical lengths of growth."""
SHORTEST_SHARE = 0.01
"""Smallest extent, as a share of the run."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 190, 52, 8, 10, 26


@dataclass(frozen=True, eq=False)
class Aligned:
    """A signal around the transitions of a run.

    Parameters
    ----------
    title, unit : str
        What it is.
    is_log : bool
        Whether `curves` and `average` are natural logarithms.
    lag : (n,) float array, updates
        Lag behind the transition.
    curves : (m, n) float array
        Of up to 8 transitions; NaN where there is no measurement.
    average : (n,) float array
        Over all of them.
    events : int
        Their number.
    """

    title: str
    unit: str
    is_log: bool
    lag: Array
    curves: Array
    average: Array
    events: int


def align(analysis: Analysis, signals: Mapping[str, Signal]) -> list[Aligned]:
    """Return norm, loss and validation accuracy around the transitions of a run, as far as they were recorded."""
    at = [float(found.transition) for found in analysis.certain]
    if not at:
        return []
    span = float(analysis.steps[1] - analysis.steps[0])
    growths = [s.transition - s.growth_start for s in analysis.certain if s.growth_start is not None]
    wide = max(REACH * float(np.median(growths)) if growths else 0.0, SHORTEST_SHARE * span)
    loss, norm = first_of(LOSSES, signals), chosen_norm(signals)
    found = []
    if norm is not None:
        found.append(_aligned(norm, "Norm", "times its first value", at, wide, relative=True))
    if loss is not None:
        found.append(_aligned(signals[loss], "Loss, close up", "nat", at, None, is_log=True))
    if "val_accuracy" in signals:
        found.append(_aligned(signals["val_accuracy"], "Validation accuracy", "share", at, wide))
    return [one for one in found if one is not None]


def _aligned(
    signal: Signal,
    title: str,
    unit: str,
    at: list[float],
    reach: float | None,
    *,
    is_log: bool = False,
    relative: bool = False,
) -> Aligned | None:
    """Interpolate a signal at the same lags behind each transition; the ends of the run leave curves short."""
    step, value = canonical(signal.step, signal.value, signal.name)
    if is_log:
        step, value = only(value > 0, step, value)
        value = np.log(value)
    if len(step) < 2:
        return None
    if reach is None:
        reach = CLOSE_ROWS * float(np.median(np.diff(step)))
    lag = np.linspace(-reach, reach, POINTS + 1)
    curves = np.stack([np.interp(event + lag, step, value, left=np.nan, right=np.nan) for event in at])
    curves = curves[np.isfinite(curves).any(axis=1)]
    if not len(curves):
        return None
    if relative:
        curves = curves / curves[np.arange(len(curves)), np.isfinite(curves).argmax(axis=1)][:, None]
    measured = np.isfinite(curves).any(axis=0)
    average = np.full(len(lag), np.nan)
    average[measured] = np.nanmean(curves[:, measured], axis=0)
    return Aligned(title, unit, is_log, lag, curves[:DRAWN], average, len(curves))


def aligned_context(found: Aligned) -> dict[str, Any]:
    """Return what the template of an aligned figure names."""
    shown = [np.exp(curve) if found.is_log else curve for curve in (*found.curves, found.average)]
    values = np.concatenate(shown)
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if found.is_log:
        low, high = low / 1.5, high * 1.5
    else:
        room = 0.06 * (high - low or abs(high) or 1.0)
        low, high = low - room, high + room
    x = Axis(float(found.lag[0]), float(found.lag[-1]), LEFT, WIDTH - RIGHT)
    y = Axis(low, high, HEIGHT - BOTTOM, TOP, "log" if found.is_log else "linear")
    return {
        "title": found.title,
        "unit": found.unit,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": HEIGHT - BOTTOM,
        "top": TOP,
        "x_ticks": [(place, _lag_tick(words)) for place, words in x.ticks(4)],
        "y_ticks": y.ticks(4),
        "zero": round(float(x.at(0)), 1),
        "curves": [path(x.at(found.lag), y.at(curve)) for curve in shown[:-1]],
        "average": path(x.at(found.lag), y.at(shown[-1])),
        "name": f"{found.title} around {count_of(found.events, 'transition')}, with the average",
    }


def _lag_tick(words: str) -> str:
    return words if words == "0" or words.startswith("-") else f"+{words}"


ROW, NAMES = 26, 210
ORDER_WIDTH = 720


def order_context(orders: tuple[EventOrder, ...]) -> dict[str, Any] | None:
    """Return what the template of the order of events names; None where only the transition is known."""
    lags: dict[str, list[tuple[int, float]]] = {}
    for number, order in enumerate(orders, start=1):
        for name, lag in order.lags.items():
            lags.setdefault(name, []).append((number, float(lag)))
    if len(lags) < 2:
        return None
    medians = {name: float(np.median([lag for _, lag in own])) for name, own in lags.items()}
    names = sorted(lags, key=lambda name: medians[name])
    every = [lag for own in lags.values() for _, lag in own]
    bottom = TOP + ROW * len(names)
    x = Axis(min(-1.0, *every) * 1.3, max(1.0, *every) * 1.3, NAMES, ORDER_WIDTH - 20, "symlog")
    rows = [
        {
            "name": name.replace("_", " "),
            "y": TOP + ROW * (place + 0.5),
            "median": round(float(x.at(medians[name])), 1),
            "words": lag_words(round(medians[name], 1)),
            "dots": [
                (
                    round(float(x.at(lag)), 1),
                    f"slingshot {number}, at {step_words(orders[number - 1].transition)}: {lag_words(lag)}",
                )
                for number, lag in lags[name]
            ],
        }
        for place, name in enumerate(names)
    ]
    listed = "; ".join(f"{row['name']} {row['words']}" for row in rows)
    return {
        "rows": rows,
        "width": ORDER_WIDTH,
        "height": bottom + BOTTOM,
        "bottom": bottom,
        "top": TOP,
        "names": NAMES,
        "zero": round(float(x.at(0)), 1),
        "x_ticks": x.ticks(8),
        "count": len(orders),
        "name": f"Order of events, median lag behind the transition in updates: {listed}",
    }
