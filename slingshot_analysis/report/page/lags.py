"""The figure of lags against chance: how far jumps of the validation accuracy stand behind transitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.association import Estimate
from slingshot_analysis.many_runs import Comparison, run_events
from slingshot_analysis.report._words import count_of, lag_words
from slingshot_analysis.report.page.svg import Axis, path

Array = npt.NDArray[np.float64]

BINS = 25
"""Number of bars."""
SAMPLES = 400
"""Places of a jump in its cycle from which the distribution by chance is computed."""

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640, 230, 44, 12, 30


def lags_context(analyses: Sequence[Analysis], found: Comparison) -> dict[str, Any] | None:
    """Return what the template of the lags names; None without jumps in runs with transitions."""
    lags: list[float] = []
    chance: list[Array] = []
    for analysis in analyses:
        events = run_events(analysis)
        if len(events.jumps) and len(events.transitions):
            lags += analysis.association.lags
            chance += [by_chance(jump, events.transitions, events.run_span) for jump in events.jumps]
    if not lags:
        return None
    expected = np.concatenate(chance)
    reach = float(max(np.abs(lags).max(), np.quantile(np.abs(expected), 0.99), 1))
    x = Axis(-1.2 * reach, 1.2 * reach, LEFT, WIDTH - 10, "symlog")
    edges = np.linspace(LEFT, WIDTH - 10, BINS + 1)
    counts = np.histogram(x.at(lags), edges)[0]
    by_luck = np.histogram(x.at(expected), edges)[0] / SAMPLES
    y = Axis(0, 1.1 * max(counts.max(), by_luck.max(), 1), HEIGHT - BOTTOM, TOP)
    bars = [
        (round(left + 1, 1), round(float(y.at(count)), 1), round(right - left - 2, 1), int(count))
        for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True)
        if count
    ]
    tallest = max(bars, key=lambda bar: bar[3])
    lags_found = found.lags
    highest = int(by_luck.argmax())
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - 10,
        "top": TOP,
        "bottom": HEIGHT - BOTTOM,
        "x_ticks": x.ticks(8),
        "y_ticks": [tick for tick in y.ticks(4) if "." not in tick[1]],
        "bars": bars,
        "tallest": (round(tallest[0] + tallest[2] / 2, 1), tallest[1] - 5),
        "jumps": count_of(len(lags), "jump") if len(bars) == 1 else "jumps",
        "chance": path(np.repeat(edges, 2)[1:-1], y.at(np.repeat(by_luck, 2))),
        "chance_label": (
            round(float(edges[highest : highest + 2].mean()), 1),
            round(float(y.at(by_luck[highest])) - 6, 1),
        ),
        "zero": round(float(x.at(0)), 1),
        "name": f"Lags of {count_of(len(lags), 'jump')} behind their nearest transitions, against those by chance",
        "estimates": [
            _words("The median lag", lags_found.median_lag, lag_words, " steps"),
            _words(
                "The share of jumps near a transition, minus that by chance,",
                lags_found.rate_difference,
                lambda share: f"{100 * share:.0f}",
                " percentage points",
            ),
            _words("The ratio of the two", lags_found.rate_ratio, lambda ratio: f"{ratio:.3g}"),
        ],
    }


def by_chance(jump: float, transitions: Sequence[float], span: tuple[float, float]) -> Array:
    """Return lags of jumps that are spread evenly over the cycle of one jump, behind their nearest transitions.

    Parameters
    ----------
    jump : float, updates
        Where it is.
    transitions : sequence of float, updates
        Of the run.
    span : (float, float), updates
        First and last step.

    Returns
    -------
    (400,) float array, updates

    Examples
    --------
    >>> lags = by_chance(150, [100, 200], (0, 1000))
    >>> float(lags.min()), float(lags.max())
    (-49.875, 49.875)
    """
    at = np.sort(np.asarray(transitions, dtype=np.float64))
    bounds = np.concatenate([[span[0]], at, [span[1]]])
    cycle = int(np.clip(np.searchsorted(at, jump, side="right"), 0, len(at)))
    low, high = bounds[cycle], bounds[cycle + 1]
    places = low + (np.arange(SAMPLES) + 0.5) / SAMPLES * (high - low)
    distances = places[:, None] - at
    return np.asarray(distances[np.arange(SAMPLES), np.abs(distances).argmin(axis=1)])


def _words(what: str, found: Estimate, words: Callable[[float], str], unit: str = "") -> str:
    if found.value is None:
        return f"{what} is not known: {found.reason}."
    interval = "" if found.interval is None else f" (95% interval {' to '.join(map(words, found.interval))})"
    return f"{what} is {words(found.value)}{unit}{interval}."
