"""Turn the columns of a log into the signals of a run: their names, steps and units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import unknown_name
from slingshot_analysis.readers._log import Log, Understood
from slingshot_analysis.readers._names import Names, parameter_of
from slingshot_analysis.readers._raw import Column, RawRun
from slingshot_analysis.signal import Axis, Signal

__all__ = ["understand"]

Numbers = npt.NDArray[np.float64]

LARGEST_FRACTION = 1.5
"""An accuracy that exceeds this value is in percent."""
AVERAGED = ("epoch", "avg", "average", "mean", "smooth", "ema", "running")
"""Words in a column's name which say that its values are averages over a window."""
OUT_OF_ORDER = "rows were out of order: sorted by step"
UNITS = {"loss": "nat"}
MOST_LATE_ROWS = 3
"""Rows are out of order, and not of a restart, if at most this many on average follow each time that steps go back."""
NEIGHBOURS = 8
"""Number of rows on either side from which the usual distance of steps is estimated."""
SAME_DISTANCE = 1 + 1e-6
"""Ratio of two distances between fractional steps that count as the same."""
UNNAMED = re.compile(r"column_\d+$")
"""Names that readers give to the columns of a file without a header."""


@dataclass(frozen=True)
class _Values:
    step: Numbers
    value: Numbers
    remarks: tuple[str, ...]


def understand(path: Path, raw: RawRun, names: Names, chosen: Mapping[str, str]) -> list[Log]:
    """Turn a `RawRun` into runs: one, or several if its steps start afresh.

    Parameters
    ----------
    path : Path
        The file; it is named in errors and names the runs.
    raw : RawRun
        What a reader returned.
    names : Names
        The table of column names.
    chosen : mapping of str to str
        Columns by signal, chosen by the user; ``step`` names the column of steps.

    Returns
    -------
    list of Log
        In the order of the file.

    Raises
    ------
    InputError
        If there is no signal or no column of a chosen name.
    """
    for signal, column in chosen.items():
        if signal not in (*names.signals, "step"):
            raise unknown_name("signal", signal, [*names.signals, "step"], str(path))
        if column not in raw.columns:
            raise unknown_name(f"column for {signal}", column, raw.columns, str(path))
    axis = chosen.get("step") or names.step_of(name for name, column in raw.columns.items() if column.step is None)
    base = path.stem if path.is_file() else path.resolve().name
    label = f"{base}, {raw.name}" if raw.name else base
    raw = _in_order(raw, axis)
    parts = _attempts(raw, axis)
    logs = []
    for number, (part, notes) in enumerate(parts, start=1):
        name = label if len(parts) == 1 else f"{label}, run {number}"
        logs.append(_log(path, name, part, names, chosen, axis, [*raw.notes, *notes]))
    return logs


def _log(
    path: Path, name: str, raw: RawRun, names: Names, chosen: Mapping[str, str], axis: str | None, notes: list[str]
) -> Log:
    rest = [column for column in raw.columns if column != axis]
    by_hand = {signal: column for signal, column in chosen.items() if signal != "step"}
    full = [column for column in rest if column not in by_hand.values() and _count(raw.columns[column])]
    assigned = {signal: column for signal, column in names.assign(full).items() if signal not in by_hand} | by_hand
    if not assigned and all(UNNAMED.match(column) for column in raw.columns):
        axis, assigned = _guessed({column: raw.columns[column].values for column in full})
        notes.append("the file has no header: its columns were guessed from their values; correct the guess with map=")
    rows = max((len(column.values) for column in raw.columns.values() if column.step is None), default=0)
    step = raw.columns[axis].values if axis is not None else np.arange(rows, dtype=np.float64)
    if axis is None and any(raw.columns[column].step is None for column in assigned.values()):
        notes.append("no column counts steps: rows are counted instead; name the column of steps with map=")
    elif axis is not None and "epoch" in axis.lower():
        notes.append(f"steps are those of {axis!r}, which counts epochs, not updates")
    signals: dict[str, Signal] = {}
    remarks: dict[str, str] = {}
    for signal, column in assigned.items():
        found = _values(raw.columns[column], step)
        value, converted = _in_unit(signal, column, found.value)
        remarks[column] = "; ".join([*found.remarks, *converted, *_warnings(signal, column, value)])
        unit = UNITS.get(signal.rsplit("_", 1)[-1], "")
        signals[signal] = Signal(found.step, value, column, unit)
    parameters = {column: parameter_of(column) for column in full if column not in assigned.values()}
    norms = {column: parameter for column, parameter in parameters.items() if parameter}
    if norms and "parameter_norm" not in signals:
        signals |= _parameter_norm(raw, norms, step)
    used = {column: signal for signal, column in assigned.items()} | dict.fromkeys(norms, "parameter_norm")
    columns = [
        Understood(
            column,
            "step" if column == axis else used.get(column),
            _count(raw.columns[column]),
            remarks.get(column, "" if column in used or column == axis else _why_unused(raw.columns[column])),
        )
        for column in raw.columns
    ]
    return Log(path, name, signals, columns, list(dict.fromkeys(notes)), raw.attributes, raw.templates)


def _guessed(columns: Mapping[str, Numbers]) -> tuple[str | None, dict[str, str]]:
    """Guess columns without names: increasing steps, and two accuracies; that of training has the larger mean."""
    names = list(columns)
    axis = names[0] if names and np.all(np.diff(columns[names[0]]) > 0) else None
    rest = [name for name in names if name != axis]
    fractions = [name for name in rest if np.nanmin(columns[name]) >= 0 and np.nanmax(columns[name]) <= 1]
    if len(fractions) != 2 or len(rest) != 2:
        return axis, {}
    train, val = sorted(fractions, key=lambda name: (-float(np.nanmean(columns[name])), name))
    return axis, {"train_accuracy": train, "val_accuracy": val}


def _values(column: Column, step: Numbers) -> _Values:
    """Return a column's steps and values, each step once. Rows that a restart repeats are taken from the restart."""
    steps = step if column.step is None else column.step
    keep = ~np.isnan(column.values)
    lost = int((keep & ~np.isfinite(steps)).sum())
    keep &= np.isfinite(steps)
    steps, values = steps[keep], column.values[keep]
    remarks = [f"{lost} values without a step left out"] if lost else []
    if np.all(np.diff(steps) > 0):
        return _Values(steps, values, tuple(remarks))
    if column.step is not None and _is_mixed(steps):
        order = np.argsort(steps)
        return _Values(steps[order], values[order], (*remarks, OUT_OF_ORDER))
    least_later = np.minimum.accumulate(steps[::-1])[::-1]
    valid = np.append(steps[:-1] < least_later[1:], True)
    dropped = len(steps) - int(valid.sum())
    same = int(((np.diff(steps) == 0) & (np.diff(values) == 0)).sum())
    back = int((np.diff(steps) < 0).sum())
    if back:
        remarks.append(f"steps go back {back} times: {dropped} rows that a restart repeats are taken from the restart")
    elif same == dropped:
        remarks.append(f"{dropped} repeated rows left out")
    else:
        remarks.append(f"{dropped} steps stand twice: the last value of each is taken")
    return _Values(steps[valid], values[valid], tuple(remarks))


def _in_unit(signal: str, column: str, value: Numbers) -> tuple[Numbers, list[str]]:
    """Return an accuracy as a fraction, and an error rate as an accuracy."""
    if not signal.endswith("_accuracy") or not len(value):
        return value, []
    remarks = []
    if value.max() > LARGEST_FRACTION:
        value = value / 100
        remarks.append("in percent: divided by 100")
    if value.min() < 0 or value.max() > 1 + 1e-6:
        remarks.append("no fraction: clipped to [0, 1]")
        value = np.clip(value, 0, 1)
    if "err" in column.lower():
        value = 1 - value
        remarks.append("an error rate: subtracted from 1")
    return value, remarks


def _warnings(signal: str, column: str, value: Numbers) -> list[str]:
    """Return remarks on a loss whose values are coarser than they look: zeros, rounding, averages."""
    if not signal.endswith("_loss") or not len(value):
        return []
    found = []
    zeros = int((value == 0).sum())
    unit = _rounding(value)
    if zeros:
        found.append(f"{zeros} losses are exactly 0")
    if unit is not None:
        found.append(f"rounded to {unit:g}: smaller losses can't be told apart")
    words = [word for word in AVERAGED if word in column.lower()]
    if words:
        found.append("averaged over a window, as its name says: spikes are lower and wider than they were")
    return found


def _rounding(value: Numbers) -> float | None:
    """Return the power of ten to which all values are rounded, if it is 1e-6 or more."""
    finite = value[np.isfinite(value)]
    for digits in range(1, 7):
        if len(finite) > 10 and np.allclose(finite * 10**digits, np.round(finite * 10**digits), rtol=0, atol=1e-6):
            return float(10.0**-digits)
    return None


def _parameter_norm(raw: RawRun, norms: Mapping[str, str | None], step: Numbers) -> dict[str, Signal]:
    """Join the norms of single parameters, measured at the same steps, into one signal with an axis."""
    columns = {column: _values(raw.columns[column], step) for column in norms}
    first = next(iter(columns.values())).step
    same = {column: found for column, found in columns.items() if np.array_equal(found.step, first)}
    axis = Axis("parameter", [str(norms[column]) for column in same])
    value = np.stack([found.value for found in same.values()], axis=1)
    return {"parameter_norm": Signal(first, value, "parameter_norm", axes=[axis])}


def _in_order(raw: RawRun, axis: str | None) -> RawRun:
    """Sort the rows of a table if they are out of order."""
    step = raw.columns[axis].values if axis is not None else np.empty(0)
    if not _is_mixed(step[np.isfinite(step)]):
        return raw
    order = np.argsort(step, kind="stable")
    columns = {
        name: Column(column.values[order]) if column.step is None else column for name, column in raw.columns.items()
    }
    return replace(raw, columns=columns, notes=[*raw.notes, OUT_OF_ORDER])


def _is_mixed(steps: Numbers) -> bool:
    """Return whether rows are out of order; rows that go back because of a restart are not."""
    back = np.flatnonzero(np.diff(steps) < 0) + 1
    if not len(back) or len(np.unique(steps)) < len(steps):
        return False
    behind = int((steps < np.maximum.accumulate(steps)).sum())
    few = behind <= (MOST_LATE_ROWS * len(back) if len(back) > 1 else 1)
    return (few and not all(_goes_on(steps, start) for start in back.tolist())) or _is_sorted_as_text(steps)


def _goes_on(steps: Numbers, start: int) -> bool:
    """Return whether steps that went back increase regularly, as after a restart, until they exceed all before."""
    passed = np.flatnonzero(steps[start:] > steps[start - 1])
    stop = start + int(passed[0]) + 1 if len(passed) else len(steps)
    rises = np.diff(steps[start:stop])
    usual = np.median(np.diff(np.sort(steps[max(start - NEIGHBOURS, 0) : stop + NEIGHBOURS])))
    return len(rises) > 0 and bool(np.all((rises > 0) & (rises <= SAME_DISTANCE * usual)))


def _is_sorted_as_text(steps: Numbers) -> bool:
    words = (str(int(step)) if step.is_integer() else str(step) for step in steps.tolist())
    return all(one < other for one, other in pairwise(words))


def _attempts(raw: RawRun, axis: str | None) -> list[tuple[RawRun, list[str]]]:
    """Split a table where its steps start afresh. Runs with the same rows are kept once."""
    if axis is None:
        return [(raw, [])]
    step = raw.columns[axis].values
    known = np.flatnonzero(np.isfinite(step))
    if not len(known):
        return [(raw, [])]
    first = step[known[0]]
    starts = [0, *(int(known[k + 1]) for k in np.flatnonzero(np.diff(step[known]) < 0) if step[known[k + 1]] <= first)]
    if len(starts) == 1:
        return [(raw, [])]
    parts = [
        {
            name: Column(column.values[begin:end]) if column.step is None else column
            for name, column in raw.columns.items()
        }
        for begin, end in zip(starts, [*starts[1:], len(step)], strict=True)
    ]
    different = list({_content(part): part for part in parts}.values())
    notes = []
    if len(different) < len(parts):
        notes.append(f"the file holds the same rows {len(parts) // len(different)} times over: they are read once")
    if len(different) > 1:
        notes.append(f"steps start afresh {len(different) - 1} times: read as {len(different)} runs")
    return [(RawRun(raw.name, part, raw.attributes, raw.notes, raw.templates), notes) for part in different]


def _content(part: Mapping[str, Column]) -> tuple[bytes, ...]:
    return tuple(column.values.tobytes() for column in part.values() if column.step is None)


def _count(column: Column) -> int:
    return int((~np.isnan(column.values)).sum())


def _why_unused(column: Column) -> str:
    return "not used; map= makes it a signal" if _count(column) else "empty"
