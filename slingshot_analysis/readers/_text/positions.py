"""Find the step of each line: from its own counters, from those above it, or from its line number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from slingshot_analysis.readers._names import built_in_names
from slingshot_analysis.readers._text.scan import Group
from slingshot_analysis.readers._text.templates import Field
from slingshot_analysis.readers._text.words import ITERATIONS, is_accuracy, is_loss, plain

Numbers = npt.NDArray[np.float64]
Lines = npt.NDArray[np.int64]

EVALUATION = ("val", "eval", "test")
IN_EPOCH = ("lead", "of", "i", "it", "mb", "batch", "batches", "batch_id", "batch_idx", "batch_no", "batch_num",
            "batch_index", "batchid", "minibatch", "mini_batch")  # fmt: skip
"""Names of counters that may restart in each epoch. Other counters do so only if they restart several times."""
WITHIN = 0.5
"""Share of the epoch changes without a rise of the counter, from which on the counter restarts in each epoch."""
OFTEN = 3
WHOLE = 0.95
"""Minimum share of whole numbers among the values of a counter."""
TOTALS = ("train_runtime", "total_time", "training_time", "total_training_time")
"""Names of values that occur only in a line about the whole run."""
CROWDED = 2.5
"""Number of lines per epoch above which each line is a batch without a counter."""
FEW_BARS = 2
"""Maximum number of finished bars in a log whose every bar state is read as a line: one bar spans the run."""
CONTINUES = 0.5
"""Share of the counter's restarts at which the loss continues, from which on the restarts are epochs and not runs."""


@dataclass(eq=False)
class Counted:
    """The lines of one template with their counters.

    Parameters
    ----------
    group : Group
        The lines.
    keep : (n,) bool array
        Lines that count; not the unfinished states of bars.
    epoch, iteration : (n,) float array or None
        Own counters.
    total : float
        Iterations of an epoch or of all, where the lines say it; else NaN.
    iteration_name : str
        What counts iterations.
    """

    group: Group
    keep: npt.NDArray[np.bool_]
    epoch: Numbers | None
    iteration: Numbers | None
    total: float
    iteration_name: str = ""
    is_pass: bool = False

    @property
    def lines(self) -> Lines:
        """Numbers of the lines that count."""
        return self.group.lines[self.keep]

    @property
    def counts(self) -> bool:
        """Whether the lines have a counter of their own."""
        return self.iteration is not None or self.epoch is not None

    @property
    def side(self) -> str | None:
        """The split, if all losses and accuracies of the line, or else its words, name the same one."""
        sides = {one.side or self.group.template.side for one in self.measures}
        if sides:
            return sides.pop() if len(sides) == 1 else None
        return self.group.template.side

    @property
    def measures(self) -> list[Field]:
        """Its losses and accuracies."""
        values = [one for one in self.group.template.of_kind("value") if not one.timed]
        if any(plain(one.name) in TOTALS for one in values):
            return []
        return [one for one in values if is_loss(one.name) or is_accuracy(one.name)]

    @property
    def has_loss(self) -> bool:
        """Whether it holds a loss."""
        return any(is_loss(one.name) for one in self.measures)


@dataclass
class Axis:
    """The axis of a run.

    Parameters
    ----------
    kind : {"iteration", "running", "epoch", "rows"}
        What is counted. A running axis counts iterations over all epochs.
    length : float
        Iterations of an epoch, for a running axis.
    first_epoch : float
        The number of the first epoch.
    from_headings : bool
        Whether the lines of the loss take their place from headings above them.
    lines, positions : (n,) arrays
        The lines with a position of their own, in order, and these positions.
    notes : list of str
        What was decided.
    """

    kind: str
    length: float = np.nan
    first_epoch: float = 0.0
    from_headings: bool = False
    lines: Lines = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    positions: Numbers = field(default_factory=lambda: np.empty(0))
    notes: list[str] = field(default_factory=list)


def counted(group: Group, chosen: str | None = None) -> Counted:
    """Find the counters of a template's lines; of two the one that never starts again, or the `chosen` one."""
    template = group.template
    count = len(group.lines)
    epoch = None
    for one in template.of_kind("epoch"):
        values, ok = group.columns[one.slot]
        if epoch is None and ok.any() and not np.isnan(values).all():
            epoch = values
    best: tuple[int, Numbers, str, float] | None = None
    named = [one for one in template.of_kind("iteration", "value") if chosen is not None and _is(one, chosen)]
    for one in named or template.of_kind("iteration"):
        values, ok = group.columns[one.slot]
        if named:
            best = (0, np.where(ok, values, np.nan), one.name, np.nan)
            break
        finite = values[ok & np.isfinite(values)]
        if one.name == "lead" and epoch is not None:
            continue
        if len(finite) < count / 2 or np.mean(finite % 1 == 0) < WHOLE:
            continue
        whole = template.total_of(one.slot)
        total = float(np.nanmax(group.columns[whole.slot][0])) if whole is not None else np.nan
        rank = ITERATIONS.index(one.name)
        constant = count > 1 and bool(np.all(finite == finite[0]))
        if constant and not template.is_bar and (np.isnan(total) or finite[0] == total):
            continue
        if best is None or rank < best[0]:
            best = (rank, values, one.name, total)
    if chosen is not None and not named:
        best = None
    if best is None:
        return Counted(group, np.ones(count, dtype=np.bool_), epoch, None, np.nan)
    return Counted(group, np.ones(count, dtype=np.bool_), epoch, best[1], best[3], best[2])


def _is(one: Field, chosen: str) -> bool:
    return plain(chosen) == plain("step" if one.name in ("lead", "of") else one.name)


def drop_unfinished(found: Sequence[Counted]) -> int:
    """Leave out all states of a bar but the last; return how many. A bar over the whole run keeps all."""
    bars = [one for one in found if one.group.template.is_bar and one.iteration is not None and np.isfinite(one.total)]
    valued = [one for one in bars if one.group.template.has_values]
    if not valued:
        return 0
    finished = {id(one): _finished(one) for one in valued}
    complete = sum(
        int((one.iteration[finished[id(one)]] == one.total).sum()) for one in valued if one.iteration is not None
    )
    states = sum(len(one.group.lines) for one in valued)
    ended = sum(int(mask.sum()) for mask in finished.values())
    if ended <= FEW_BARS < states:
        return 0
    dropped = 0
    for one in valued:
        mask = finished[id(one)]
        if complete > FEW_BARS and one.iteration is not None:
            mask = mask & (one.iteration == one.total)
        one.keep = mask
        dropped += int((~mask).sum())
        one.iteration = None
    return dropped


def _finished(bar: Counted) -> npt.NDArray[np.bool_]:
    """Return the last states of bars: after them the epoch changes or the count goes back, or the count is complete."""
    assert bar.iteration is not None
    after = np.append(bar.iteration[1:], -np.inf)
    same = np.ones(len(after), dtype=np.bool_)
    if bar.epoch is not None:
        same = np.append(bar.epoch[1:] == bar.epoch[:-1], False)
    goes_on = same & ((after > bar.iteration) | ((after == bar.iteration) & (bar.iteration < bar.total)))
    return np.asarray(~goes_on, dtype=np.bool_)


def axis_of(found: Sequence[Counted], chosen: str | None = None) -> Axis:
    """Find the axis of a log from the lines of its losses, and where the lines with counters stand on it."""
    valued = [one for one in found if one.group.template.has_values]
    losses = [one for one in valued if one.has_loss] or [one for one in valued if one.measures] or valued
    training = [one for one in losses if one.side not in EVALUATION] or losses
    if not training:
        return Axis("rows")
    main = main_of(training)
    headings = [one for one in found if not one.group.template.has_values and not one.group.template.is_bar]
    lines, epochs = _epochs(found)
    main_lines = main.lines
    epoch = main.epoch[main.keep] if main.epoch is not None else _above(lines, epochs, main_lines)
    iteration = main.iteration[main.keep] if main.iteration is not None else None
    name, total = main.iteration_name, main.total
    heads: Counted | None = None
    if iteration is None:
        heads = _heading_counter(headings, len(main_lines))
        if heads is not None and heads.iteration is not None:
            iteration = _above(heads.lines, heads.iteration[heads.keep], main_lines)
            name, total = heads.iteration_name, heads.total
    if chosen == "epoch":
        iteration = None
    if iteration is not None and np.isfinite(iteration).sum() > len(iteration) / 2:
        axis = _iteration_axis(main, iteration, epoch, name, total)
    else:
        axis = _epoch_axis(main_lines, epoch, chosen == "epoch")
    axis.from_headings = main.iteration is None and (main.epoch is None or axis.kind != "epoch")
    _place(axis, found, training, main, heads, lines, epochs)
    return axis


def main_of(found: Sequence[Counted]) -> Counted:
    """Return the template that determines the axis: it has counters, a known name, and many lines."""
    most = max(len(one.lines) for one in found)

    def worth(one: Counted) -> tuple[bool, bool, bool, int]:
        known = bool({"train_loss", "batch_loss"} & set(built_in_names().assign(value.name for value in one.measures)))
        return (len(one.lines) * 10 >= most, known, one.counts, len(one.lines))

    return max(found, key=worth)


def _heading_counter(headings: Sequence[Counted], count: int) -> Counted | None:
    """Return the headings that count iterations, if there are at least half as many as lines of the loss."""
    able = [one for one in headings if one.iteration is not None and len(one.lines) * 2 >= count]
    return min(able, key=lambda one: (ITERATIONS.index(one.iteration_name), -len(one.lines)), default=None)


def _epochs(found: Sequence[Counted]) -> tuple[Lines, Numbers]:
    """Return all lines that contain an epoch, in order."""
    return _sorted([(one.lines, one.epoch[one.keep]) for one in found if one.epoch is not None])


def _above(lines: Lines, values: Numbers, wanted: Lines) -> Numbers:
    """Return for each wanted line the value of the nearest line at or above it; NaN where there is none."""
    if not len(lines):
        return np.full(len(wanted), np.nan)
    index = np.searchsorted(lines, wanted, side="right") - 1
    return np.where(index >= 0, values[np.maximum(index, 0)], np.nan)


def _iteration_axis(main: Counted, iteration: Numbers, epoch: Numbers, name: str, total: float) -> Axis:
    """Tell a counter of the whole run from one that starts again in each epoch."""
    rises = np.diff(iteration)
    back = rises < 0
    told = np.isfinite(epoch[1:]) & np.isfinite(epoch[:-1])
    forward = told & (np.diff(epoch) > 0)
    starts_again = back if (rises[told & ~forward] > 0).any() else rises <= 0
    if forward.any() and np.mean(starts_again[forward]) > WITHIN:
        length = _length(iteration, total)
        note = f"steps are counted through the epochs: {length:g} for each"
        return Axis("running", length, float(np.nanmin(epoch)), notes=[note])
    within = name in IN_EPOCH or int(back.sum()) >= OFTEN
    if back.any() and not told.any() and within and _goes_on(main, back):
        length = _length(iteration, total)
        note = (
            f"the counter starts again {int(back.sum())} times while the loss goes on where it was: taken for epochs "
            f"of {length:g} steps"
        )
        return Axis("running", length, notes=[note])
    return Axis("iteration")


def _length(iteration: Numbers, total: float) -> float:
    """Return the number of iterations of an epoch: the given total, or else the last count plus one stride."""
    finite = iteration[np.isfinite(iteration)]
    top = float(finite.max())
    if np.isfinite(total) and total >= top > 0:
        return total
    rises = np.diff(finite)
    rises = rises[rises > 0]
    stride = float(np.median(rises)) if len(rises) else 1.0
    return top if float(finite.min()) >= stride else top + stride


def _goes_on(main: Counted, back: npt.NDArray[np.bool_]) -> bool:
    """Return whether the loss, where the counter restarts, is nearer to the value before than to its first value."""
    slot = next((one.slot for one in main.group.template.of_kind("value") if is_loss(one.name)), None)
    if slot is None:
        return False
    value = main.group.columns[slot][0][main.keep]
    starts = np.flatnonzero(back) + 1
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.log(np.abs(value))
        goes_on = np.abs(level[starts] - level[starts - 1]) < np.abs(level[starts] - level[0])
    return bool(np.mean(goes_on) > CONTINUES)


def _epoch_axis(main_lines: Lines, epoch: Numbers, chosen: bool) -> Axis:
    """Return an axis of epochs, if each line of the loss has another epoch or epochs are the `chosen` step."""
    finite = epoch[np.isfinite(epoch)]
    distinct = 1 + int((np.diff(finite) != 0).sum()) if len(finite) else 0
    if distinct > 1 and (chosen or len(main_lines) < CROWDED * distinct):
        return Axis("epoch")
    if distinct == 1 and len(main_lines) == 1:
        return Axis("epoch")
    note = "nothing counts the batches of an epoch: lines are counted" if distinct else "no counter: lines are counted"
    return Axis("rows", notes=[note + " as steps; correct it with map= or line="])


def _place(
    axis: Axis,
    counting: Sequence[Counted],
    training: Sequence[Counted],
    main: Counted,
    heads: Counted | None,
    epoch_lines: Lines,
    epochs: Numbers,
) -> None:
    """Place the lines that have counters of the axis's kind."""
    placed: list[tuple[Lines, Numbers]] = []
    if axis.kind == "rows":
        placed.append((main.lines, np.arange(len(main.lines), dtype=np.float64)))
    elif axis.kind == "epoch":
        placed.append((epoch_lines, epochs))
    else:
        trusted = [one for one in (main, heads) if one is not None and one.iteration is not None]
        if not trusted:
            trusted = [one for one in training if one.iteration is not None]
        for one in trusted:
            placed.append((one.lines, _position(axis, one, epoch_lines, epochs)))
        done = set(map(id, trusted))
        beside = {one.name for one in main.group.template.of_kind("iteration")} - {main.iteration_name}
        for one in counting:
            if one.iteration_name in beside and id(one) not in done:
                one.iteration = None  # the main template has this counter too, but takes its steps from another one
        for others in (training, counting):
            base_lines, base = _sorted(placed)
            for one in others:
                if one.iteration is None or id(one) in done:
                    continue
                done.add(id(one))
                shorter = np.isfinite(one.total) and np.isfinite(main.total) and one.total != main.total
                again = bool((np.diff(one.iteration[one.keep]) < 0).any()) or np.isfinite(one.total)
                if one.side in EVALUATION and (one.iteration_name in IN_EPOCH or shorter) and again:
                    one.is_pass = True
                    continue
                position = _position(axis, one, epoch_lines, epochs)
                apart = one.lines[-1] < base_lines[0] or one.lines[0] > base_lines[-1]
                if (apart and others is training) or _agrees(base_lines, base, one.lines, position):
                    placed.append((one.lines, position))
                else:
                    one.is_pass = one.side in EVALUATION
    axis.lines, axis.positions = _sorted(placed)


def _position(axis: Axis, one: Counted, epoch_lines: Lines, epochs: Numbers) -> Numbers:
    assert one.iteration is not None
    iteration = one.iteration[one.keep]
    if axis.kind != "running":
        return iteration
    if not len(epoch_lines):
        return axis.length * np.concatenate([[0.0], np.cumsum(np.diff(iteration) < 0)]) + iteration
    epoch = one.epoch[one.keep] if one.epoch is not None else _above(epoch_lines, epochs, one.lines)
    return (epoch - axis.first_epoch) * axis.length + iteration


def _sorted(placed: Sequence[tuple[Lines, Numbers]]) -> tuple[Lines, Numbers]:
    """Return the lines that have a position, in order, and their positions."""
    if not placed:
        return np.empty(0, dtype=np.int64), np.empty(0)
    lines = np.concatenate([part[0] for part in placed])
    positions = np.concatenate([part[1] for part in placed])
    order = np.argsort(lines, kind="stable")
    order = order[np.isfinite(positions[order])]
    return lines[order], positions[order]


def _agrees(base_lines: Lines, base: Numbers, lines: Lines, positions: Numbers) -> bool:
    """Return whether a counter agrees with the training lines around it. A counter of evaluation batches does not."""
    if not len(base_lines):
        return True
    index = np.searchsorted(base_lines, lines)
    above = base[np.maximum(index - 1, 0)]
    below = base[np.minimum(index, len(base) - 1)]
    rises = np.diff(base)
    rises = rises[rises > 0]
    slack = 2 * float(np.median(rises)) if len(rises) else 1.0
    near = (positions >= np.minimum(above, below) - slack) & (positions <= np.maximum(above, below) + slack)
    return bool(np.mean(near) > 0.5)
