"""The data of the interactive figure of a run: thinned signals, phases and events, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.analysis.signals import Signals
from slingshot_analysis.canonical import Samples, canonical
from slingshot_analysis.readers import Log
from slingshot_analysis.report.page.events import events_of, resolved_steps
from slingshot_analysis.report.page.packing import packed_steps, packed_values
from slingshot_analysis.report.page.panels import Curve, Panel, recorded
from slingshot_analysis.report.page.thinning import Grid, on_grid, shared_grid
from slingshot_analysis.safe_text import printable

Array = npt.NDArray[np.float64]

WHOLE = 2
"""A signal of up to this many rows for each bucket is kept as it is."""


def figure_json(analysis: Analysis, run: Signals, columns: int) -> str:
    """Return what the script of the page needs to draw a run.

    Signals are read twice, one after the other, so that no more than one of them is in memory.

    Parameters
    ----------
    analysis : Analysis
        What was found in the run.
    run : Trace or mapping of str to Signal
        Its signals.
    columns : int
        Number of buckets of equal length into which long signals are thinned.

    Returns
    -------
    str
        JSON without any character that could end a script.
    """
    curves = list(_curves(run))
    axes = _Axes(_grid(run, curves, columns, resolved_steps(analysis)), columns)
    panels: dict[str, dict[str, Any]] = {}
    for panel, title, curve in curves:
        samples = _samples(run, curve)
        if samples is None:
            continue
        axis, value = axes.place(samples)
        own = panels.setdefault(
            panel.name, {"name": panel.name, "title": title, "unit": panel.unit, "scale": panel.scale, "curves": []}
        )
        own["curves"].append({"label": curve.label, "pen": curve.pen, "axis": axis, "value": packed_values(value)})
    data = {
        "steps": [float(step) for step in analysis.steps],
        "step_words": _step_words(run),
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


def _curves(run: Signals) -> Iterator[tuple[Panel, str, Curve]]:
    for panel, title in recorded(run):
        for curve in panel.curves:
            yield panel, title, curve


def _samples(run: Signals, curve: Curve) -> Samples | None:
    signal = curve.read(run)
    if signal is None or signal.value.ndim != 1 or not len(signal):
        return None
    samples = canonical(signal.step, signal.value, signal.name, keep_nan=True)
    return samples if np.isfinite(samples.value).any() else None


def _grid(run: Signals, curves: list[tuple[Panel, str, Curve]], columns: int, events: list[float]) -> Grid | None:
    """Return the shared grid of the signals that are too long to be kept as they are."""
    steps: Array = np.empty(0)
    for _, _, curve in curves:
        signal = curve.read(run)
        if signal is not None and len(signal) > WHOLE * columns:
            own = signal.step.astype(np.float64)
            if not np.array_equal(own, steps):
                own = own if (np.diff(own) > 0).all() else np.unique(own[np.isfinite(own)])
                steps = np.union1d(steps, own) if len(steps) else own
    return shared_grid(steps, columns, events) if len(steps) else None


def _step_words(run: Signals) -> str:
    """Say what the steps count: the name of the column of a log, or else updates."""
    if not isinstance(run, Log):
        return "optimizer updates"
    return printable(next((column.column for column in run.columns if column.signal == "step"), "step"))
