"""The rows of a log: their order, evaluations logged without a step, and restarts of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from slingshot_analysis.readers._names import Names
from slingshot_analysis.readers._raw import Column, Numbers, RawRun

OUT_OF_ORDER = "rows were out of order: sorted by step"
MOST_LATE_ROWS = 3
"""Maximum mean number of rows after each decrease of the step, for rows that are out of order. More are restarts."""
NEIGHBOURS = 8
"""Number of rows on either side from which the usual distance between steps is estimated."""
SAME_DISTANCE = 1 + 1e-6
"""Ratio of two distances between fractional steps that count as the same."""


def with_step_of_the_row_before(raw: RawRun, axis: str | None, names: Names) -> RawRun:
    """Correct single rows whose step is the first one again: evaluations that were logged without their step."""
    if axis is None:
        return raw
    step = raw.columns[axis].values
    known = np.flatnonzero(np.isfinite(step))
    at = step[known]
    if len(at) < 3:
        return raw
    after = np.append(at[2:], np.inf)
    single = np.flatnonzero((at[1:] <= at[0]) & (at[:-1] > at[1:]) & (after >= at[:-1])) + 1
    if not len(single):
        return raw
    measured = [column for name, column in raw.columns.items() if column.step is None and names.step_of([name]) is None]
    logged = np.array([column.logged for column in measured]).reshape(-1, len(step))
    apart = known[single]
    if not logged[:, apart].any(axis=0).all() or (logged[:, apart] & logged[:, apart - 1]).any():
        return raw
    step = step.copy()
    step[apart] = step[apart - 1]
    note = f"rows of evaluations at step {at[0]:g}, between others: {len(apart)}; they take the step of the row before"
    return replace(raw, columns={**raw.columns, axis: Column(step)}, notes=[*raw.notes, note])


def in_order(raw: RawRun, axis: str | None) -> RawRun:
    """Sort the rows of a table if they are out of order."""
    step = raw.columns[axis].values if axis is not None else np.empty(0)
    if not is_mixed(step[np.isfinite(step)]):
        return raw
    order = np.argsort(step, kind="stable")
    columns = {name: column.rows(order) if column.step is None else column for name, column in raw.columns.items()}
    return replace(raw, columns=columns, notes=[*raw.notes, OUT_OF_ORDER])


def is_mixed(steps: Numbers) -> bool:
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


def attempts(raw: RawRun, axis: str | None) -> list[tuple[RawRun, list[str]]]:
    """Split a table where its steps restart from the beginning. Of runs with identical rows one is kept."""
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
            name: column.rows(slice(begin, end)) if column.step is None else column
            for name, column in raw.columns.items()
        }
        for begin, end in zip(starts, [*starts[1:], len(step)], strict=True)
    ]
    different = list({_content(part): part for part in parts}.values())
    notes = []
    if len(different) < len(parts):
        notes.append(f"the file holds the same rows {len(parts) // len(different)} times over: they are read once")
    if len(different) > 1:
        often = "once" if len(different) == 2 else f"{len(different) - 1} times"
        notes.append(f"steps start afresh {often}: read as {len(different)} runs")
    return [(RawRun(raw.name, part, raw.attributes, raw.notes, raw.templates), notes) for part in different]


def _content(part: Mapping[str, Column]) -> tuple[bytes, ...]:
    return tuple(column.values.tobytes() for column in part.values() if column.step is None)
