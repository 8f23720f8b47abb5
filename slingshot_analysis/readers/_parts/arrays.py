"""Make runs of named arrays, which may differ in length: find the steps of each, and the axis of the seeds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._names import built_in_names
from slingshot_analysis.readers._parts.long_tables import SPLITS
from slingshot_analysis.readers._raw import Column, Numbers, RawRun

STEPS = re.compile(
    r"(?P<stem>.+)_(steps|epochs|iters|iterations|updates)|"
    r"(?P<split>train|training|val|valid|validation|test|eval|log|logged)_(step|epoch|iter|iteration|update)",
    re.IGNORECASE,
)
"""Names of arrays that hold the steps of other arrays only, in addition to the usual names of steps."""

EVERYTHING = ("global", "train_global", "trainer_global", "optimizer", "num")
"""Beginnings of such names for steps that belong to all arrays."""

MEASURED = r"(loss|acc|accuracy|error|err|nll|perplexity|ppl)(es|s)?"
EVENT = r"(grok|grokking|mem|memorization|gen|generalization|fit|overfit|convergence|divergence|slingshot)"
WHEN = r"(time|step|epoch|iter|iteration|update)s?"
RESULT = re.compile(
    rf"(?!(.*_)?(target|stop|stopping|threshold|label|grad|aux)_)(.*_)?{MEASURED}(_(final|last|end|best|mean|std|at_.*))?"
    r"|final_(.*_)?(gini|rank|sharpness|step|epoch|(?<!layer_)norm)s?|best_.*|.*_per_(seed|run)"
    rf"|(t|{WHEN})_((to|of|at)_)?{EVENT}(_.*)?|{EVENT}_{WHEN}|.*_at_{EVENT}(_.*)?|(.*_)?(norm|wn)_(before|after)_.*"
    r"|grokked|memorized|generalized|fitted|converged|diverged",
    re.IGNORECASE,
)
"""Names of results. Every other array with one value per run is a setting."""

MOST_RUNS = 64
"""Maximum length of a second axis that counts runs or parts of the model."""


@dataclass(frozen=True)
class Array:
    """One array of a file.

    Parameters
    ----------
    path : tuple of str
        The names of the groups around it, and its own name last.
    values : (n,) or (n, m) float array
        Numbers; NaN for what is missing.
    step : (n,) float array, optional
        Where it comes with steps of its own.
    missing : (n,) bool array, optional
        As in `Column`.
    """

    path: tuple[str, ...]
    values: Numbers
    step: Numbers | None = None
    missing: npt.NDArray[np.bool_] | None = None


def runs_of_arrays(
    arrays: Sequence[Array], path: Path, attributes: Mapping[str, Any], notes: Sequence[str] = ()
) -> list[RawRun]:
    """Make runs of arrays.

    Parameters
    ----------
    arrays : sequence of Array
        In the order of the file.
    path : Path
        To name in errors.
    attributes : mapping
        Plain values that hold for every run.
    notes : sequence of str, optional
        What was noted of the file already.

    Returns
    -------
    list of RawRun
        Several, named ``seed 0`` and so on, if one axis of the arrays counts runs. The attribute ``results`` holds the
        final values of a run.

    Raises
    ------
    InputError
        If no array can be used.
    """
    lines = [array for array in arrays if array.values.ndim == 1]
    tables, noted = _turned([array for array in arrays if array.values.ndim == 2], _lengths(lines))
    shared = {len(array.values) for array in tables}
    steps = {array.values.shape[1] for array in tables}
    beside = any(len(array.values) in steps and not _is_axis(array) for array in lines)
    if len(shared) != 1 or beside:
        parts = [
            Array((*array.path[:-1], f"{array.path[-1]}[{index}]"), row)
            for array in tables
            for index, row in enumerate(array.values)
        ]
        return [_run("", [*lines, *parts], path, attributes, [*notes, *noted])]
    count = shared.pop()
    alike = [array for array in lines if len(array.values) == count and count not in steps]
    lines = [array for array in lines if array not in alike]
    seeds = next((array.values for array in alike if array.path[-1].lower() in ("seed", "seeds")), np.arange(count))
    results = [array for array in alike if _is_result(array)]
    chosen = [array for array in alike if not _is_result(array)]
    runs = []
    for index in range(count):
        known = {**attributes, **_entries(chosen, index)}
        if results:
            known["results"] = _entries(results, index)
        rows = [replace(array, values=array.values[index]) for array in tables]
        name = f"seed {seeds[index]:g}" if count > 1 else ""
        runs.append(_run(name, [*lines, *rows], path, known, [*notes, *noted]))
    return runs


def is_axis_name(name: str) -> bool:
    """Return whether an array of this name holds steps.

    Examples
    --------
    >>> is_axis_name("epoch"), is_axis_name("eval_epochs"), is_axis_name("train_loss_epoch")
    (True, True, False)
    """
    return built_in_names().step_of([name]) is not None or STEPS.fullmatch(name) is not None


def _run(name: str, arrays: list[Array], path: Path, attributes: Mapping[str, Any], notes: Sequence[str]) -> RawRun:
    known, noted = dict(attributes), list(notes)
    longest = max((len(array.values) for array in arrays), default=0)
    names = _short_names(arrays)
    for array in [array for array in arrays if len(array.values) == 1 < longest and array.step is None]:
        known[names[array.path]] = _plain(array.values[0])
        arrays = [other for other in arrays if other is not array]
    plain = [array for array in arrays if array.step is None]
    axes = [array for array in plain if _is_axis(array)]
    lengths = Counter(len(array.values) for array in plain)
    places = {array.path[:-1] for array in axes}
    is_table = len(lengths) == 1 and len(places) < 2 and all(_stem(array) is None for array in axes)
    shared = [length for length, count in lengths.items() if count > 1]
    main = 0 if axes else max(shared or lengths, default=0)
    columns: dict[str, Column] = {}
    placed: dict[str, list[str]] = {}
    lost = []
    for array in arrays:
        column = names[array.path]
        axis = None if is_table else _axis_for(array, axes)
        if array.step is not None or is_table or (axis is None and len(array.values) == main):
            columns[column] = Column(array.values, array.step, array.missing)
        elif axis is array:
            continue
        elif axis is not None:
            columns[column] = Column(array.values, axis.values, array.missing)
            placed.setdefault(names[axis.path], []).append(column)
        else:
            lost.append(f"{column!r} ({len(array.values)} values)")
    if not columns:
        raise InputError(f"{path}: holds no array of numbers that can be a column; is this a training log?")
    noted += [f"steps of {', '.join(map(repr, named))} are those in {axis!r}" for axis, named in placed.items()]
    noted += [f"left out, as no array of their length holds steps: {', '.join(lost)}"] if lost else []
    return RawRun(name, columns, known, noted)


def _entries(arrays: Sequence[Array], index: int) -> dict[str, int | float]:
    return {array.path[-1]: _plain(array.values[index]) for array in arrays}


def _is_result(array: Array) -> bool:
    return RESULT.fullmatch(array.path[-1]) is not None


def _axis_for(array: Array, axes: list[Array]) -> Array | None:
    """Return the array of steps of another array: of equal length, and nearest in place and name."""
    near = [axis for axis in axes if len(axis.values) == len(array.values)]
    if any(axis is array and _stem(axis) is not None for axis in near):
        return array

    def distance(axis: Array) -> tuple[bool, bool, bool, bool]:
        stem = _stem(axis)
        is_ours = stem is not None and array.path[-1].lower().startswith(stem)
        return (axis.path[:-1] != array.path[:-1], not is_ours, stem is not None, axis is not _first(near))

    return min(near, key=distance, default=None)


def _first(axes: list[Array]) -> Array | None:
    best = built_in_names().step_of(axis.path[-1] for axis in axes)
    return next((axis for axis in axes if axis.path[-1] == best), None)


def _is_axis(array: Array) -> bool:
    values = array.values
    return is_axis_name(array.path[-1]) and bool(np.isfinite(values).all() and (np.diff(values) >= 0).any())


def _stem(array: Array) -> str | None:
    """Return the part of an axis name that says what it belongs to, such as ``eval`` in ``eval_epochs``."""
    found = STEPS.fullmatch(array.path[-1].lower())
    stem = (found["stem"] or found["split"]) if found else None
    return None if stem in EVERYTHING else stem


def _lengths(lines: list[Array]) -> set[int]:
    return {len(array.values) for array in lines if _is_axis(array)}


def _turned(tables: list[Array], lengths: set[int]) -> tuple[list[Array], list[str]]:
    """Transpose tables so that the axis of steps is last, and leave out tables without one."""
    turned, lost = [], []
    for array in tables:
        first, last = array.values.shape
        is_last = last in lengths if lengths & {first, last} else last >= first
        values = array.values if is_last else array.values.T
        if (lengths and values.shape[1] not in lengths) or len(values) > MOST_RUNS:
            lost.append(f"{'.'.join(array.path)!r} ({first} x {last})")
        else:
            turned.append(replace(array, values=values))
    return turned, [f"tables left out, as no axis of theirs is that of the steps: {', '.join(lost)}"] if lost else []


def _short_names(arrays: list[Array]) -> dict[tuple[str, ...], str]:
    """Name each array by the shortest end of its path that is unique."""
    depths: dict[tuple[str, ...], int] = {}
    paths = [array.path for array in arrays]
    for path in paths:
        depth = 2 if len(path) > 1 and not {path[-2].lower(), path[-1].lower()}.isdisjoint(SPLITS) else 1
        while depth < len(path) and sum(other[-depth:] == path[-depth:] for other in paths) > 1:
            depth += 1
        depths[path[:-1]] = max(depth, depths.get(path[:-1], 1))
    return {path: ".".join(path[-depths[path[:-1]] :]) for path in paths}


def _plain(value: float) -> int | float:
    return int(value) if float(value).is_integer() else float(value)
