"""One run that is being watched: what the online rules and the analyses so far say of it."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from slingshot_analysis.analysis import Analysis, analyze
from slingshot_analysis.analysis.signals import LOSSES, NORMS, chosen_norm, first_of
from slingshot_analysis.canonical import as_step
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import LABEL_SHARE
from slingshot_analysis.markup import words_of
from slingshot_analysis.online_rules import EarlyWarning, TransitionTrigger
from slingshot_analysis.safe_text import printable
from slingshot_analysis.trace import Trace
from slingshot_analysis.watching.curve import GrowingCurve

PACE_SECONDS = 30.0
"""Seconds over which the pace is averaged."""
COLLAPSE = "softmax_collapse"

Kind = Literal["transition", "warning", "slingshot", "spike", "ended"]


@dataclass(frozen=True)
class Event:
    """Something that happened while a run was watched.

    Parameters
    ----------
    kind : {"transition", "warning", "slingshot", "spike", "ended"}
        "transition" and "warning" come from the online rules, "slingshot" and "spike" from an analysis of the rows so
        far. "ended" is the end of the run.
    run, file : str
        The run and its file.
    step : int, updates
        Where it happened.
    seen : int, updates
        Last step that had been read when it was seen.
    words : str
        One sentence.
    """

    kind: Kind
    run: str
    file: str
    step: int
    seen: int
    words: str


@dataclass(frozen=True)
class RunState:
    """What is known of a run now.

    Parameters
    ----------
    run, file : str
        The run and its file.
    step : int or None, updates
        Last step; None without rows.
    steps : int or None, updates
        Length of the run, if it is known.
    pace : float or None, updates per second
        Over the last half minute; None if the run was seen only once.
    ended : str
        How the run ended; empty while it goes on.
    phase : str
        The present phase of the norm.
    facts : tuple of str
        What was found so far, a sentence each.
    slingshots, transitions : tuple of int, updates
        Transitions of the slingshots found so far, and transitions that are not judged yet.
    phases : tuple of (str, int, int)
        Kind, start and end of each phase of the norm.
    norm_name, loss_name : str
        The signals; empty if there is none.
    norm, loss : GrowingCurve
        Their curves.
    """

    run: str
    file: str
    step: int | None
    steps: int | None
    pace: float | None
    ended: str
    phase: str
    facts: tuple[str, ...]
    slingshots: tuple[int, ...]
    transitions: tuple[int, ...]
    phases: tuple[tuple[str, int, int], ...]
    norm_name: str
    loss_name: str
    norm: GrowingCurve = field(repr=False)
    loss: GrowingCurve = field(repr=False)

    @property
    def seconds_left(self) -> float | None:
        """Time until the run is done at the present pace, in seconds; None if that is not known."""
        if self.ended or not self.pace or self.steps is None or self.step is None:
            return None
        return max(self.steps - self.step, 0) / self.pace


class WatchedRun:
    """Takes the rows of a run as they come.

    Parameters
    ----------
    run : Trace
        The run.
    steps : int or None
        Its length in updates; by default what its configuration says.
    """

    def __init__(self, run: Trace, steps: int | None = None) -> None:
        self.run = run
        self.analysis: Analysis | None = None
        self.ended = ""
        self.fresh = False
        """Whether rows came after the last analysis."""
        self._steps = steps if steps is not None else _length(run)
        self._name, self._file = printable(run.name), str(run.path)
        self._norm, self._loss = GrowingCurve(), GrowingCurve()
        self._read_to: dict[str, float] = {}
        self._trigger, self._warning = TransitionTrigger(), EarlyWarning()
        self._transitions: list[int] = []
        self._warned: int | None = None
        self._announced: dict[Kind, list[int]] = {"slingshot": [], "spike": []}
        self._paces: deque[tuple[float, float]] = deque()
        self._problem = ""

    @property
    def step(self) -> int | None:
        """Last step that was read."""
        return as_step(max(self._read_to.values())) if self._read_to else None

    def take(self, run: Trace) -> list[Event]:
        """Read the rows that came since the last call; return what the online rules see in them.

        Parameters
        ----------
        run : Trace
            The run as it is now.
        """
        self.run = run
        found: list[Event] = []
        if (name := first_of(NORMS, run)) and (norm := chosen_norm({name: self._new_rows(name)})):
            self._norm.extend(norm.step, norm.value)
        if name := first_of(LOSSES, run):
            loss = self._new_rows(name)
            self._loss.extend(loss.step, loss.value)
            rows = zip(loss.step.tolist(), loss.value.astype(np.float64).tolist(), strict=True)
            at = [as_step(step) for step, value in rows if self._trigger.update(value)]
            self._transitions += at
            found += [
                self._event("transition", step, f"the loss begins to rise sharply at {words_of(step)}") for step in at
            ]
        if COLLAPSE in run:
            collapse = self._new_rows(COLLAPSE)
            for warning in self._warning.update(
                collapse.step.tolist(), np.nan_to_num(collapse.value.astype(np.float64), nan=1.0).tolist()
            ):
                self._warned = warning.step
                found.append(
                    self._event("warning", warning.step, f"{warning.precision:.0%} of such warnings come true")
                )
        self._keep_pace()
        return found

    def analyze(self) -> list[Event]:
        """Analyze all rows so far; return the slingshots and loss spikes that were not known before."""
        self.fresh = False
        try:
            self.analysis, self._problem = analyze(self.run), ""
        except InputError as error:  # such as fewer than two steps
            self._problem = str(error).removeprefix(f"{self._file}: ")
            return []
        found = self.analysis
        near = LABEL_SHARE * (found.steps[1] - found.steps[0])
        slingshots = [(event.transition, f"a slingshot at {words_of(event.transition)}") for event in found.certain]
        spikes = [(s.start, f"a loss spike at {words_of(s.start)}: {s.outcome}") for s in found.loss_spikes]
        events: list[Event] = []
        kinds: tuple[tuple[Kind, list[tuple[int, str]]], ...] = (("slingshot", slingshots), ("spike", spikes))
        for kind, steps in kinds:
            for step, words in steps:
                if all(abs(step - known) > near for known in self._announced[kind]):
                    self._announced[kind].append(step)
                    events.append(self._event(kind, step, words))
        return events

    def end(self, how: str) -> Event:
        """Note that the run has ended."""
        self.ended = how
        return self._event("ended", self.step or 0, f"{how} at {words_of(self.step or 0)}")

    def state(self) -> RunState:
        """Return what is known now."""
        found = self.analysis
        last = found.phases[-1] if found is not None and found.phases else None
        return RunState(
            run=self._name,
            file=self._file,
            step=self.step,
            steps=self._steps,
            pace=self._pace(),
            ended=self.ended,
            phase=f"{last.kind} since {words_of(last.start)}" if last else "",
            facts=tuple(self._facts()),
            slingshots=tuple(event.transition for event in found.certain) if found else (),
            transitions=tuple(self._unjudged()),
            phases=tuple((phase.kind, phase.start, phase.end) for phase in found.phases) if found else (),
            norm_name=first_of(NORMS, self.run) or "",
            loss_name=first_of(LOSSES, self.run) or "",
            norm=self._norm,
            loss=self._loss,
        )

    def _new_rows(self, name: str) -> Any:
        """Return the rows of a signal after those that were read before."""
        rows = self.run.after(name, self._read_to.get(name, -math.inf))
        if len(rows):
            self._read_to[name] = float(rows.step.max())
            self.fresh = True
        return rows

    def _unjudged(self) -> list[int]:
        """Return the transitions that the online rule saw and no analysis has named."""
        found = self.analysis
        if found is None:
            return self._transitions
        near = LABEL_SHARE * (found.steps[1] - found.steps[0])
        events = [event.transition for event in (*found.slingshots, *found.spikes_without_norm_growth)]
        known = [*events, *(spike.start for spike in found.loss_spikes)]
        return [at for at in self._transitions if all(abs(at - step) > near for step in known)]

    def _facts(self) -> list[str]:
        found, facts = self.analysis, list[str]()
        if found is not None:
            at = ", ".join(f"{words_of(event.transition)}" for event in found.certain[-5:])
            many = "the last at" if len(found.certain) > 5 else "at"
            count = len(found.certain)
            facts.append(
                f"{count} slingshot{'s' if count > 1 else ''} so far, {many} {at}" if count else "no slingshot so far"
            )
            if found.loss_spikes and not found.certain:
                spike, spikes = found.loss_spikes[-1], len(found.loss_spikes)
                facts.append(
                    f"{spikes:,} loss spike{'s, the last' if spikes > 1 else ','} at {words_of(spike.start)}: "
                    f"{spike.outcome}"
                )
            if found.grokking_step is not None:
                facts.append(f"grokked at {words_of(found.grokking_step)}")
        if unjudged := self._unjudged():
            last = words_of(unjudged[-1])
            facts.append(f"transition at {last}: a slingshot if the norm grew before it and a plateau follows")
        if self._warned is not None and not any(at > self._warned for at in self._transitions):
            facts.append(f"warning since {words_of(self._warned)}: a slingshot may come")
        if self._problem:
            facts.append(f"not analyzed yet: {self._problem}")
        return facts

    def _event(self, kind: Kind, step: int, words: str) -> Event:
        return Event(kind, self._name, self._file, step, self.step or 0, words)

    def _keep_pace(self) -> None:
        if self.step is None:
            return
        now = time.monotonic()
        self._paces.append((now, self.step))
        while len(self._paces) > 2 and now - self._paces[1][0] > PACE_SECONDS:
            self._paces.popleft()

    def _pace(self) -> float | None:
        if len(self._paces) < 2 or self.ended:
            return None
        (start, first), (end, last) = self._paces[0], self._paces[-1]
        return (last - first) / (end - start) if end > start and last > first else None


def _length(run: Trace) -> int | None:
    """Return the number of updates that the configuration of a run names."""
    try:
        steps = run.config.get("steps")
    except InputError:
        return None
    return steps if isinstance(steps, int) and steps > 0 else None
