"""Turn the lines of a text into runs, with a description of what was read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from slingshot_analysis.errors import unknown_name
from slingshot_analysis.readers._raw import LineTemplate
from slingshot_analysis.readers._text.choice import (
    near_the_losses,
    of_one_process,
    repeating,
    split_by_headings,
    with_telling_names,
)
from slingshot_analysis.readers._text.positions import axis_of, counted, drop_unfinished
from slingshot_analysis.readers._text.runs import Part, parts_of, starts_of
from slingshot_analysis.readers._text.scan import Group, Scan
from slingshot_analysis.readers._text.series import Series, call_the_only_loss, named_apart, series_of
from slingshot_analysis.readers._text.templates import Field, Template
from slingshot_analysis.readers._text.tokens import MARK
from slingshot_analysis.readers._text.words import is_loss, plain

FEW_ROWS = 5
"""Minimum number of values of a log without any counter."""
LONGEST_EXAMPLE = 160


@dataclass
class Reading:
    """The runs of a text, and how it was understood.

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
    header : str
        The header of the table in which all losses stand, if blanks are enough to cut it.
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
    header: str = ""
    repeats: bool = False
    total: float = np.nan


def reading_of(scan: Scan, where: str, step: str | None = None, told: bool = False) -> Reading:
    """Make columns of the lines of a text.

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
    groups, notes = of_one_process(scan.groups)
    if not any(group.template.given for group in groups):
        groups = split_by_headings(with_telling_names(groups, notes), scan.sides, notes)
    if step is not None:
        _check_step(step, groups, where)
    found = [counted(group, step) for group in groups]
    given = [one for one in found if one.group.template.given]
    kept = given or near_the_losses(repeating(found))
    reading = Reading(notes=notes, repeats=bool(kept))
    if not kept:
        return reading
    unfinished = drop_unfinished(kept)
    if unfinished:
        reading.notes.append(f"states of progress bars before the last left out: {unfinished}")
    headings = [one for one in found if not one.group.template.has_values and len(one.group.lines) > 1]
    context = [one for one in near_the_losses([*kept, *headings]) if not one.group.template.has_values]
    axis = axis_of([*kept, *context], step)
    starts = starts_of(axis, kept)
    reading.notes += axis.notes
    series = series_of(kept, axis, context, scan.sides, reading.notes)
    series = named_apart(series, np.asarray(starts, dtype=np.int64), reading.notes)
    if not told:
        call_the_only_loss(series, reading.notes)
    reading.names = list(dict.fromkeys(one.name for one in series))
    enough = 1 if len(axis.lines) and axis.kind != "rows" else FEW_ROWS
    reading.has_loss = any(is_loss(one.name) and len(one.lines) >= enough for one in series)
    headers = {_plain_header(one.source.group.template) for one in series if is_loss(one.name)}
    reading.header = headers.pop() if len(headers) == 1 else ""
    reading.parts = parts_of(series, axis, starts, scan.headings)
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


def _plain_header(template: Template) -> str:
    """Return the header of a table row, if it has one word for each cell."""
    return template.header if len(template.header.split()) == len(template.masked.split()) else ""


def _check_step(step: str, groups: Sequence[Group], where: str) -> None:
    names = {_shown(one) for group in groups for one in group.template.of_kind("epoch", "iteration", "value")}
    if plain(step) not in map(plain, names):
        raise unknown_name("number for step", step, sorted(names), where)


def _shown(one: Field) -> str:
    """Return the name under which a counter or value is shown to the user."""
    return "step" if one.name in ("lead", "of") else one.name


def _templates(series: Sequence[Series]) -> list[LineTemplate]:
    """Describe the templates, those with the most lines first."""
    by_group: dict[int, list[Series]] = defaultdict(list)
    for one in series:
        by_group[one.source.group.first].append(one)
    found = []
    for members in by_group.values():
        group = members[0].source.group
        names = {one.slot: one.name for one in members}
        found.append(
            LineTemplate(
                _readable(group.template, names),
                " ".join(group.example.split())[:LONGEST_EXAMPLE],
                group.first,
                int(members[0].source.keep.sum()),
                tuple(one.name for one in members),
            )
        )
    return sorted(found, key=lambda one: (not any(map(is_loss, one.columns)), -one.count))


def _readable(template: Template, names: Mapping[int, str]) -> str:
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
            text += "{" + _shown(one) + "}"
        else:
            text += "{}"
        text += piece
        slot += 1
    return " ".join(text.split())
