"""The rows of a run: tables measure them, mirrors and online detectors hear of them, and the trace gets them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.online_rules import EarlyWarning, SlingshotWarning
from slingshot_analysis.recording._table import Table, make_tables
from slingshot_analysis.recording.curvature import Curvatures
from slingshot_analysis.recording.mirrors import Mirrors
from slingshot_analysis.recording.online.flight import FLIGHT_GROUP, FlightRecorder
from slingshot_analysis.recording.online.sample_losses import SampleLosses
from slingshot_analysis.recording.online.warning import warn_from
from slingshot_analysis.recording.online.watch import Transition, Watch
from slingshot_analysis.recording.probes._base import Moment, Probe
from slingshot_analysis.recording.probes._bundles import (
    BUDGETS,
    BUNDLES,
    EARLIER_BUNDLES,
    choose_probes,
    names_curvature,
    without_logits,
)
from slingshot_analysis.recording.probes.samples import Samples
from slingshot_analysis.recording.schedule import Budget
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.trace import Group, TraceWriter, continue_trace, open_trace

FLUSH_SECONDS = 2.0
"""Longest time for which measured rows stay in memory, unless the user asks for another."""


class Rows:
    """Measures the rows of a run and writes them to its trace.

    Parameters
    ----------
    path : Path
        The HDF5 file.
    subject : Subject
        The run.
    probes : str, or iterable of str or Probe
        What is measured.
    attributes : mapping
        Root attributes of the trace.
    curvature_budget, flight_recorder, on_event, on_warning, mirrors, overwrite, resume, flush_seconds, start
        As for `Recorder`.
    """

    def __init__(
        self,
        path: Path,
        subject: Subject,
        probes: str | Iterable[str | Probe],
        attributes: Mapping[str, Any],
        *,
        curvature_budget: float | None,
        flight_recorder: bool | None,
        on_event: Callable[[Transition], None] | None,
        on_warning: Callable[[SlingshotWarning], None] | None,
        mirrors: Sequence[Any],
        overwrite: bool,
        resume: Mapping[str, Any] | None,
        flush_seconds: float | None,
        start: int,
    ) -> None:
        self._path, self._subject, self._attributes = path, subject, attributes
        self.step: int = start if resume is None else resume["step"]
        """Number of updates whose rows are complete."""
        self._curvatures = Curvatures(subject)
        self._loss_only = resume is not None and resume.get("loss_only", False)
        bundles, keeps_samples = BUNDLES, flight_recorder is not False
        if resume is not None and "groups" not in resume:  # a checkpoint of an earlier version
            bundles, flight_recorder = EARLIER_BUNDLES, FLIGHT_GROUP in open_trace(path).groups
        probes = probes if isinstance(probes, str) else list(probes)
        chosen = choose_probes(probes, subject, curvature_budget, bundles, _budgets(resume))
        self._probes = without_logits(chosen) if self._loss_only else chosen
        self.tables = make_tables(self._probes, subject, self._curvatures)
        budget = next((probe.every for probe in self._probes if isinstance(probe.every, Budget)), None)
        if flight_recorder is None:
            flight_recorder = FlightRecorder.fits(subject) and names_curvature(probes)
        flight = FlightRecorder(subject, self._curvatures, budget) if flight_recorder else None
        size = max((probe.size for probe in self._probes if isinstance(probe, Samples)), default=0)
        samples = SampleLosses(subject, size) if size and keeps_samples else None
        watched = flight or samples or on_event
        self._watch = Watch(flight, samples, [on_event] if on_event else []) if watched else None
        self._warning = EarlyWarning() if on_warning is not None else None
        self._on_warning, self._targets = on_warning, mirrors
        self._mirrors = self._pass_rows_on()
        self._open: list[Table] = []
        self._is_closed = False
        self._flush_seconds = FLUSH_SECONDS if flush_seconds is None else flush_seconds
        self._flush_due = time.monotonic() + self._flush_seconds
        if resume is None:
            self._writer = TraceWriter(path, self.groups, attributes, overwrite=overwrite)
            self._start_at(start)
        else:
            self._writer = continue_trace(path, self.groups, resume["step"], attributes)
            self._load_state_dict(resume)

    @property
    def groups(self) -> list[Group]:
        """What is written."""
        return [table.group for table in self.tables] + ([] if self._watch is None else self._watch.groups)

    @property
    def latest(self) -> dict[str, float]:
        """The newest value of each scalar quantity among those that have reached the host."""
        return {name: value for table in self.tables for name, value in table.latest.items()}

    @property
    def needs_every_state(self) -> bool:
        """Whether the next state has to be seen: an update waits for it, or all states are watched."""
        return bool(self._open) or self._watch is not None

    def _pass_rows_on(self) -> Mirrors:
        """Let warnings and mirrors get the rows that reach the host."""
        if self._warning is not None and self._on_warning is not None:
            warn_from(self.tables, self._warning, self._on_warning)
        return Mirrors(self._targets, self.tables)

    def _start_at(self, step: int) -> None:
        for table in self.tables:
            table.start_at(step)

    def leave_out_logits(self) -> None:
        """Record of each batch its loss alone, as there are no logits. No row may have been written yet."""
        kept = without_logits(self._probes)
        if self._loss_only or kept == self._probes:
            return
        self._probes, self._loss_only = kept, True
        self.tables = make_tables(kept, self._subject, self._curvatures)
        self._start_at(self.step)
        self._mirrors = self._pass_rows_on()
        self._writer.close(finished=False)
        self._writer = TraceWriter(self._path, self.groups, self._attributes, overwrite=True)

    @property
    def follows_clipping(self) -> bool:
        """Whether a probe needs the norm of the gradient before clipping."""
        return any(table.needs_unclipped for table in self.tables)

    def needs_unclipped(self) -> bool:
        """Return whether the next update needs the norm of the gradient before clipping."""
        return any(table.needs_unclipped and table.next_due == self.step for table in self.tables)

    def record(
        self,
        loss: Tensor | None,
        logits: Tensor | None,
        targets: Tensor | None,
        indices: Tensor | None = None,
        unclipped_norm: Tensor | None = None,
    ) -> None:
        """Record the next update, whose batch is given, in the tables that are due. The caller disables gradients."""
        self.record_moment(Moment(self.step, loss, logits, targets, indices, unclipped_norm), self.tables)
        self.step += 1

    def record_moment(self, moment: Moment, tables: Sequence[Table]) -> None:
        """Record an update in those of the tables that are due, without counting it. The caller disables gradients."""
        if self._is_closed:
            raise InputError(f"{self._path}: this recorder is closed; make a new recorder for another run")
        self._complete_open_rows()
        self._flush_if_due()
        for table in tables:
            if table.is_full:
                table.send(self._writer)
            if table.next_due == moment.step and table.measure(moment):
                self._open.append(table)
        if self._watch is not None:
            self._watch.update(moment, self._writer)

    @torch.no_grad()
    def take(self, losses: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Count n updates, and record their batches, (n, ...) each, in the tables that need nothing else."""
        for table in self.tables:
            if table.kept_batches is not None:
                table.take(self.step, losses, logits, targets, self._writer)
        self.step += len(losses)
        self._flush_if_due()

    def undo(self) -> None:
        """Take back the row of the last update, as it was not made."""
        self.step -= 1
        self._open.clear()
        for table in self.tables:
            table.undo(self.step)

    def _complete_open_rows(self) -> None:
        for table in self._open:
            table.complete()
            if table.is_full:
                table.send(self._writer)
        self._open.clear()

    def _flush_if_due(self) -> None:
        if time.monotonic() > self._flush_due:
            self.flush()

    @torch.no_grad()
    def flush(self) -> None:
        """Write what was measured."""
        self._complete_open_rows()
        for table in self.tables:
            table.send(self._writer)
        self._writer.flush()
        self._mirrors.flushed(self.step)
        self._flush_due = time.monotonic() + self._flush_seconds

    def state_dict(self) -> dict[str, Any]:
        """Write what was measured, and return what is needed to go on."""
        self.flush()
        return {
            "step": self.step,
            "loss_only": self._loss_only,
            "groups": [table.group.name for table in self.tables],
            "tables": [table.state_dict() for table in self.tables],
            "watch": None if self._watch is None else self._watch.state_dict(),
            "warning": None if self._warning is None else self._warning.state_dict(),
        }

    def _load_state_dict(self, state: Mapping[str, Any]) -> None:
        for table, states in zip(self.tables, state["tables"], strict=True):
            table.load_state_dict(state["step"], states)
        if self._watch is not None and state["watch"] is not None:
            self._watch.load_state_dict(state["watch"])
        if self._warning is not None and state["warning"] is not None:
            self._warning.load_state_dict(state["warning"])

    @torch.no_grad()
    def close(self, *, finished: bool, attributes: Mapping[str, str]) -> None:
        """Write the remaining rows and close the file; a finished run gets the state after the last update too."""
        if self._is_closed:
            return
        self._is_closed = True
        with ExitStack() as stack:  # if one of these calls fails, the others still write what was measured
            stack.push(lambda kind, *_: self._writer.close(finished=finished and kind is None, attributes=attributes))
            stack.callback(self._mirrors.close)
            for table in reversed(self.tables):
                stack.callback(table.receive, self._writer)
                stack.callback(table.send, self._writer)
            if finished:
                self._complete_open_rows()
                if self._watch is not None:
                    stack.callback(self._watch.close, self._writer)
                for table in self.tables:
                    if table.is_of_states and self.step:
                        if table.is_full:
                            table.send(self._writer)
                        table.measure(Moment(self.step))


def _budgets(resume: Mapping[str, Any] | None) -> Mapping[str, float]:
    """Return the share of time that each bundle has for curvature: that of a run that goes on is kept."""
    groups = resume.get("groups", []) if resume is not None else []
    kept = next((share for name in groups if (share := Budget.share_of(name)) is not None), None)
    return BUDGETS if kept is None else dict.fromkeys(BUDGETS, kept)
