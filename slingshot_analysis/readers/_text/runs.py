"""Where one run ends and the next begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slingshot_analysis.readers._raw import Column
from slingshot_analysis.readers._text.choice import ABOVE
from slingshot_analysis.readers._text.positions import Axis, Counted
from slingshot_analysis.readers._text.series import Series
from slingshot_analysis.readers._text.words import is_accuracy, is_loss

__all__ = ["Part", "parts_of", "starts_of"]

Numbers = npt.NDArray[np.float64]
Lines = npt.NDArray[np.int64]

MOST_COLUMNS = 400
"""Columns of a run; those of losses and accuracies come first."""
MOST_RUNS = 500
"""Runs of one text; what starts afresh more often is not cut."""


@dataclass
class Part:
    """The columns of one run.

    Parameters
    ----------
    heading : str
        What stands above it in the log.
    columns : mapping of str to Column
        With steps of their own.
    """

    heading: str
    columns: Mapping[str, Column]


def starts_of(axis: Axis, kept: Sequence[Counted]) -> list[int]:
    """Return the lines at which runs begin: where steps start afresh, at or before the first step."""
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
    return starts if len(starts) < MOST_RUNS else []


def parts_of(
    series: Sequence[Series], axis: Axis, starts: Sequence[int], headings: Sequence[tuple[int, str]]
) -> list[Part]:
    """Cut the series where runs begin; an inherited step belongs to the run of the line that has it."""
    bounds = np.asarray(starts, dtype=np.int64)
    ranked = sorted(series, key=lambda one: not (is_loss(one.name) or is_accuracy(one.name)))[:MOST_COLUMNS]
    chosen = [one for one in series if any(one is other for other in ranked)]
    parts: list[Part] = []
    for number in range(len(starts) + 1):
        columns: dict[str, Column] = {}
        for one in chosen:
            here = np.searchsorted(bounds, one.lines, side="right") == number
            if here.any():
                steps = one.steps[here]
                if axis.kind == "rows" and number:
                    steps = steps - float(axis.positions[np.searchsorted(axis.lines, bounds[number - 1])])
                columns[one.name] = Column(one.values[here], steps)
        begin = int(bounds[number - 1]) if number else None
        parts.append(Part(_heading(headings, begin, series), columns))
    return [part for part in parts if part.columns]


def _heading(headings: Sequence[tuple[int, str]], begin: int | None, series: Sequence[Series]) -> str:
    first = begin if begin is not None else min((int(one.lines[0]) for one in series), default=0)
    above = [text for line, text in headings if line < first]
    return above[-1] if above else ""
