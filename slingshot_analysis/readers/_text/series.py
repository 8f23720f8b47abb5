"""The values of each name with their steps and split, under names that distinguish them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import numpy.typing as npt

from slingshot_analysis.readers._names import built_in_names
from slingshot_analysis.readers._text.positions import EVALUATION, Axis, Counted
from slingshot_analysis.readers._text.templates import Field, Template
from slingshot_analysis.readers._text.tokens import MARK
from slingshot_analysis.readers._text.words import BARE_SIDES, is_accuracy, is_loss, plain, side_of

Numbers = npt.NDArray[np.float64]
Lines = npt.NDArray[np.int64]

SHARED = 0.5
"""Share of common steps above which two series of one name are different series."""
REPEATED = 2
"""Minimum number of lines per evaluation that repeat its value."""
ROUNDED = 1e-3
"""Maximum difference, relative or absolute, of a loss and the same loss with fewer digits."""
SHOWN = 8
"""Maximum number of names in a message."""


@dataclass(eq=False)
class Series:
    """Values of one name."""

    name: str
    source: Counted
    slot: int
    lines: Lines
    steps: Numbers
    values: Numbers
    own: bool
    label: str
    percent: bool


def series_of(
    kept: Sequence[Counted], axis: Axis, context: Sequence[Counted], sides: Sequence[tuple[int, str]], notes: list[str]
) -> list[Series]:
    """Return the values of each name of each template, with their steps."""
    governing = _governing([*kept, *context], sides)
    found: list[Series] = []
    for one in kept:
        lines = one.lines
        if not len(lines):
            continue
        steps, own = _steps(axis, one)
        above = _side_above(governing, one)
        names: set[str] = set()
        whole = not one.measures
        for value in one.group.template.of_kind("value"):
            if whole and (is_loss(value.name) or is_accuracy(value.name)):
                continue
            values, ok = _values(one, value)
            if one.is_pass:
                rows, values = _passes(one, value, values)
                ok = np.ones(len(rows), dtype=np.bool_)
            else:
                rows = np.arange(len(lines))
            star = one.group.template.masked.lstrip().startswith("*") and one.iteration is None and one.epoch is None
            side_now = value.side or one.group.template.side or ("val" if star and is_accuracy(value.name) else None)
            if star and side_now == "val":
                notes.append("a line that begins with * and has no step is taken for a validation")
            label = _label(one.group.template, value)
            per_row = np.full(len(rows), side_now or "", dtype=object)
            if side_now is None and above is not None and not one.is_pass:
                per_row = np.where(above[0] == "train", "", above[0])
                mean = one.group.template.mean_of(value.slot)
                if mean is not None:
                    values = np.where(above[1], one.group.columns[mean.slot][0][one.keep], values)
            for side in dict.fromkeys(per_row.tolist()):
                here = (per_row == side) & ok[: len(rows)]
                name = value.name if not side or side_of(value.name) else f"{side}/{value.name}"
                if plain(name) in names:
                    name = next(f"{name} ({n})" for n in count(2) if plain(f"{name} ({n})") not in names)
                names.add(plain(name))
                if here.any():
                    found.append(
                        Series(
                            name,
                            one,
                            value.slot,
                            lines[rows][here],
                            steps[rows][here],
                            values[here],
                            own,
                            label,
                            value.percent,
                        )
                    )
    return found


def _steps(axis: Axis, one: Counted) -> tuple[Numbers, bool]:
    """Return the positions of lines: their own, else that of the nearest line above, else of the next below."""
    lines = one.lines
    if not len(axis.lines):
        return np.arange(len(lines), dtype=np.float64), True
    right = np.searchsorted(axis.lines, lines, side="right")
    above = axis.positions[np.maximum(right - 1, 0)]
    exact = (right > 0) & (axis.lines[np.maximum(right - 1, 0)] == lines)
    if one.is_pass:
        exact = np.zeros(len(lines), dtype=np.bool_)
    below = axis.positions[np.minimum(right, len(axis.lines) - 1)]
    before = right == 0
    comes_first = bool(before[0]) and bool(right[-1] < len(axis.lines)) and not axis.from_headings
    inherited = below if comes_first else np.where(before, below, above)
    return np.where(exact, above, inherited), bool(exact.mean() > 0.5)


def _governing(
    kept: Sequence[Counted], sides: Sequence[tuple[int, str]]
) -> tuple[Lines, npt.NDArray[np.object_], Lines]:
    """Return all lines that name a split or have a counter, their splits or "", and lines that count passes."""
    parts = [(np.asarray([line]), side) for line, side in sides]
    parts += [(one.lines, one.side or "") for one in kept if one.counts]
    passes = [one.lines for one in kept if one.is_pass]
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=object), np.empty(0, dtype=np.int64)
    lines = np.concatenate([part[0] for part in parts])
    names = np.concatenate([np.full(len(part[0]), part[1], dtype=object) for part in parts])
    order = np.argsort(lines, kind="stable")
    return lines[order], names[order], np.concatenate(passes) if passes else np.empty(0, dtype=np.int64)


def _side_above(
    governing: tuple[Lines, npt.NDArray[np.object_], Lines], one: Counted
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.bool_]] | None:
    """Return for lines without a counter the split of the nearest line above, and whether that line counts a pass."""
    lines, names, passes = governing
    if not len(lines) or one.iteration is not None or one.epoch is not None:
        return None
    index = np.searchsorted(lines, one.lines) - 1
    above = np.where(index >= 0, names[np.maximum(index, 0)], "")
    return above, np.isin(lines[np.maximum(index, 0)], passes) & (index >= 0)


def _values(one: Counted, value: Field) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Return the values of a name. An accuracy becomes a fraction, if the line contains its total or a percent sign."""
    template = one.group.template
    values, ok = one.group.columns[value.slot]
    values, ok = values[one.keep], ok[one.keep]
    if is_accuracy(value.name) or plain(value.name) in BARE_SIDES:
        whole = template.total_of(value.slot)
        if whole is not None and is_accuracy(value.name):
            with np.errstate(divide="ignore", invalid="ignore"):
                values = values / one.group.columns[whole.slot][0][one.keep]
        elif value.percent:
            values = values / 100
    return values, ok


def _passes(one: Counted, value: Field, values: Numbers) -> tuple[npt.NDArray[np.int64], Numbers]:
    """Return the last line of each evaluation pass, with the mean that it prints or else the mean over the pass."""
    assert one.iteration is not None
    iteration = one.iteration[one.keep]
    ends = np.append(np.flatnonzero(np.diff(iteration) <= 0), len(iteration) - 1)
    mean = one.group.template.mean_of(value.slot)
    if mean is not None:
        return ends, one.group.columns[mean.slot][0][one.keep][ends]
    starts = np.concatenate([[0], ends[:-1] + 1])
    return ends, np.asarray([values[begin : end + 1].mean() for begin, end in zip(starts, ends, strict=True)])


def _label(template: Template, value: Field) -> str:
    """Return the words of a line that may distinguish it from lines with the same names."""
    message = template.masked[len(template.prefix) :]
    before = message.split(MARK)
    text = " ".join(before[: max(1, value.slot + 1 - template.prefix.count(MARK))])
    words = re.findall(r"[\w#@.-]*[^\W\d_][\w#@.-]*", text.replace(value.name, " "))
    return " ".join(words[-4:])


def named_apart(series: list[Series], starts: Lines, notes: list[str]) -> list[Series]:
    """Join the parts of a series from several templates, and give different series different names."""
    by_name: dict[str, list[Series]] = defaultdict(list)
    for one in series:
        by_name[plain(one.name)].append(one)
    result: list[Series] = []
    for group in by_name.values():
        joined: list[Series] = []
        for one in sorted(group, key=lambda one: -len(one.lines)):
            partner = next((other for other in joined if _disjoint(one, other, starts)), None)
            if partner is None:
                joined.append(one)
            else:
                joined[joined.index(partner)] = _joined(partner, one)
        joined = _without_repetitions(joined, notes)
        if len(joined) > 1:
            joined = [one for one in joined if len(one.lines) > 1 or one is joined[0]]
        _rename(joined, notes)
        result += joined
    return sorted(result, key=lambda one: (one.source.group.first, one.slot))


def _disjoint(one: Series, other: Series, starts: Lines) -> bool:
    """Return whether two series share few steps within a run."""
    width = 1 + 2 * max(np.abs(one.steps).max(), np.abs(other.steps).max())
    here = one.steps + width * np.searchsorted(starts, one.lines, side="right")
    there = other.steps + width * np.searchsorted(starts, other.lines, side="right")
    return bool(np.isin(here, there).mean() < SHARED) and one.own == other.own


def _joined(one: Series, other: Series) -> Series:
    lines = np.concatenate([one.lines, other.lines])
    order = np.argsort(lines, kind="stable")
    steps = np.concatenate([one.steps, other.steps])[order]
    values = np.concatenate([one.values, other.values])[order]
    return replace(one, lines=lines[order], steps=steps, values=values, percent=one.percent or other.percent)


def _without_repetitions(joined: list[Series], notes: list[str]) -> list[Series]:
    """Leave out series that only repeat the last value of another, as a bar repeats the last validation loss."""
    repeated = [one for one in joined if any(_repeats(one, other) for other in joined)]
    notes += [f"{one.name!r} repeats in every line what an evaluation gave: left out there" for one in repeated]
    return [one for one in joined if one not in repeated]


def _repeats(one: Series, other: Series) -> bool:
    """Return whether each value of one series is the last value of the other, perhaps rounded."""
    if len(other.lines) < 2 or len(one.lines) < REPEATED * len(other.lines):
        return False
    index = np.searchsorted(other.lines, one.lines) - 1
    same = np.isclose(one.values, other.values[index], rtol=ROUNDED, atol=ROUNDED)
    return bool((index >= 0).all() and same.all())


def _rename(joined: list[Series], notes: list[str]) -> None:
    """Rename series of equal name: by batch and epoch if these differ, else by the words around them."""
    if len(joined) < 2:
        return
    dense, sparse = joined[0], joined[1]
    rest = joined
    if dense.own and not sparse.own and len(sparse.lines) * 2 <= len(dense.lines):
        name = dense.name
        dense.name, sparse.name = f"batch/{name}", f"epoch/{name}"
        rest = joined[1:]
    if len(rest) < 2:
        return
    seen: set[str] = set()
    for number, one in enumerate(rest):
        name = one.name
        label = one.label
        if number and label and plain(f"{label}/{name}") not in seen:
            one.name = f"{label}/{name}"
        elif number:
            one.name = f"{name} ({number + 1})"
        seen.add(plain(one.name))
    if is_loss(rest[0].name):
        others = ", ".join(repr(one.name) for one in rest[1:])
        notes.append(
            f"{rest[0].name!r} stands in several kinds of lines: that of the most lines is taken; beside it {others}"
        )


def call_the_only_loss(series: Sequence[Series], notes: list[str]) -> None:
    """Rename the only training loss to ``loss`` if its name is not known. If there are several, note that."""
    known = built_in_names().assign(one.name for one in series)
    if "train_loss" in known or "batch_loss" in known:
        return
    training = [one for one in series if is_loss(one.name) and side_of(one.name) not in EVALUATION]
    if len(training) == 1:
        notes.append(f"{training[0].name!r} is the only loss of training: taken for it, and called 'loss'")
        training[0].name = "loss"
    elif training and any("loss" in signal for signal in known):
        names = ", ".join(repr(one.name) for one in training[:SHOWN])
        notes.append(f"several losses, and none is that of training by its name: {names}; say which with map=")
