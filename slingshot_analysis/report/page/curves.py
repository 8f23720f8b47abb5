"""Figures of many runs by configuration: curves with bands over seeds, and dose responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.many_runs import band, by_configuration, dose_response, is_telling, labels_of, numeric_keys
from slingshot_analysis.report._words import count_of
from slingshot_analysis.report.page.svg import Axis, area, path, spread
from slingshot_analysis.signal import Signal

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float64]

MOST_CONFIGURATIONS, MOST_DOSES, MOST_LINES = 12, 6, 3
"""Largest number of configurations with curves, of dose responses, and of lines of one of them."""
POINTS = 150
"""Points of a curve."""
WIDE_RANGE = 20
"""Smallest ratio of the largest to the smallest value for which an axis is logarithmic."""

PANELS = {
    "norm": ("Norm", "Euclidean norm", True),
    "loss": ("Training loss", "nat", True),
    "val_accuracy": ("Validation accuracy", "share", False),
}
"""Title, unit, and whether the axis is logarithmic."""
DOSES = {"share": "Share of runs with slingshots", "best_val_accuracy": "Best validation accuracy, mean"}

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 300, 110, 50, 6, 8, 22
DOSE_WIDTH, DOSE_HEIGHT, DOSE_RIGHT = 460, 210, 16


def bands_context(runs: pd.DataFrame, curves: Sequence[Mapping[str, Signal]]) -> dict[str, Any] | None:
    """Return what the template of the curves by configuration names; None where no run has a curve."""
    names = [name for name in PANELS if any(name in own for own in curves)]
    if not names:
        return None
    labels = labels_of(runs)
    order = by_configuration(runs)["configuration"].tolist()
    members = {label: [i for i, own in enumerate(labels) if own == label] for label in order[:MOST_CONFIGURATIONS]}
    axes = {name: _axis(name, [own[name] for own in curves if name in own]) for name in names}
    last = max(float(own[name].step[-1]) for own in curves for name in names if name in own)
    first = min(float(own[name].step[0]) for own in curves for name in names if name in own)
    x = Axis(first, last, LEFT, WIDTH - RIGHT)
    parts = [
        {
            "label": label,
            "runs": count_of(len(own), "run"),
            "panels": [
                _band(
                    name, [curves[i][name] for i in own if name in curves[i]], x, axes[name], is_last=name == names[-1]
                )
                for name in names
            ],
        }
        for label, own in members.items()
    ]
    return {"parts": parts, "hidden": len(order) - len(parts)}


def _axis(name: str, curves: Sequence[Signal]) -> Axis:
    if name == "val_accuracy":
        return Axis(0, 1.03, HEIGHT - BOTTOM, TOP)
    values = np.concatenate([curve.value.astype(np.float64) for curve in curves])
    values = values[np.isfinite(values) & (values > 0)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.1, 1.0)
    return Axis(low / 1.3, high * 1.3, HEIGHT - BOTTOM, TOP, "log")


def _band(name: str, curves: Sequence[Signal], x: Axis, y: Axis, *, is_last: bool) -> dict[str, Any]:
    title, unit, logarithmic = PANELS[name]
    found = band(curves, logarithmic=logarithmic, points=POINTS)
    at = x.at(found.step)
    return {
        "title": title,
        "unit": unit,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "top": TOP,
        "bottom": HEIGHT - BOTTOM,
        "x_ticks": x.ticks(3) if is_last else [],
        "y_ticks": y.ticks(3),
        "area": area(at, y.at(found.low), y.at(found.high)),
        "median": path(at, y.at(found.median)),
        "name": f"{title}: median and quartiles of {count_of(len(curves), 'run')}",
    }


def dose_contexts(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what the template of each dose response names: of each number that differs between like runs."""
    keys = [key for key in numeric_keys(runs) if is_telling(runs, key)][:MOST_DOSES]
    return [_dose(runs, key) for key in keys]


def _dose(runs: pd.DataFrame, key: str) -> dict[str, Any]:
    table = dose_response(runs, key)
    doses, totals = table.groupby("others")[key].nunique(), table.groupby("others")["runs"].sum()
    shown = totals[doses > 1].sort_values(ascending=False, kind="stable").index[:MOST_LINES].tolist()
    x = _dose_axis(table[key].to_numpy(dtype=np.float64))
    return {
        "key": key,
        "panels": [_dose_panel(table, key, name, shown, x) for name in DOSES if table[name].notna().any()],
        "hidden": int((doses > 1).sum()) - len(shown),
        "runs": int(totals[shown].sum()),
    }


def _dose_axis(values: Array) -> Axis:
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low >= WIDE_RANGE:
        room = (high / low) ** 0.08
        return Axis(low / room, high * room, LEFT, DOSE_WIDTH - DOSE_RIGHT, "log")
    room = 0.08 * (high - low)
    return Axis(low - room, high + room, LEFT, DOSE_WIDTH - DOSE_RIGHT)


def _dose_panel(table: pd.DataFrame, key: str, name: str, shown: Sequence[str], x: Axis) -> dict[str, Any]:
    y = Axis(-0.04, 1.04, DOSE_HEIGHT - BOTTOM, TOP)
    lines: list[dict[str, Any]] = []
    for others in shown:
        part = table[table["others"] == others]
        at, middle = x.at(part[key]), y.at(part[name])
        low, high = y.at(part[f"{name}_low"]), y.at(part[f"{name}_high"])
        lines.append(
            {
                "label": others if len(shown) > 1 else "",
                "path": path(at, middle),
                "points": [
                    (
                        round(float(a), 1),
                        round(float(m), 1),
                        f"{key} = {dose:g}: {value:.2f} ({count_of(int(count), 'run')})",
                    )
                    for a, m, dose, value, count in zip(at, middle, part[key], part[name], part["runs"], strict=True)
                    if np.isfinite(m)
                ],
                "intervals": [
                    (round(float(a), 1), round(float(lo), 1), round(float(hi), 1))
                    for a, lo, hi in zip(at, low, high, strict=True)
                    if np.isfinite(lo + hi)
                ],
                "end": float(middle[np.isfinite(middle)][-1]) if np.isfinite(middle).any() else DOSE_HEIGHT / 2,
            }
        )
    for line, place in zip(lines, spread([line["end"] for line in lines], 15), strict=True):
        line["end"] = round(place, 1)
    return {
        "title": DOSES[name],
        "width": DOSE_WIDTH,
        "height": DOSE_HEIGHT,
        "left": LEFT,
        "right": DOSE_WIDTH - DOSE_RIGHT,
        "top": TOP,
        "bottom": DOSE_HEIGHT - BOTTOM,
        "x_ticks": x.ticks(5),
        "y_ticks": [(round(float(y.at(share)), 1), f"{share:.0%}") for share in (0, 0.5, 1)],
        "lines": lines,
        "name": f"{DOSES[name]} against {key}",
    }
