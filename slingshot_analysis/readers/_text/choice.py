"""Choose the lines that are read: those of one process, with losses and the lines between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from slingshot_analysis.readers._text.positions import EVALUATION, Counted, main_of
from slingshot_analysis.readers._text.scan import Group
from slingshot_analysis.readers._text.templates import Field
from slingshot_analysis.readers._text.tokens import MARK
from slingshot_analysis.readers._text.words import BARE_SIDES, is_loss, plain, side_of

ABOVE = 40
"""Maximum number of lines above the first loss that may belong to it."""
SHORT = 0.7
"""Length of a pass, as a share of the median pass, below which it is no training pass."""
FEW = 50
"""Number of lines with losses over that of lines of another template, from which on these count as few."""
TRAINING = {"train", "training", "learn"}


def of_one_process(groups: Sequence[Group]) -> tuple[list[Group], list[str]]:
    """Keep the lines of one process where several processes wrote the same lines."""
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
            kept.append(_rows(group, same))
            continue
        message = template.masked[len(template.prefix) :]
        if first.setdefault(message, rank) == rank:
            kept.append(group)
        else:
            left += len(group.lines)
    return kept, [f"lines that other processes wrote too left out: {left}"] if left else []


def with_telling_names(groups: Sequence[Group], notes: list[str]) -> list[Group]:
    """Rename values whose names do not say what is measured, such as ``val``."""
    values = [(group, one) for group in groups for one in group.template.of_kind("value")]
    names = {plain(one.name) for _, one in values}
    has_loss = any(is_loss(one.name) for group, one in values if len(group.lines) > 1)
    new: dict[str, str] = {}
    if has_loss or names & TRAINING:
        for name, kind in _kinds_of_bare_sides(values).items():
            why = "an accuracy, as it rises within [0, 1]" if kind == "accuracy" else "a loss"
            notes.append(f"{name!r} does not say what is measured: taken for {why}")
            new[name] = f"{side_of(name)}/{kind}"
    has_loss = has_loss or any(is_loss(name) for name in new.values())
    if has_loss and "norm" in names:
        new["norm"] = "grad_norm"
        notes.append("'norm' stands beside a loss and is taken for that of the gradient")
    counted = [one for group, one in values if len(group.lines) > 1 and group.template.of_kind("iteration")]
    if not has_loss and any(plain(one.name) == "score" for one in counted):
        new["score"] = "loss"
        notes.append("'score' is taken for the loss, as there is no other")
    if not new:
        return list(groups)
    return [
        replace(
            group,
            template=replace(
                group.template,
                fields=[
                    replace(one, name=new.get(plain(one.name), one.name))
                    if one.kind == "value" and not one.timed
                    else one
                    for one in group.template.fields
                ],
            ),
        )
        for group in groups
    ]


def _kinds_of_bare_sides(values: Sequence[tuple[Group, Field]]) -> dict[str, str]:
    """Return for names such as ``val``, which name only a split, whether they are losses or accuracies."""
    kinds: dict[str, str] = {}
    for name in BARE_SIDES:
        bare = [(group, one) for group, one in values if plain(one.name) == name and not one.timed]
        bare = [(group, one) for group, one in bare if _is_told_where(group)]
        lines = sum(len(group.lines) for group, _ in bare)
        rising = sum(len(group.lines) for group, one in bare if _rises(group, one))
        if lines > 1:
            kinds[name] = "accuracy" if 2 * rising > lines else "loss"
    return dict.fromkeys(kinds, kinds["train"]) if "train" in kinds else kinds


def _is_told_where(group: Group) -> bool:
    """Return whether lines have a counter or a loss."""
    template = group.template
    return bool(template.of_kind("epoch", "iteration")) or any(is_loss(one.name) for one in template.of_kind("value"))


def _rises(group: Group, value: Field) -> bool:
    """Return whether values are fractions that grow, as an accuracy does."""
    values, ok = group.columns[value.slot]
    values = values[ok & np.isfinite(values)] / (100 if value.percent else 1)
    if not len(values) or values.min() < 0 or values.max() > 1:
        return False
    third = max(1, len(values) // 3)
    return bool(value.percent or values[-third:].mean() >= values[:third].mean())


def split_by_headings(groups: Sequence[Group], sides: Sequence[tuple[int, str]], notes: list[str]) -> list[Group]:
    """Separate lines of one template that stand below headings of training from those below headings of an evaluation.

    Such a heading counts only if the counter restarts below it within the same epoch. Lines of a much shorter pass
    without a heading are left out.
    """
    told = [(line, side) for line, side in sides]
    told += [(int(line), "") for group in groups if not group.template.has_values for line in group.lines]
    told.sort(key=lambda pair: pair[0])
    where = np.asarray([line for line, _ in told], dtype=np.int64)
    names = np.asarray([side for _, side in told], dtype=object)
    result: list[Group] = []
    left = 0
    for group in groups:
        counter = next(iter(group.template.of_kind("iteration")), None)
        if counter is None or group.template.side is not None or len(group.lines) < 2 or not group.template.has_values:
            result.append(group)
            continue
        iteration = group.columns[counter.slot][0]
        index = np.searchsorted(where, group.lines) - 1
        side = np.where(index >= 0, names[np.maximum(index, 0)], "") if len(where) else np.full(len(index), "")
        blocks = np.cumsum(np.concatenate([[0], np.diff(index) != 0]))
        begins = np.flatnonzero(np.concatenate([[True], np.diff(index) != 0]))
        before = np.maximum(begins - 1, 0)
        again = (begins > 0) & (iteration[begins] <= iteration[before])
        for epoch in group.template.of_kind("epoch"):
            values = group.columns[epoch.slot][0]
            again &= values[begins] == values[before]
        evaluates = np.isin(side, EVALUATION) & np.isin(blocks, blocks[begins[again]])
        whole = group.template.total_of(counter.slot)
        if whole is not None and not evaluates.any():
            totals = group.columns[whole.slot][0]
            short = totals < SHORT * np.median(totals)
            if np.count_nonzero(np.diff(short)) > 2:
                left += int(short.sum())
                group = _rows(group, ~short)
                evaluates = evaluates[~short]
        if not evaluates.any():
            result.append(group)
            continue
        name = str(side[evaluates][0])
        result.append(_rows(group, ~evaluates))
        first = int(group.lines[evaluates][0])
        result.append(replace(_rows(group, evaluates), first=first, template=replace(group.template, side=name)))
    if left:
        notes.append(f"lines of much shorter passes, perhaps of an evaluation, left out: {left}")
    return result


def _rows(group: Group, keep: npt.NDArray[np.bool_]) -> Group:
    columns = {slot: (pair[0][keep], pair[1][keep]) for slot, pair in group.columns.items()}
    return replace(group, lines=group.lines[keep], columns=columns)


def repeating(found: Sequence[Counted]) -> list[Counted]:
    """Return the templates with several lines, and single lines with known losses or of an evaluation."""
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


def near_the_losses(found: Sequence[Counted]) -> list[Counted]:
    """Leave out templates with few lines, all above the losses: they are configuration or source code."""
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
