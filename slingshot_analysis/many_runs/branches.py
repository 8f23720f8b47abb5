"""Branches: arms that continue one run from one of its states, compared with each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from slingshot_analysis.analysis import Analysis, analyze
from slingshot_analysis.errors import InputError
from slingshot_analysis.markup import Shown
from slingshot_analysis.signal import Signal
from slingshot_analysis.trace import Trace, open_trace

Verdict = Literal["removed", "delayed", "earlier", "weakened", "stronger", "unchanged", "not decided"]

CONTROL = "control"
REPRODUCED = (
    *("batch_loss", "batch_loss_float64", "batch_errors", "gradient_norm"),
    *("parameter_norm", "last_layer_norm", "representation_norm", "total_norm"),
    *("train_loss", "train_accuracy", "train_errors", "val_loss", "val_accuracy", "val_errors"),
)
"""Signals that a run which is trained again repeats bit for bit."""
LOSS_SETTINGS = "loss", "label_smoothing", "z_loss", "temperature"
"""Settings that change what the loss is, so that its values before and after the branch point can't be compared."""
LOSSES = "batch_loss", "batch_loss_float64", "train_loss", "val_loss"
LEAST_NULLS = 3
"""Smallest number of null arms whose spread is a measure of chance."""
LEAST_MARGIN, LEAST_RATIO = 0.02, 1.25
"""Smallest difference that counts: share of the time from the branch point to the event, and ratio of peak losses."""
PEAK_UPDATES = 500
"""Updates after a transition among which its peak loss is looked for."""
ROWS_AWAY, LEAST_AWAY = 5, 1e-3
"""An arm has left the control when the logarithms of their norms differ this much, in this many rows in a row."""


@dataclass(frozen=True)
class Agreement(Shown):
    """How far the rows of a trace equal those of the run from which it branches, bit for bit.

    Parameters
    ----------
    rows : int
        Number of rows that both have from the branch point on.
    signals : int
        Number of signals that both have.
    differs_at : int or None, updates
        First step with another value; None if all are equal.
    signal : str
        The signal that differs there; empty if all are equal.
    """

    rows: int
    signals: int
    differs_at: int | None
    signal: str

    @property
    def is_equal(self) -> bool:
        """Whether there are rows to compare, and all are equal."""
        return self.rows > 0 and self.differs_at is None


@dataclass(frozen=True)
class ArmOutcome(Shown):
    """What became of an arm by the horizon of its branch.

    Parameters
    ----------
    arm, change : str
        Name of the arm, and what it changes.
    event : int or None, updates
        First transition of a slingshot after the branch point; None if there is none by the horizon.
    peak_loss : float or None, nats
        Largest loss of a batch within 500 updates of it.
    norm : float or None, norm
        Norm of the last layer at the horizon.
    val_before, val_accuracy : float or None, fraction in [0, 1]
        Validation accuracy of the control at its first evaluation, and of this arm at its last one.
    leaves : int or None, updates
        Step from which on the norm differs from that of the control by more than twice as much as that of any null arm,
        and by 0.1%; None if it never does.
    verdict : {"removed", "delayed", "earlier", "weakened", "stronger", "unchanged", "not decided"}
        What became of the control's event.
    why : str
        Why it is not decided, or what the verdict rests on.
    """

    arm: str
    change: str
    event: int | None
    peak_loss: float | None
    norm: float | None
    val_before: float | None
    val_accuracy: float | None
    leaves: int | None
    verdict: Verdict
    why: str

    @property
    def val_gain(self) -> float | None:
        """Rise of the validation accuracy from the branch point to the horizon."""
        if self.val_accuracy is None or self.val_before is None:
            return None
        return self.val_accuracy - self.val_before


@dataclass(frozen=True)
class Branch:
    """The arms of one branch, read from their traces.

    Parameters
    ----------
    folder : Path
        Folder of the traces.
    parent : str
        Name of the run from which they branch.
    step, horizon : int, updates
        Branch point, and last step of the arms.
    outcomes : tuple of ArmOutcome
        The control first, then null arms, then the others.
    signals : mapping of str to mapping of str to Signal
        Signals of each arm by its name: its own rows, from the branch point on.
    """

    folder: Path
    parent: str
    step: int
    horizon: int
    outcomes: tuple[ArmOutcome, ...]
    signals: Mapping[str, Mapping[str, Signal]]

    @property
    def control(self) -> ArmOutcome:
        """The arm without a change."""
        return self.outcomes[0]

    @property
    def nulls(self) -> tuple[ArmOutcome, ...]:
        """The arms that differ by chance alone."""
        return tuple(outcome for outcome in self.outcomes if is_null(outcome.arm))

    @property
    def changed(self) -> tuple[ArmOutcome, ...]:
        """The arms with a change that is tested."""
        return tuple(one for one in self.outcomes if one.arm != CONTROL and not is_null(one.arm))


def is_null(arm: str) -> bool:
    """Return whether an arm of this name is a null arm."""
    return arm.startswith("null-")


def agreement(parent: Trace, run: Trace, step: int) -> Agreement:
    """Compare the rows of a branched run with those of its parent, from the branch point on, bit for bit.

    Signals whose values or steps depend on the time that a measurement takes, such as curvature, are left out.

    Parameters
    ----------
    parent, run : Trace
        The two runs.
    step : int, updates
        The branch point.
    """
    names = [name for name in REPRODUCED if name in parent and name in run]
    rows, first, where = 0, math.inf, ""
    of_run, of_parent = run.read(names), parent.read(names)
    for name in names:
        mine, theirs = of_run[name], of_parent[name]
        steps, i, j = np.intersect1d(mine.step, theirs.step, return_indices=True)
        kept = steps >= step
        a, b = (np.ascontiguousarray(signal.value[k[kept]]) for signal, k in ((mine, i), (theirs, j)))
        rows = max(rows, len(a))
        width = a[0].nbytes if len(a) else 1
        if a.dtype != b.dtype or a.shape != b.shape:
            differ = np.ones(len(a), dtype=bool)
        else:
            differ = (a.view(np.uint8).reshape(-1, width) != b.view(np.uint8).reshape(-1, width)).any(1)
        if differ.any() and (at := int(steps[kept][differ.argmax()])) < first:
            first, where = at, name
    return Agreement(rows, len(names), None if math.isinf(first) else int(first), where)


def read_branch(folder: str | Path) -> Branch:
    """Read the traces of a branch and compare its arms.

    Parameters
    ----------
    folder : path-like
        Folder of ``control.h5`` and the other arms. The parent must be where it was, seen from this folder.

    Raises
    ------
    InputError
        If the folder has no control, or a trace or the parent can't be read.
    """
    folder = Path(folder)
    if not (folder / f"{CONTROL}.h5").exists():
        raise InputError(f"{folder}: has no {CONTROL}.h5; give the folder into which `slingshot branch` wrote the arms")
    control = open_trace(folder / f"{CONTROL}.h5")
    found = [open_trace(path) for path in sorted(folder.glob("*.h5"))]
    traces = {str(trace.attributes["arm"]): trace for trace in found if trace.finished and "arm" in trace.attributes}
    if CONTROL not in traces:
        raise InputError(f"{control.path}: is no finished control of a branch; give the same command again to go on")
    step, steps = (int(control.attributes[name]) for name in ("branch_step", "branch_steps"))
    parent = open_trace(folder / str(control.attributes["parent"]))
    order = sorted(traces, key=lambda arm: (arm != CONTROL, not is_null(arm)))
    signals = {arm: traces[arm].read([name for name in traces[arm] if name in REPRODUCED]) for arm in order}
    analyses = {arm: analyze(_with_history(parent, traces[arm], signals[arm], step)) for arm in order}
    outcomes = [_outcome(traces[arm], signals[arm], analyses[arm], step) for arm in order]
    before = _first(signals[CONTROL].get("val_accuracy"))
    outcomes = [replace(one, val_before=before) for one in outcomes]
    control_signals = signals[CONTROL]
    null_signals = [signals[arm] for arm in order if is_null(arm)]
    outcomes = [
        replace(_judged(one, outcomes, step), leaves=_leaves(signals[one.arm], control_signals, null_signals))
        for one in outcomes
    ]
    return Branch(folder, parent.name, step, step + steps, tuple(outcomes), signals)


def _with_history(parent: Trace, run: Trace, signals: Mapping[str, Signal], step: int) -> dict[str, Signal]:
    """Return the signals of an arm with the rows of its parent before them.

    A loss that is defined otherwise than that of the parent begins at the branch point.
    """
    is_other_loss = any(run.config.get(name) != parent.config.get(name) for name in LOSS_SETTINGS if name in run.config)
    whole = {}
    for name, signal in signals.items():
        whole[name] = signal
        if name in parent and not (is_other_loss and name in LOSSES):
            before = parent[name]
            early = np.asarray(before.step) < step
            whole[name] = replace(
                signal,
                step=np.concatenate([before.step[early], signal.step]),
                value=np.concatenate([before.value[early], signal.value]),
            )
    return whole


def _outcome(run: Trace, signals: Mapping[str, Signal], analysis: Analysis, step: int) -> ArmOutcome:
    event = next((one.transition for one in analysis.certain if one.transition > step), None)
    peak = None
    if event is not None and "batch_loss" in signals:
        loss = signals["batch_loss"]
        after = np.asarray(loss.step) - event
        near = loss.value[(after >= 0) & (after < PEAK_UPDATES)]
        peak = float(near.max()) if len(near) else None
    why = "the loss has not come back by the horizon" if analysis.verdict == "diverged" else ""
    return ArmOutcome(
        str(run.attributes["arm"]),
        str(run.attributes.get("change", "")),
        event,
        peak,
        _last(signals.get("last_layer_norm")),
        None,
        _last(signals.get("val_accuracy")),
        None,
        "not decided",
        why,
    )


def _judged(one: ArmOutcome, outcomes: Sequence[ArmOutcome], step: int) -> ArmOutcome:
    """Return the outcome with its verdict: what became of the event, against the control and the null arms."""
    chance = [other for other in outcomes if other.arm == CONTROL or is_null(other.arm)]
    events = [other.event for other in chance if other.event is not None]
    if one.why:
        return one
    if chance[0].event is None:
        return replace(one, why="the control has no event by the horizon")
    if len(chance) < 1 + LEAST_NULLS:
        return replace(one, why=f"fewer than {LEAST_NULLS} null arms")
    if len(events) < len(chance):
        return replace(one, why=f"{len(chance) - len(events)} of {len(chance) - 1} null arms have no event either")
    if one.event is None:
        return replace(one, verdict="removed", why="the control and every null arm have an event by the horizon")
    margin = max(max(events) - min(events), LEAST_MARGIN * (chance[0].event - step))
    spread = f"the control and the null arms have it between {min(events):,} and {max(events):,}"
    if one.event > max(events) + margin:
        return replace(one, verdict="delayed", why=spread)
    if one.event < min(events) - margin:
        return replace(one, verdict="earlier", why=spread)
    peaks = [math.log(other.peak_loss) for other in chance if other.peak_loss]
    if one.peak_loss and len(peaks) == len(chance) and not _is_other_loss(one):
        margin, size = max(max(peaks) - min(peaks), math.log(LEAST_RATIO)), math.log(one.peak_loss)
        spread = f"the loss peaks between {math.exp(min(peaks)):.3g} and {math.exp(max(peaks)):.3g} there"
        if size < min(peaks) - margin:
            return replace(one, verdict="weakened", why=spread)
        if size > max(peaks) + margin:
            return replace(one, verdict="stronger", why=spread)
    return replace(one, verdict="unchanged", why=spread)


def _is_other_loss(one: ArmOutcome) -> bool:
    return any(part.partition("=")[0] in LOSS_SETTINGS for part in one.change.split(","))


def _leaves(
    signals: Mapping[str, Signal], control: Mapping[str, Signal], nulls: Sequence[Mapping[str, Signal]]
) -> int | None:
    """Return the first step of `ROWS_AWAY` rows whose norm differs more from the control than chance explains."""
    name = "last_layer_norm"
    if any(name not in each for each in (signals, control, *nulls)) or not nulls:
        return None
    steps = control[name].step
    rows = min(len(each[name]) for each in (signals, control, *nulls))
    with np.errstate(divide="ignore", invalid="ignore"):
        own, base, *chance = (np.log(each[name].value[:rows]) for each in (signals, control, *nulls))
    limit = np.maximum(LEAST_AWAY, 2 * np.abs(np.array(chance) - base).max(0))
    away = np.abs(own - base) > limit
    runs = np.convolve(away, np.ones(ROWS_AWAY), "valid") == ROWS_AWAY
    return int(steps[runs.argmax()]) if runs.any() else None


def _first(signal: Signal | None) -> float | None:
    return float(signal.value[0]) if signal is not None and len(signal) else None


def _last(signal: Signal | None) -> float | None:
    return float(signal.value[-1]) if signal is not None and len(signal) else None
