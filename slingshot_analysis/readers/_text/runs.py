"""Where one run ends and the next begins."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from slingshot_analysis.readers._raw import Column
from slingshot_analysis.readers._text.choice import ABOVE
from slingshot_analysis.readers._text.positions import Axis, Counted
from slingshot_analysis.readers._text.series import Series
from slingshot_analysis.readers._text.words import is_accuracy, is_loss

Numbers = npt.NDArray[np.float64]
Lines = npt.NDArray[np.int64]

MOST_COLUMNS = 400
"""Columns of a run; those of losses and accuracies come first."""
MOST_RUNS = 5000
"""Maximum number of runs of a text. A text whose steps restart more often is not split."""


@dataclass
class Part:
    """The columns of one run.

    Parameters
    ----------
    heading : str
        What stands above it in the log.
    columns : dict of str to Column
        With steps of their own.
    """

    heading: str
    columns: dict[str, Column]


def starts_of(axis: Axis, kept: Sequence[Counted]) -> list[int]:
    """Return the lines at which runs begin: where the step returns to the first step or before it."""
    losses = [one for one in kept if one.has_loss and len(one.lines)]
    if not losses:
        return []
    lines, positions = axis.lines, axis.positions
    if axis.kind == "rows":
        counting = [one for one in losses if one.epoch is not None]
        if not counting:
            return []
        most = max(counting, key=lambda one: len(one.lines))
        assert most.epoch is not None
        lines, positions = most.lines, most.epoch[most.keep]
    else:
        near = lines >= min(int(one.lines[0]) for one in losses) - ABOVE
        lines, positions = lines[near], positions[near]
    told = np.sort(np.concatenate([one.lines for one in losses]))
    changes = np.flatnonzero(np.diff(positions) != 0) + 1
    starts: list[int] = []
    begin = 0
    for index in (np.flatnonzero(np.diff(positions) < 0) + 1).tolist():
        if positions[index] > positions[begin] or not len(changes):
            continue
        went_on = changes[np.searchsorted(changes, begin, side="right")] < index and changes[-1] > index
        cut = np.searchsorted(told, [starts[-1] if starts else 0, int(lines[index])])
        if went_on and cut[1] - cut[0] > 1 and len(told) - cut[1] > 1:
            starts.append(int(lines[index]))
            begin = index
    if len(starts) >= MOST_RUNS:
        axis.notes.append(f"steps start afresh {len(starts)} times: so many runs are not taken apart")
        return []
    return starts


def parts_of(
    series: Sequence[Series], axis: Axis, starts: Sequence[int], headings: Sequence[tuple[int, str]]
) -> list[Part]:
    """Split the series where runs begin. A value whose step comes from another line belongs to the run of that line."""
    bounds = np.asarray(starts, dtype=np.int64)
    ranked = sorted(series, key=lambda one: not (is_loss(one.name) or is_accuracy(one.name)))[:MOST_COLUMNS]
    kept = {id(one) for one in ranked}
    begins = [min((int(one.lines[0]) for one in series), default=0), *starts]
    parts = [Part(_heading(headings, begin), {}) for begin in begins]
    for one in series:
        if id(one) not in kept:
            continue
        edges = [0, *np.searchsorted(one.lines, bounds).tolist(), len(one.lines)]
        for number, (begin, end) in enumerate(pairwise(edges)):
            steps = one.steps[begin:end]
            if axis.kind == "rows" and number:
                steps = steps - axis.positions[np.searchsorted(axis.lines, bounds[number - 1])]
            if len(steps):
                parts[number].columns[one.name] = Column(one.values[begin:end], steps)
    return [part for part in parts if part.columns]


def _heading(headings: Sequence[tuple[int, str]], begin: int) -> str:
    """Return the last heading above a line."""
    index = bisect_left(headings, (begin, "")) - 1
    return headings[index][1] if index >= 0 else ""
