"""Make runs of parsed JSON: of records, of histories that hold an array for each metric, and of several runs in one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.nested import flatten
from slingshot_analysis.readers._gate import check_size
from slingshot_analysis.readers._names import built_in_names
from slingshot_analysis.readers._parts.arrays import Array, is_axis_name, runs_of_arrays
from slingshot_analysis.readers._parts.long_tables import SPLITS
from slingshot_analysis.readers._parts.points import unique_names
from slingshot_analysis.readers._parts.tables import runs_of_table
from slingshot_analysis.readers._raw import RawRun
from slingshot_analysis.safe_text import printable

if TYPE_CHECKING:
    import pandas as pd

RUN = re.compile(r"(?P<word>seed|run|trial|repeat|replicate|rep|fold|experiment|exp|model)?[ _-]?(?P<number>\d+)", re.I)
"""Keys whose value is one run."""

RUNS = ("runs", "seeds", "trials", "experiments", "results", "histories")
"""Keys whose value holds all runs."""

CONFIGURATION = ("_meta", "meta", "metadata", "_config", "config", "hparams", "hyperparameters", "args", "params")
"""Keys whose value, a dict, is the configuration of all runs of the file."""

SERIES = (("steps", "values"), ("step", "value"), ("steps", "value"), ("step", "values"), ("x", "y"))
"""Keys of the steps and of the values of one series."""

FIRST_TIME = 1e9
"""Minimum Unix time in seconds of a column of times. The web page of TensorBoard exports rows of time, step, value."""

BYTES_OF_CELL = 24
"""Approximate memory of a cell of a table of records in bytes: a reference and its copies."""

LABELS = ("seed", "run", "run_id", "run_name", "trial", "name", "id")
"""Keys that identify a run, the best first."""


def runs_of_json(
    value: Any, path: Path, attributes: Mapping[str, Any] | None = None, notes: Sequence[str] = ()
) -> list[RawRun]:
    """Make runs of parsed JSON.

    Parameters
    ----------
    value : object
        Lists, dicts and scalars.
    path : Path
        To name in errors.
    attributes : mapping, optional
        What is known of every run already.
    notes : sequence of str, optional
        What was noted of the file already.

    Returns
    -------
    list of RawRun
        In the order of the file.

    Raises
    ------
    InputError
        If there are no numbers in lists or records.
    """
    known = dict(attributes or {})
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        if not _are_histories(value):
            return runs_of_table(_table_of_records(value, path), path, known, notes)
        return _several({_label(item, index): item for index, item in enumerate(value)}, path, known, notes)
    if isinstance(value, dict):
        settings, value = _settings(value)
        known |= settings
        runs, rest = _members(value)
        if runs:
            return _several(runs, path, known | _scalars(rest), notes)
        records = _only_records(value)
        if records is not None:
            return runs_of_json(records, path, known | _scalars(value), notes)
    arrays, lost = _arrays(value, ())
    if not arrays:
        if isinstance(value, dict) and any(isinstance(item, float) for item in _scalars(value).values()):
            raise InputError(f"{path}: holds one record and no rows; if each epoch has such a file, give their folder")
        raise InputError(f"{path}: holds no list of numbers or of records; is this a training log?")
    if lost:
        notes = [*notes, f"left out, being no lists of numbers: {', '.join(map(repr, lost))}"]
    scalars = _scalars(value) if isinstance(value, dict) else {}
    return runs_of_arrays(arrays, path, known | scalars, notes)


def _table_of_records(records: Sequence[Mapping[str, Any]], path: Path) -> pd.DataFrame:
    """Return a table of objects, with None where a record lacks a key.

    Of statistics, records with the keys ``num``, ``mean`` and ``std``, the mean is taken.

    Raises
    ------
    InputError
        If the table takes more memory than a file may, as one of records that share no keys does.
    """
    import pandas as pd

    rows = [flatten(record, "/") for record in records]
    columns = dict.fromkeys(key for row in rows for key in row)
    check_size(path, BYTES_OF_CELL * len(rows) * len(columns), f"has {len(columns):,} keys, a table of")
    summaries = [key.removesuffix("/mean") for key in columns if key.endswith("/mean")]
    if statistics := [key for key in summaries if f"{key}/num" in columns and f"{key}/std" in columns]:
        others = {f"{key}/{word}" for key in statistics for word in ("num", "std")}
        rows = [{key.removesuffix("/mean"): value for key, value in row.items() if key not in others} for row in rows]
        columns = dict.fromkeys(key for row in rows for key in row)
    names, _ = unique_names(map(printable, columns))
    return pd.DataFrame(
        {
            name: pd.Series([row.get(key) for row in rows], dtype=object)
            for name, key in zip(names, columns, strict=True)
        }
    )


def _settings(value: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configuration in a dict, and the rest of the dict.

    A dict that contains a list as long as a curve outside is no configuration. If there is no curve outside, the
    longest list is one.
    """
    named = {key for key, item in value.items() if isinstance(item, dict) and key.lower() in CONFIGURATION}
    lengths = {key: _lengths(value[key]) for key in named}
    if any(lengths.values()):
        curves = _lengths({key: item for key, item in value.items() if key not in named})
        curves = curves or {max(length for held in lengths.values() for length in held)}
        named = {key for key in named if not lengths[key] & curves}
    settings: dict[str, Any] = {}
    for key in value:
        if key in named:
            settings |= value[key]
    return settings, {key: item for key, item in value.items() if key not in named}


def _lengths(value: Any) -> set[int]:
    """Return the lengths of all lists with at least two numbers, rows or records, without those in configurations."""
    if isinstance(value, dict):
        kept = [item for key, item in value.items() if not (isinstance(item, dict) and key.lower() in CONFIGURATION)]
        return {length for item in kept for length in _lengths(item)}
    if not isinstance(value, list) or not _has_numbers(value):
        return set()
    if _is_records(value) and (within := {length for item in value for length in _lengths(item)}):
        return within
    longest = max(len(value), *(len(row) for row in value if isinstance(row, list)), 1)
    return {longest} - {1}


def _several(
    members: Mapping[str, Any], path: Path, attributes: Mapping[str, Any], notes: Sequence[str]
) -> list[RawRun]:
    found = []
    for name, member in members.items():
        for run in runs_of_json(member, path, attributes, notes):
            label = ", ".join(part for part in (name, run.name) if part) if len(members) > 1 else run.name
            found.append(RawRun(label, run.columns, run.attributes, run.notes))
    return found


def _members(value: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the runs in a dict by name, and the rest of the dict."""
    for key in value:
        held = value[key]
        if key.lower() in RUNS and isinstance(held, list) and all(isinstance(item, dict) for item in held):
            if _are_histories(held):
                rest = {name: item for name, item in value.items() if name != key}
                return {_label(item, index): item for index, item in enumerate(held)}, rest
        elif key.lower() in RUNS and isinstance(held, dict) and (runs := _members(held)[0]):
            return runs, {name: item for name, item in value.items() if name != key}
    bearing = {key: item for key, item in value.items() if isinstance(item, dict | list) and _has_numbers(item)}
    nested = bool(bearing) and all(isinstance(item, dict) or _is_records(item) for item in bearing.values())
    numbered = {key: RUN.fullmatch(key) for key in bearing}
    rest = {key: item for key, item in value.items() if key not in bearing}
    if nested and all(numbered.values()):
        return {
            f"{found['word'] or 'run'} {found['number']}": bearing[key] for key, found in numbered.items() if found
        }, rest
    is_run = all(
        isinstance(item, dict) and any(map(is_axis_name, item)) and _series(item, (key,)) is None
        for key, item in bearing.items()
    )
    if nested and len(bearing) > 1 and is_run and not any(key.lower() in SPLITS for key in bearing):
        return bearing, rest
    return {}, value


def _label(run: Mapping[str, Any], index: int) -> str:
    scalars = _scalars(run)
    for key in LABELS:
        found = next((value for name, value in scalars.items() if name.split(".")[-1].lower() == key), None)
        if found is not None:
            return f"{key} {found}" if key not in ("name", "id", "run_name") else str(found)
    return f"run {index}"


def _arrays(value: Any, place: tuple[str, ...]) -> tuple[list[Array], list[str]]:
    """Return the arrays in nested dicts, and the names of lists that are no arrays."""
    if isinstance(value, dict):
        if (series := _series(value, place)) is not None:
            return [series], []
        found = [_arrays(item, (*place, str(key))) for key, item in value.items() if isinstance(item, dict | list)]
        return [array for arrays, _ in found for array in arrays], [name for _, lost in found for name in lost]
    if _is_records(value):
        rows = [flatten(row, "/") for row in value]
        keys = dict.fromkeys(key for row in rows for key in row)
        return _arrays({key: [row.get(key) for row in rows] for key in keys}, place)
    if not isinstance(value, list):
        return [], []
    name = place or ("column_0",)
    numbers = [_number(item) for item in value]
    if value and all(number is not None for number in numbers):
        missing = np.array([item is None for item in value])
        return [Array(name, np.asarray(numbers, dtype=np.float64), missing=missing)], []
    if value and all(isinstance(row, list) and len(row) == len(value[0]) > 0 for row in value):
        cells = [[_number(cell) for cell in row] for row in value]
        if all(cell is not None for row in cells for cell in row):
            return _table(np.asarray(cells, dtype=np.float64), place), []
    return [], [".".join(name)] if value else []


def _series(value: Mapping[str, Any], place: tuple[str, ...]) -> Array | None:
    """Return one series of a dict that holds its steps and its values, as Sacred writes them; None for other dicts."""
    for steps, values in SERIES:
        if place and {steps, values} <= value.keys() and sum(isinstance(item, list) for item in value.values()) <= 3:
            found = [_arrays(value[key], (key,))[0] for key in (steps, values)]
            if all(len(arrays) == 1 for arrays in found) and found[0][0].values.shape == found[1][0].values.shape:
                return Array(place, found[1][0].values, found[0][0].values, found[1][0].missing)
    return None


def _table(table: Any, place: tuple[str, ...]) -> list[Array]:
    """Return the arrays of a table: pairs of step and value, columns if it has no name, and else one array."""
    if not place:
        is_download = table.shape[1] == 3 and bool(np.all(table[:, 0] > FIRST_TIME))
        names = (
            ("wall_time", "step", "value") if is_download else [f"column_{index}" for index in range(table.shape[1])]
        )
        return [Array((name,), column) for name, column in zip(names, table.T, strict=True)]
    steps = table[:, 0]
    is_pairs = table.shape[1] == 2 < len(table) and np.all(steps % 1 == 0) and np.all(np.diff(steps) >= 0)
    return [Array(place, table[:, 1], steps)] if is_pairs else [Array(place, table)]


def _number(item: Any) -> float | None:
    if item is None:
        return np.nan
    try:
        return float(item) if isinstance(item, bool | int | float | str) else None
    except ValueError:
        return None
    except OverflowError:
        return np.inf


def _are_histories(items: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether dicts are runs, which contain lists of numbers, and not records with a step each."""
    if not any(_has_numbers(item) for item in items):
        return False
    step = built_in_names().step_of(key for key, value in items[0].items() if isinstance(value, int | float))
    return step is None or len({str(item.get(step)) for item in items}) == 1


def _has_numbers(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_numbers(item) for item in value.values() if isinstance(item, dict | list))
    if isinstance(value, list):
        return any(
            isinstance(item, int | float) or (_is_records(value) and bool(item)) or _has_numbers(item) for item in value
        )
    return False


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _only_records(value: dict[str, Any]) -> list[Any] | None:
    """Return the list of records in nested dicts if nothing else contains numbers."""
    bearing = [item for item in value.values() if isinstance(item, dict | list) and _has_numbers(item)]
    if len(bearing) != 1:
        return None
    only = bearing[0]
    if isinstance(only, dict):
        return _only_records(only)
    return only if _is_records(only) else None


def _scalars(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values in nested dicts, with names joined by a dot."""
    return {name: item for name, item in flatten(value).items() if isinstance(item, str | int | float)}
