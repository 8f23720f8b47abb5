"""Rows of the probes that share a schedule: they are filled on the device and copied to the host in blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slingshot_analysis.recording.curvature import Curvatures
from slingshot_analysis.recording.probes._base import BLOCK_ROWS, Buffer, Columns, Moment, Probe
from slingshot_analysis.recording.probes._batch_probe import BatchProbe, KeptBatches
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.schedule import Budget, Every, Schedule
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.states import StatePairs
from slingshot_analysis.trace import Group, Quantity, TraceWriter
from slingshot_analysis.trace.schema import fitting_rows


class Table:
    """The probes that share a schedule, and the rows that they have measured since the last block was written.

    Parameters
    ----------
    name : str
        Name of the group in the trace.
    probes : sequence of Probe
        Probes with one schedule, whose values make up a row.
    subject : Subject
        The run; buffers are on the device of its parameters.
    """

    def __init__(self, name: str, probes: Sequence[Probe], subject: Subject) -> None:
        self._schedule = schedule = probes[0].every
        self.budget = schedule if isinstance(schedule, Budget) else None
        """The budget of the probes, if their schedule is one."""
        self._probes = probes
        device = next(iter(subject.parameters.values())).device
        self._on_gpu = device.type == "cuda"
        quantities: list[Quantity] = []
        batches = KeptBatches()
        declared: list[Sequence[Buffer]] = []
        for probe in probes:
            if isinstance(probe, BatchProbe):
                probe.shared = batches
            buffers, written = probe.attach(subject)
            quantities += written
            declared.append(buffers)
        widest = max(buffer.row_bytes for buffers in declared for buffer in buffers)
        self._capacity = min(BLOCK_ROWS, fitting_rows(widest))
        self._buffers = [{b.name: _rows(b, self._capacity, device) for b in buffers} for buffers in declared]
        self._slots: list[list[Sequence[Tensor]]] = [
            list(zip(*(column.unbind(0) for column in columns.values()), strict=True)) for columns in self._buffers
        ]
        self._host = [{n: _pinned(c) if self._on_gpu else c for n, c in columns.items()} for columns in self._buffers]
        self._arriving: tuple[npt.NDArray[np.int64], torch.cuda.Event] | None = None

        self.group = Group(name, tuple(quantities), str(schedule))
        with_slots = list(zip(probes, self._slots, strict=True))
        self._instant = [(probe, slots) for probe, slots in with_slots if not probe.spans_update]
        self._spanning = [(p, list(c.values())) for p, c in zip(probes, self._buffers, strict=True) if p.spans_update]
        # a probe that waits compares each pair at once, while it can share what was computed for the state before
        capacity = 1 if any(probe.waits for probe, _ in self._spanning) else None
        self._pairs = StatePairs(subject, capacity) if self._spanning else None
        self.needs_unclipped = any(probe.needs_unclipped for probe in probes)
        self.is_of_states = not any(probe.needs_batch or probe.spans_update for probe in probes)
        self._of_every_batch = schedule == Every(1) and all(isinstance(probe, BatchProbe) for probe in probes)
        self._kept: KeptBatches | None = None
        self.next_due = schedule.next(0)
        self.on_rows: list[Callable[[npt.NDArray[np.int64], Columns], None]] = []
        """Called with the rows of each block after they have reached the host."""
        self.latest: dict[str, float] = {}

        self._steps = np.empty(self._capacity, dtype=np.int64)
        self._rows = 0
        self._room = self._capacity

    def measure(self, moment: Moment) -> bool:
        """Measure a row; return whether it stays open until :meth:`complete`, as a probe spans the update."""
        row = self._rows
        start = time.perf_counter() if self.budget else 0.0
        self._steps[row] = moment.step
        for probe, slots in self._instant:
            probe.measure(moment, slots[row])
        self.next_due = self._schedule.next(moment.step + 1)
        if self.budget:
            self._charge(self.budget, moment.step, start)
        if self._pairs is None:
            self._rows = row + 1
            return False
        self._pairs.keep_before()
        return True

    def undo(self, step: int) -> None:
        """Forget the row of the last update, if it is of this step: that update was not made."""
        batches = {id(probe.kept): probe.kept for probe in self._probes if isinstance(probe, BatchProbe)}
        if self._rows and self._steps[self._rows - 1] == step:
            self._rows -= 1
        elif not (self._rows < self._capacity and self._steps[self._rows] == step and self._pairs is not None):
            return
        self.next_due = step
        for kept in batches.values():
            if kept is not None:
                kept.undo(step)

    @property
    def kept_batches(self) -> KeptBatches | None:
        """Where the batch of every update is kept, if all probes need only that; then :meth:`take` can be used."""
        if self._kept is None and self._of_every_batch:
            kept = {probe.kept for probe in self._probes if isinstance(probe, BatchProbe)}
            self._kept = kept.pop() if len(kept) == 1 else None
        return self._kept

    def take(self, step: int, losses: Tensor, logits: Tensor, targets: Tensor, writer: TraceWriter) -> None:
        """Make rows from the batches of n updates from `step` on, (n, ...) each; it needs `kept_batches`."""
        assert self.kept_batches is not None
        taken, n = self.next_due - step, len(losses)
        while taken < n:
            rows = min(n - taken, self._room - self._rows)
            part = slice(taken, taken + rows)
            self.kept_batches.keep_all(losses[part], logits[part], targets[part])
            self._steps[self._rows : self._rows + rows] = range(step + taken, step + taken + rows)
            self._rows += rows
            taken += rows
            if self.is_full:
                self.send(writer)
        self.next_due = step + n

    def complete(self) -> None:
        """Complete the open row with the state after its update."""
        assert self._pairs is not None
        start = time.perf_counter() if self.budget else 0.0
        self._pairs.keep_after()
        self._rows += 1
        if len(self._pairs) == self._pairs.capacity:
            self._compare(self._pairs)
        if self.budget:
            self._charge(self.budget, int(self._steps[self._rows - 1]), start)

    def _charge(self, budget: Budget, step: int, start: float) -> None:
        now = time.perf_counter()
        budget.charge(step, now, now - start)
        self.next_due = budget.next(step + 1)

    def _compare(self, pairs: StatePairs) -> None:
        """Let the probes that span updates measure the last rows, those of the pairs kept."""
        for probe, columns in self._spanning:
            values = [column.new_empty((pairs.capacity, *column.shape[1:])) for column in columns]
            probe.compare(pairs, values)
            for column, value in zip(columns, values, strict=True):
                column[self._rows - len(pairs) : self._rows] = value[: len(pairs)]
        pairs.clear()

    def start_at(self, step: int) -> None:
        """Begin with the first step due from this one on."""
        self.next_due = self._schedule.next(step)

    def state_dict(self) -> list[dict[str, Any]]:
        """Return the state of each probe."""
        return [probe.state_dict() for probe in self._probes]

    def load_state_dict(self, step: int, states: Sequence[Mapping[str, Any]]) -> None:
        """Continue at `step` with the states that :meth:`state_dict` returned."""
        self.start_at(step)
        for probe, state in zip(self._probes, states, strict=True):
            probe.load_state_dict(state)

    @property
    def is_full(self) -> bool:
        """Whether the rows fill a block of the file."""
        return self._rows >= self._room

    def send(self, writer: TraceWriter) -> None:
        """Write the rows to the file. On a GPU this only starts their copy to the host; the next call writes it."""
        self.receive(writer)
        if self._pairs:
            self._compare(self._pairs)
        steps = self._steps[: self._rows].copy()
        self._room = (self._room - self._rows) or self._capacity
        self._rows = 0
        if not len(steps):
            return
        for probe, columns in zip(self._probes, self._buffers, strict=True):
            probe.settle([column[: len(steps)] for column in columns.values()])
        if self._on_gpu:
            for host, columns in zip(self._host, self._buffers, strict=True):
                for name, column in columns.items():
                    host[name][: len(steps)].copy_(column[: len(steps)], non_blocking=True)
            event = torch.cuda.Event()
            event.record()
            self._arriving = steps, event
        else:
            self._write(writer, steps)

    def receive(self, writer: TraceWriter) -> None:
        """Write the rows whose copy from the GPU the last :meth:`send` has started."""
        if self._arriving is not None:
            steps, event = self._arriving
            event.synchronize()
            self._write(writer, steps)
            self._arriving = None

    def _write(self, writer: TraceWriter, steps: npt.NDArray[np.int64]) -> None:
        values: Columns = {}
        for probe, host in zip(self._probes, self._host, strict=True):
            values |= probe.derive({name: column[: len(steps)].numpy() for name, column in host.items()})
        writer.append(self.group.name, steps, **values)
        for hear in self.on_rows:
            hear(steps, values)
        self.latest = {name: float(column[-1]) for name, column in values.items() if column.ndim == 1}


def make_tables(probes: Iterable[Probe], subject: Subject, curvatures: Curvatures) -> list[Table]:
    """Return a table for the probes of each schedule.

    Probes of states and probes of updates have separate tables, as there is one state more than updates. The probes of
    a budget share one table, as the budget is spent on all of them together.
    """
    schedules: dict[Schedule, list[Probe]] = {}
    for probe in probes:
        if isinstance(probe, CurvatureProbe):
            probe.shared = curvatures
        schedules.setdefault(probe.every, []).append(probe)
    tables = []
    for schedule, members in schedules.items():
        of_states = [probe for probe in members if not (probe.needs_batch or probe.spans_update)]
        if 0 < len(of_states) < len(members) and not isinstance(schedule, Budget):
            tables.append(Table(f"{schedule.slug}_states", of_states, subject))
            members = [probe for probe in members if probe not in of_states]
        tables.append(Table(schedule.slug, members, subject))
    return tables


def _rows(buffer: Buffer, rows: int, device: torch.device) -> Tensor:
    return torch.zeros((rows, *buffer.shape), dtype=buffer.dtype, device=device)


def _pinned(buffer: Tensor) -> Tensor:
    return torch.empty_like(buffer, device="cpu", pin_memory=True)
