"""From templates to the columns of runs: which lines count, what their values are called, and where runs begin."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import unknown_name
from slingshot_analysis.readers._names import built_in_names
from slingshot_analysis.readers._raw import Column, LineTemplate
from slingshot_analysis.readers._text.positions import EVALUATION, Axis, Counted, axis_of, counted, drop_unfinished, main_of
from slingshot_analysis.readers._text.scan import Group, Scan
from slingshot_analysis.readers._text.templates import Field, Template
from slingshot_analysis.readers._text.tokens import MARK
from slingshot_analysis.readers._text.words import is_accuracy, is_loss, plain, side_of

__all__ = ["Part", "Reading", "reading_of"]

Numbers = npt.NDArray[np.float64]
Lines = npt.NDArray[np.int64]

SHARED = 0.5
"""Two series of one name that share more than this part of their steps are two series."""
MOST_COLUMNS = 400
"""Columns of a run; those of losses and accuracies come first."""
ABOVE = 40
"""Lines above the first loss that may belong to it."""
FEW = 50
"""Lines of another form that are less than this part of those of the losses are few."""
BARE_SIDES = ("train", "training", "val", "valid", "validation", "dev", "test", "learn")
"""Names that tell a side of the data but not what is measured."""
FEW_ROWS = 5
"""Values that nothing counts are a log if there are at least so many."""
TRAINING = {"train", "training", "learn"}
SHOWN = 8
"""Names that a message lists."""
LONGEST_EXAMPLE = 160


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


@dataclass
class Reading:
    """What was made of a text.

    Parameters
    ----------
    parts : list of Part
        Its runs.
    templates : list of LineTemplate
        The lines that were taken.
    notes : list of str
        What was decided on the way.
    names : list of str
        All names of values that repeat, also those that are no losses.
    has_loss : bool
        Whether any of them is a loss.
    repeats : bool
        Whether any line with values repeats.
    total : float
        Iterations of the whole run, if the lines say it.
    """

    parts: list[Part] = field(default_factory=list)
    templates: list[LineTemplate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    has_loss: bool = False
    repeats: bool = False
    total: float = np.nan


@dataclass
class _Series:
    """Values of one name."""

    name: str
    source: Counted
    slot: int
    lines: Lines
    steps: Numbers
    values: Numbers
    own: bool
    label: str
    percent: bool = False


def reading_of(scan: Scan, where: str, step: str | None = None, told: bool = False) -> Reading:
    """Make columns of what was found in a text.

    Parameters
    ----------
    scan : Scan
        Its lines by template.
    where : str
        The file, for errors.
    step : str, optional
        Name of the number that is the step, where the guess is wrong.
    told : bool, optional
        Whether the user has said which column is which signal.

    Returns
    -------
    Reading
        Without parts if no line with values repeats.

    Raises
    ------
    InputError
        If no number is called `step`.
    """
    groups, notes = _of_one_rank(scan.groups)
    if not any(group.template.given for group in groups):
        groups = _renamed(groups, notes)
    if step is not None:
        _check_step(step, groups, where)
    found = [counted(group, step) for group in groups]
    given = [one for one in found if one.group.template.given]
    kept = given or _near(_repeating(found))
    reading = Reading(notes=notes, repeats=bool(kept))
    if not kept:
        return reading
    unfinished = drop_unfinished(kept)
    if unfinished:
        reading.notes.append(f"states of progress bars before the last left out: {unfinished}")
    context = _near([*kept, *(one for one in found if not one.group.template.has_values and len(one.group.lines) > 1)])
    context = [one for one in context if not one.group.template.has_values]
    axis = axis_of([*kept, *context], step)
    reading.notes += axis.notes
    starts = _starts(axis, kept)
    series = _series(kept, axis, context, scan.sides, reading.notes)
    series = _named_apart(series, np.asarray(starts, dtype=np.int64), reading.notes)
    if not told:
        _tell_only_loss(series, reading.notes)
    reading.names = list(dict.fromkeys(one.name for one in series))
    enough = 1 if len(axis.lines) and axis.kind != "rows" else FEW_ROWS
    reading.has_loss = any(is_loss(one.name) and len(one.lines) >= enough for one in series)
    reading.parts = _parts(series, axis, starts, scan.headings)
    if axis.kind == "epoch":
        reading.notes.append("steps are epochs, not updates")
    reading.templates = _templates(series)
    taken = sum(template.count for template in reading.templates) + sum(len(one.lines) for one in context)
    if scan.line_count - taken - unfinished:
        reading.notes.append(f"lines of other text left out: {scan.line_count - taken - unfinished}")
    if scan.crowded:
        reading.notes.append("the text has very many kinds of lines: only the first were looked at")
    totals = [one.total for one in kept if one.has_loss and np.isfinite(one.total) and axis.kind == "iteration"]
    reading.total = totals[0] if totals and all(total == totals[0] for total in totals) else np.nan
    return reading


def _check_step(step: str, groups: Sequence[Group], where: str) -> None:
    names = {shown(one) for group in groups for one in group.template.of_kind("epoch", "iteration", "value")}
    if plain(step) not in map(plain, names):
        raise unknown_name("number for step", step, sorted(names), where)


def shown(one: Field) -> str:
    """Return the name by which a number is shown."""
    return "step" if one.name in ("lead", "of") else one.name


def _of_one_rank(groups: Sequence[Group]) -> tuple[list[Group], list[str]]:
    """Keep the lines of one process, of several that wrote the same."""
    kept: list[Group] = []
    first: dict[str, str] = {}
    left = 0
    for group in groups:
        template = group.template
        rank = template.rank
        if rank is None:
            kept.append(group)
            continue
        if rank == MARK:
            slot = template.of_kind("rank")[0].slot
            values = group.columns[slot][0]
            same = values == values[0]
            left += int((~same).sum())
            columns = {slot: (pair[0][same], pair[1][same]) for slot, pair in group.columns.items()}
            kept.append(replace(group, lines=group.lines[same], columns=columns))
            continue
        message = template.masked[len(template.prefix) :]
        if first.setdefault(message, rank) == rank:
            kept.append(group)
        else:
            left += len(group.lines)
    return kept, [f"lines that other processes wrote too left out: {left}"] if left else []


def _renamed(groups: Sequence[Group], notes: list[str]) -> list[Group]:
    """Give the name of what is measured to values whose names do not say it."""
    names = {plain(one.name) for group in groups for one in group.template.of_kind("value")}
    has_loss = any(is_loss(one.name) for group in groups for one in group.template.of_kind("value") if len(group.lines) > 1)
    told: dict[str, str] = {}
    for name in sorted(names & set(BARE_SIDES)):
        values = [
            (group, one)
            for group in groups
            for one in group.template.of_kind("value")
            if plain(one.name) == name and not one.timed
        ]
        if sum(len(group.lines) for group, _ in values) < 2 or not (has_loss or names & TRAINING):
            continue
        told[name] = "accuracy" if sum(_rises(group, one) * len(group.lines) for group, one in values) * 2 > sum(
            len(group.lines) for group, _ in values
        ) else "loss"
    if len(set(told.values())) > 1 and told.get("train") is not None:
        told = dict.fromkeys(told, told["train"])
    new = {name: f"{side_of(name)}/{kind}" for name, kind in told.items()}
    for name, kind in told.items():
        why = "an accuracy, as it rises within [0, 1]" if kind == "accuracy" else "a loss"
        notes.append(f"{name!r} does not say what is measured: taken for {why}")
    if "norm" in names and (has_loss or told):
        new["norm"] = "grad_norm"
        notes.append("'norm' stands beside a loss and is taken for that of the gradient")
    scored = any(
        plain(one.name) == "score" and group.template.of_kind("iteration") and len(group.lines) > 1
        for group in groups
        for one in group.template.of_kind("value")
    )
    if scored and not has_loss and "loss" not in told.values():
        new["score"] = "loss"
        notes.append("'score' is taken for the loss, as there is no other")
    if not new:
        return list(groups)
    result = []
    for group in groups:
        fields = [
            replace(one, name=new.get(plain(one.name), one.name)) if one.kind == "value" and not one.timed else one
            for one in group.template.fields
        ]
        result.append(replace(group, template=replace(group.template, fields=fields)))
    return result


def _rises(group: Group, value: Field) -> bool:
    """Tell whether values are fractions that grow, as an accuracy does."""
    values, ok = group.columns[value.slot]
    values = values[ok & np.isfinite(values)] / (100 if value.percent else 1)
    if not len(values) or values.min() < 0 or values.max() > 1:
        return False
    third = max(1, len(values) // 3)
    return bool(value.percent or values[-third:].mean() >= values[:third].mean())


def _repeating(found: Sequence[Counted]) -> list[Counted]:
    """Return the templates with values that repeat, and single lines of losses that others have too, or of an evaluation."""
    valued = [one for one in found if one.group.template.has_values]
    lines: dict[tuple[str, bool], int] = defaultdict(int)
    for one in valued:
        for name in one.measures:
            lines[plain(name.name), one.counts] += len(one.group.lines)
    if not any(count > 1 for count in lines.values()):
        return [one for one in valued if len(one.group.lines) > 1]
    return [
        one
        for one in valued
        if len(one.group.lines) > 1
        or (
            one.measures
            and (
                all(lines[plain(name.name), one.counts] > 1 for name in one.measures)
                or all(_evaluates(name, one) for name in one.measures)
                or not one.has_loss
            )
        )
    ]


def _near(found: Sequence[Counted]) -> list[Counted]:
    """Leave out the few lines of forms that stand only above the losses: configuration and source code."""
    losses = [one for one in found if one.has_loss]
    if not losses:
        return list(found)
    main = main_of(losses)
    first, few = int(main.lines[0]), max(2, len(main.lines) // FEW)
    return [
        one
        for one in found
        if len(one.group.lines) > few
        or int(one.group.lines[-1]) >= first
        or (one.counts and (one.side in EVALUATION or int(one.group.lines[-1]) >= first - ABOVE))
    ]


def _evaluates(name: Field, one: Counted) -> bool:
    sided = {other.side for other in one.group.template.of_kind("value") if other.side}
    return (name.side or one.group.template.side or (sided.pop() if len(sided) == 1 else None)) in EVALUATION


def _series(
    kept: Sequence[Counted], axis: Axis, context: Sequence[Counted], sides: Sequence[tuple[int, str]], notes: list[str]
) -> list[_Series]:
    """Return the values of each name of each template, with their steps."""
    governing = _governing([*kept, *context], sides)
    found: list[_Series] = []
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
                    name = next(f"{name} ({n})" for n in range(2, 99) if plain(f"{name} ({n})") not in names)
                names.add(plain(name))
                if here.any():
                    found.append(
                        _Series(name, one, value.slot, lines[rows][here], steps[rows][here], values[here], own, label, value.percent)
                    )
    return found


def _steps(axis: Axis, one: Counted) -> tuple[Numbers, bool]:
    """Return where lines stand: by themselves, or else where the line above stands, or below if that comes first."""
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


def _governing(kept: Sequence[Counted], sides: Sequence[tuple[int, str]]) -> tuple[Lines, npt.NDArray[np.object_], Lines]:
    """Return all lines that tell a side or a step, with the side or "", and those that count batches of an evaluation."""
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
    """Return for lines without a counter the side that the nearest line above tells, and whether it counts a pass."""
    lines, names, passes = governing
    if not len(lines) or one.iteration is not None or one.epoch is not None:
        return None
    index = np.searchsorted(lines, one.lines) - 1
    above = np.where(index >= 0, names[np.maximum(index, 0)], "")
    return above, np.isin(lines[np.maximum(index, 0)], passes) & (index >= 0)


def _values(one: Counted, value: Field) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Return the values of a name; an accuracy as a fraction, if the line says of what."""
    template = one.group.template
    values, ok = (part[one.keep] for part in one.group.columns[value.slot])
    if is_accuracy(value.name) or plain(value.name) in BARE_SIDES:
        whole = template.total_of(value.slot)
        if whole is not None and is_accuracy(value.name):
            with np.errstate(divide="ignore", invalid="ignore"):
                values = values / one.group.columns[whole.slot][0][one.keep]
        elif value.percent:
            values = values / 100
    return values, ok


def _passes(one: Counted, value: Field, values: Numbers) -> tuple[npt.NDArray[np.int64], Numbers]:
    """Return the last line of each pass over the data of an evaluation, and the mean that it gives, or that of all."""
    assert one.iteration is not None
    iteration = one.iteration[one.keep]
    ends = np.append(np.flatnonzero(np.diff(iteration) <= 0), len(iteration) - 1)
    mean = one.group.template.mean_of(value.slot)
    if mean is not None:
        return ends, one.group.columns[mean.slot][0][one.keep][ends]
    starts = np.concatenate([[0], ends[:-1] + 1])
    return ends, np.asarray([values[begin : end + 1].mean() for begin, end in zip(starts, ends, strict=True)])


def _label(template: Template, value: Field) -> str:
    """Return the words of a line that may tell it from others with the same names."""
    message = template.masked[len(template.prefix) :]
    before = message.split(MARK)
    text = " ".join(before[: max(1, value.slot + 1 - template.prefix.count(MARK))])
    words = [word for word in re.findall(r"[\w#@.-]*[^\W\d_][\w#@.-]*", text.replace(value.name, " "))]
    return " ".join(words[-4:])


def _named_apart(series: list[_Series], starts: Lines, notes: list[str]) -> list[_Series]:
    """Join what is one series in several templates, and name apart what is not."""
    by_name: dict[str, list[_Series]] = defaultdict(list)
    for one in series:
        by_name[plain(one.name)].append(one)
    result: list[_Series] = []
    for group in by_name.values():
        joined: list[_Series] = []
        for one in sorted(group, key=lambda one: -len(one.lines)):
            partner = next((other for other in joined if _disjoint(one, other, starts)), None)
            if partner is None:
                joined.append(one)
            else:
                joined[joined.index(partner)] = _joined(partner, one)
        if len(joined) > 1:
            joined = [one for one in joined if len(one.lines) > 1 or one is joined[0]]
        _rename(joined, notes)
        result += joined
    return sorted(result, key=lambda one: (one.source.group.first, one.slot))


def _disjoint(one: _Series, other: _Series, starts: Lines) -> bool:
    """Tell whether few lines of one stand at steps of the other in the same run."""
    width = 1 + 2 * max(np.abs(one.steps).max(), np.abs(other.steps).max())
    here = one.steps + width * np.searchsorted(starts, one.lines, side="right")
    there = other.steps + width * np.searchsorted(starts, other.lines, side="right")
    return bool(np.isin(here, there).mean() < SHARED) and one.own == other.own


def _joined(one: _Series, other: _Series) -> _Series:
    lines = np.concatenate([one.lines, other.lines])
    order = np.argsort(lines, kind="stable")
    steps = np.concatenate([one.steps, other.steps])[order]
    values = np.concatenate([one.values, other.values])[order]
    return replace(one, lines=lines[order], steps=steps, values=values, percent=one.percent or other.percent)


def _rename(joined: list[_Series], notes: list[str]) -> None:
    """Name apart series of one name: those of each batch from those of each epoch, else by the words around them."""
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
        notes.append(f"{rest[0].name!r} stands in several kinds of lines: that of the most lines is taken; beside it {others}")


def _tell_only_loss(series: Sequence[_Series], notes: list[str]) -> None:
    """Call the only loss of training ``loss`` if its own name is not known; name all if there are several."""
    known = built_in_names().assign(one.name for one in series)
    if "train_loss" in known or "batch_loss" in known:
        return
    training = [one for one in series if is_loss(one.name) and side_of(one.name) not in EVALUATION]
    if len(training) == 1:
        notes.append(f"{training[0].name!r} is the only loss of training: taken for it, and called 'loss'")
        training[0].name = "loss"
    elif training:
        names = ", ".join(repr(one.name) for one in training[:SHOWN])
        notes.append(f"several losses, and none is that of training by its name: {names}; say which with map=")


def _starts(axis: Axis, kept: Sequence[Counted]) -> list[int]:
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
    starts: list[int] = []
    begin = 0
    for index in (np.flatnonzero(np.diff(positions) < 0) + 1).tolist():
        here, rest = positions[begin:index], positions[index:]
        afresh = positions[index] <= here[0] and len(np.unique(here)) > 1 and len(np.unique(rest)) > 1
        cut = np.searchsorted(told, [starts[-1] if starts else 0, int(lines[index])])
        if afresh and cut[1] - cut[0] > 1 and len(told) - cut[1] > 1:
            starts.append(int(lines[index]))
            begin = index
    return starts


def _parts(
    series: Sequence[_Series], axis: Axis, starts: Sequence[int], headings: Sequence[tuple[int, str]]
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


def _heading(headings: Sequence[tuple[int, str]], begin: int | None, series: Sequence[_Series]) -> str:
    first = begin if begin is not None else min((int(one.lines[0]) for one in series), default=0)
    above = [text for line, text in headings if line < first]
    return above[-1] if above else ""


def _templates(series: Sequence[_Series]) -> list[LineTemplate]:
    """Describe the templates, those with the most lines first."""
    by_group: dict[int, list[_Series]] = defaultdict(list)
    for one in series:
        by_group[one.source.group.first].append(one)
    found = []
    for members in by_group.values():
        group = members[0].source.group
        names = {one.slot: one.name for one in members}
        found.append(
            LineTemplate(
                readable(group.template, names),
                " ".join(group.example.split())[:LONGEST_EXAMPLE],
                group.first,
                int(members[0].source.keep.sum()),
                tuple(one.name for one in members),
            )
        )
    return sorted(found, key=lambda one: (not any(map(is_loss, one.columns)), -one.count))


def readable(template: Template, names: Mapping[int, str]) -> str:
    """Return a template as ``--line`` takes it, with ``{name}`` for what is used and ``{}`` for other numbers."""
    if template.given:
        return template.given
    message = template.masked[len(template.prefix) :]
    slot = template.prefix.count(MARK)
    kinds = {one.slot: one for one in template.fields}
    pieces = message.split(MARK)
    text = pieces[0]
    for piece in pieces[1:]:
        one = kinds.get(slot)
        if one is not None and one.kind == "value" and slot in names:
            text += "{" + names[slot] + "}"
        elif one is not None and one.kind in ("epoch", "iteration"):
            text += "{" + shown(one) + "}"
        else:
            text += "{}"
        text += piece
        slot += 1
    return " ".join(text.split())
