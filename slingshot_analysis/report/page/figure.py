"""The data of the interactive figure of a run: thinned signals, phases and events, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.analysis.signals import Signals
from slingshot_analysis.canonical import Samples, canonical
from slingshot_analysis.readers import Log
from slingshot_analysis.report.page.events import events_of, resolved_steps
from slingshot_analysis.report.page.packing import packed_steps, packed_values
from slingshot_analysis.report.page.panels import curves_of
from slingshot_analysis.report.page.thinning import Grid, on_grid, shared_grid
from slingshot_analysis.safe_text import printable
from slingshot_analysis.signal import Signal

Array = npt.NDArray[np.float64]

WHOLE = 2
"""A signal of up to this many rows for each bucket is kept as it is."""


def figure_json(analysis: Analysis, signals: Mapping[str, Signal], columns: int, step_words: str = "step") -> str:
    """Return what the script of the page needs to draw a run.

    Parameters
    ----------
    analysis : Analysis
        What was found in the run.
    signals : mapping of str to Signal
        Those of `shown_signals`.
    columns : int
        Number of buckets of equal length into which long signals are thinned.
    step_words : str, optional
        What the steps are.

    Returns
    -------
    str
        JSON without any character that could end a script.
    """
    curves = list(curves_of(signals))
    axes = _Axes(_grid([signal for *_, signal in curves], columns, resolved_steps(analysis)), columns)
    panels: dict[str, dict[str, Any]] = {}
    for panel, title, curve, signal in curves:
        samples = canonical(signal.step, signal.value, signal.name, keep_nan=True)
        if not np.isfinite(samples.value).any():
            continue
        axis, value = axes.place(samples)
        own = panels.setdefault(
            panel.name, {"name": panel.name, "title": title, "unit": panel.unit, "scale": panel.scale, "curves": []}
        )
        if panel.name == "loss" and signal.unit:
            own["unit"] = signal.unit
        if panel.scale == "log" and (samples.value < 0).any():
            own["scale"] = "linear"
        own["curves"].append({"label": curve.label, "pen": curve.pen, "axis": axis, "value": packed_values(value)})
    data = {
        "steps": [float(step) for step in analysis.steps],
        "step_words": step_words,
        "axes": [packed_steps(step) for step in axes.steps],
        "panels": list(panels.values()),
        "phases": [[phase.kind, float(phase.start), float(phase.end)] for phase in analysis.phases],
        "events": [
            {"step": float(event.step), "kind": event.kind, "what": event.what, "weight": round(event.weight, 2)}
            for event in events_of(analysis)
        ],
    }
    return json_in_page(data)


def json_in_page(data: Any) -> str:
    """Return JSON in which no character can end the element around it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class _Axes:
    """The step axes of a run: the shared grid, and the steps of the signals that are kept as they are."""

    def __init__(self, grid: Grid | None, columns: int) -> None:
        self.steps: list[Array] = [] if grid is None else [grid.step]
        self._grid = grid
        self._columns = columns

    def place(self, samples: Samples) -> tuple[int, Array]:
        """Return the number of the axis of a signal, and its values there."""
        if self._grid is not None and len(samples.step) > WHOLE * self._columns:
            return 0, on_grid(self._grid, *samples)
        for number, step in enumerate(self.steps):
            if np.array_equal(step, samples.step):
                return number, _kept(samples.value)
        self.steps.append(samples.step)
        return len(self.steps) - 1, _kept(samples.value)


def _kept(value: Array) -> Array:
    """Return the values of a signal, with infinity for what was measured and is not finite."""
    return np.where(np.isfinite(value), value, np.inf)


def _grid(signals: Sequence[Signal], columns: int, events: Sequence[float]) -> Grid | None:
    """Return the shared grid of the signals that are too long to be kept as they are."""
    steps: Array = np.empty(0)
    for signal in signals:
        if len(signal) > WHOLE * columns:
            own = signal.step.astype(np.float64, copy=False)
            if not np.array_equal(own, steps):
                own = own if (np.diff(own) > 0).all() else np.unique(own[np.isfinite(own)])
                steps = np.union1d(steps, own) if len(steps) else own
    return shared_grid(steps, columns, events) if len(steps) else None


def words_of_steps(run: Signals) -> str:
    """Say what the steps count: the name of the column of a log, or else updates."""
    if not isinstance(run, Log):
        return "update"
    return printable(next((column.column for column in run.columns if column.signal == "step"), "step"))
