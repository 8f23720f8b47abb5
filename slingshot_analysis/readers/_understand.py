"""Turn the columns of a log into the signals of a run: their names, steps and units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slingshot_analysis.canonical import as_step
from slingshot_analysis.errors import unknown_name
from slingshot_analysis.readers._log import Log, Understood
from slingshot_analysis.readers._names import Names, parameter_of
from slingshot_analysis.readers._parts.points import listed
from slingshot_analysis.readers._raw import Column, Numbers, RawRun
from slingshot_analysis.readers._rows import OUT_OF_ORDER, attempts, in_order, is_mixed, with_step_of_the_row_before
from slingshot_analysis.safe_text import printable
from slingshot_analysis.signal import Axis, Signal

LARGEST_FRACTION = 1.5
"""An accuracy that exceeds this value is in percent."""
AVERAGED = ("epoch", "avg", "average", "mean", "smooth", "ema", "running")
"""Words in a column's name which say that its values are averages over a window."""
UNITS = {"loss": "nat"}
FEW_STEPS = 5
"""Number of steps that a remark lists."""
SIDE = re.compile(r"train|batch", re.IGNORECASE)
NUMBERED_SET = re.compile(r"(?P<before>(?:.*/)?valid(?:ation)?_)\d(?P<after>\D.*)")
FEW_SHARED = 0.1
"""Largest share of rows that two columns share if they were logged apart."""
NOISY = 0.05
"""Minimum median relative change of a gradient norm from row to row. Norms of weights change less."""
UNNAMED_SERIES = ("value", "values", "column_1", "column_2")
UNNAMED = re.compile(r"column_\d+$")
"""Names that readers give to the columns of a file without a header."""


@dataclass(frozen=True)
class _Values:
    step: Numbers
    value: Numbers
    remarks: tuple[str, ...]
    restarts: tuple[int, ...] = ()


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
    base = printable(path.stem if path.is_file() else path.resolve().name)
    label = f"{base}, {raw.name}" if raw.name else base
    raw = in_order(with_step_of_the_row_before(raw, axis, names), axis)
    parts = attempts(raw, axis)
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
    full = [column for column in rest if column not in by_hand.values() and _has_numbers(raw.columns[column])]
    assigned = {signal: column for signal, column in names.assign(full).items() if signal not in by_hand} | by_hand
    assigned, doubts = _with_second_thoughts(assigned, by_hand, full, raw, names)
    if not assigned and all(UNNAMED.match(column) for column in raw.columns):
        axis, assigned = _guessed({column: raw.columns[column].values for column in full})
        notes.append("the file has no header: its columns were guessed from their values; correct the guess with map=")
    signals_named = bool(assigned)
    rows = max((len(column.values) for column in raw.columns.values() if column.step is None), default=0)
    step = raw.columns[axis].values if axis is not None else np.arange(rows, dtype=np.float64)
    if axis is None and any(raw.columns[column].step is None for column in assigned.values()):
        notes.append("no column counts steps: rows are counted instead; name the column of steps with map=")
    if not signals_named and (unnamed := [column for column in full if column.lower() in UNNAMED_SERIES]):
        notes.append(
            f"the file holds one series without a name: say what it is with map=, such as train_loss={unnamed[0]}"
        )
    losses = [column for column in full if "loss" in column.lower()]
    if losses and not any("loss" in signal for signal in assigned):
        notes.append(
            f"no column is the loss by its name: of {listed(losses)}, say with map= which is train_loss, such "
            f"as train_loss={losses[0]}; several are not summed"
        )
    if axis is not None and "epoch" in axis.lower():
        notes.append(f"steps are those of {axis!r}, which counts epochs, not updates")
    signals: dict[str, Signal] = {}
    remarks: dict[str, str] = {}
    restarts: set[int] = set()
    for signal, column in assigned.items():
        found = _values(raw.columns[column], step)
        restarts.update(found.restarts)
        value, converted = _in_unit(signal, column, found.value)
        said = [
            *found.remarks,
            *doubts.get(column, ()),
            *converted,
            *_not_finite(found.step, value),
            *_warnings(signal, column, value),
        ]
        remarks[column] = "; ".join(said)
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
    unused = [column for column in full if column not in used and column != axis]
    others = {column: _values(raw.columns[column], step) for column in unused}
    return Log(
        path,
        name,
        signals,
        columns,
        list(dict.fromkeys(notes)),
        raw.attributes,
        raw.templates,
        {column: Signal(found.step, found.value, column) for column, found in others.items()},
        sorted(restarts),
    )


def _with_second_thoughts(
    assigned: Mapping[str, str], by_hand: Mapping[str, str], full: list[str], raw: RawRun, names: Names
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Correct signals that names alone can't tell, and return them with remarks by column."""
    assigned, doubts = dict(assigned), {}
    loss, accuracy, norm = (assigned.get(name, "") for name in ("train_loss", "train_accuracy", "total_norm"))
    # An accuracy whose name has no side is that of an evaluation if it stands on rows of its own, or beside losses
    # that both have one.
    if accuracy and "val_accuracy" not in assigned and not SIDE.search(accuracy):
        beside = "val_loss" in assigned and SIDE.search(loss) is not None
        if beside or _on_other_rows(raw, accuracy, loss):
            assigned["val_accuracy"] = assigned.pop("train_accuracy")
            where = "beside losses of training and validation" if beside else "apart from the training loss"
            doubts[accuracy] = [f"measured {where}, so taken for validation"]
    # XGBoost and LightGBM number the sets that they are given to evaluate.
    if "val_loss" not in by_hand and "train_loss" not in assigned and (sets := _numbered_sets(assigned, full)):
        assigned["train_loss"], assigned["val_loss"] = sets
        doubts[sets[0]] = ["the first of two numbered sets, which is most often that of training; correct it with map="]
        doubts[sets[1]] = ["the second of two numbered sets, taken for validation"]
    # A bare "norm" is that of the gradient in some trainers; it is as noisy as weights never are.
    if norm and norm not in by_hand.values() and norm.rpartition("/")[2].lower() == "norm":
        if _is_noisy(raw.columns[norm].values):
            del assigned["total_norm"]
            assigned.setdefault("gradient_norm", norm)
            doubts[norm] = ["its name does not say of what; too noisy for weights, so taken for the gradient"]
        else:
            doubts[norm] = ["its name does not say of what; taken for the norm of all parameters"]
    # A loss that the table knows only by a wildcard may be one of several terms.
    for signal in ("train_loss", "val_loss"):
        column = assigned.get(signal)
        if column and column not in (*by_hand.values(), *doubts) and names.is_pattern(signal, column):
            parts = [other for other in full if names.is_pattern(signal, other)]
            several = f"one of {len(parts)} parts of a loss ({listed(parts)}); no total was found"
            doubts[column] = [several if len(parts) > 1 else f"taken for {signal} by a part of its name"]
    return assigned, doubts


def _numbered_sets(assigned: Mapping[str, str], columns: list[str]) -> tuple[str, str] | None:
    """Return the losses of the first two data sets of a library that numbers them, such as ``validation_0-logloss``."""
    found = NUMBERED_SET.fullmatch(assigned.get("val_loss", ""))
    if found is None:
        return None
    first, second = (f"{found['before']}{number}{found['after']}" for number in (0, 1))
    return (first, second) if first in columns and second in columns else None


def _on_other_rows(raw: RawRun, column: str, other: str) -> bool:
    """Return whether two columns of a table have values on different rows, with few exceptions."""
    if not other or raw.columns[column].step is not None or raw.columns[other].step is not None:
        return False
    ours, theirs = raw.columns[column].logged, raw.columns[other].logged
    return bool((ours & theirs).sum() <= FEW_SHARED * ours.sum())


def _is_noisy(values: Numbers) -> bool:
    known = values[np.isfinite(values) & (values > 0)]
    return len(known) > 2 and bool(np.median(np.abs(np.diff(np.log(known)))) > NOISY)


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
    keep = column.logged
    lost = int((keep & ~np.isfinite(steps)).sum())
    keep &= np.isfinite(steps)
    values = column.values
    if not keep.all():
        steps, values = steps[keep], values[keep]
    filled = column.missing is not None and not column.missing.all() and column.is_filled
    remarks = ["NaN in most rows, taken for rows without a value"] if filled else []
    remarks += [f"{lost} values without a step left out"] if lost else []
    if (steps[1:] > steps[:-1]).all():
        return _Values(steps, values, tuple(remarks))
    if column.step is not None and is_mixed(steps):
        order = np.argsort(steps)
        return _Values(steps[order], values[order], (*remarks, OUT_OF_ORDER))
    least_later = np.minimum.accumulate(steps[::-1])[::-1]
    valid = np.append(steps[:-1] < least_later[1:], True)
    dropped = len(steps) - int(valid.sum())
    equal = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    same = int(((np.diff(steps) == 0) & equal).sum())
    back = int((np.diff(steps) < 0).sum())
    if back:
        often = "once" if back == 1 else f"{back} times"
        remarks.append(f"steps go back {often}: {dropped} rows that a restart repeats are taken from the restart")
        restarts = tuple(as_step(at) for at in steps[1:][np.diff(steps) < 0].tolist())
        return _Values(steps[valid], values[valid], tuple(remarks), restarts)
    if same == dropped:
        remarks.append(f"{dropped} repeated rows left out")
    else:
        remarks.append(f"{dropped} steps stand twice: the last value of each is taken")
    return _Values(steps[valid], values[valid], tuple(remarks))


def _in_unit(signal: str, column: str, value: Numbers) -> tuple[Numbers, list[str]]:
    """Return an accuracy as a fraction, and an error rate as an accuracy."""
    if not signal.endswith("_accuracy") or not len(value):
        return value, []
    remarks = []
    largest, least = np.fmax.reduce(value), np.fmin.reduce(value)
    if largest > LARGEST_FRACTION:
        value, largest, least = value / 100, largest / 100, least / 100
        remarks.append("in percent: divided by 100")
    if least < 0 or largest > 1 + 1e-6:
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
        found.append("1 loss is exactly 0" if zeros == 1 else f"{zeros:,} losses are exactly 0")
    if unit is not None:
        found.append(f"rounded to {unit:g}: smaller losses can't be told apart")
    words = [word for word in AVERAGED if word in column.lower()]
    if words:
        found.append("averaged over a window, as its name says: spikes are lower and wider than they were")
    return found


def _not_finite(step: Numbers, value: Numbers) -> list[str]:
    """Return a remark on values that are NaN or infinite, with the first of their steps."""
    steps = [f"{at:,.10g}" for at in step[~np.isfinite(value)].tolist()]
    if not steps:
        return []
    more = f" and {len(steps) - FEW_STEPS} more" if len(steps) > FEW_STEPS else ""
    return [f"NaN or infinite at step{'s' if len(steps) > 1 else ''} {', '.join(steps[:FEW_STEPS])}{more}"]


def _rounding(value: Numbers) -> float | None:
    """Return the power of ten to which all values are rounded, if it is 1e-6 or more."""
    finite = value[np.isfinite(value)]
    for digits in range(1, 7):
        if len(finite) > 10 and all(_is_rounded(part, digits) for part in (finite[:1000], finite)):
            return float(10.0**-digits)
    return None


def _is_rounded(value: Numbers, digits: int) -> bool:
    scaled = value * 10**digits
    return bool((np.abs(scaled - np.round(scaled)) <= 1e-6).all())


def _parameter_norm(raw: RawRun, norms: Mapping[str, str | None], step: Numbers) -> dict[str, Signal]:
    """Join the norms of single parameters, measured at the same steps, into one signal with an axis."""
    columns = {column: _values(raw.columns[column], step) for column in norms}
    first = next(iter(columns.values())).step
    same = {column: found for column, found in columns.items() if np.array_equal(found.step, first)}
    axis = Axis("parameter", [str(norms[column]) for column in same])
    value = np.stack([found.value for found in same.values()], axis=1)
    return {"parameter_norm": Signal(first, value, "parameter_norm", axes=[axis])}


def _count(column: Column) -> int:
    return int(column.logged.sum())


def _has_numbers(column: Column) -> bool:
    return bool((~np.isnan(column.values)).any())


def _why_unused(column: Column) -> str:
    if _has_numbers(column):
        return "not used; map= makes it a signal"
    return (
        "holds only NaN" if len(column.values) and column.missing is not None and not column.missing.all() else "empty"
    )
