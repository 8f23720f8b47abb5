"""The training loop of a batch of runs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from slingshot_analysis.errors import SlingshotError
from slingshot_analysis.recording import Recorder
from slingshot_analysis.recording.lagged import LaggedRecording
from trainers.passes import Chain, fast_products, find_batched_passes, find_exact_passes, products_can_be_fast
from trainers.run import Run
from trainers.stack import Stack

LONGEST_TURN = 512
"""Number of updates whose batches are drawn together at the start of a turn, and recorded together at its end."""

MOST_LOGITS = 2**22
"""Number of logits that are kept during a turn."""

TURN_SECONDS = 2.0
"""Longest duration of a turn."""


@dataclass(eq=False)
class Member:
    """A run of a batch, with its recorder and its progress.

    Parameters
    ----------
    index : int
        Index of its setup in the arguments of `record_batch`.
    run : Run
        The run.
    recorder : Recorder
        Its open recorder.
    path : Path
        Its trace.
    step : int, updates
        Number of updates that the run has made.
    has_checkpoint : bool
        Whether there may be a checkpoint, which is deleted at the end of the run.
    failure : str
        Message of the error that ended the run; empty if there is none.
    """

    index: int
    run: Run
    recorder: Recorder
    path: Path
    step: int
    has_checkpoint: bool = False
    failure: str = ""

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Turn an error of this run into its `failure`, so that the other runs continue."""
        try:
            yield
        except SlingshotError as error:
            self.failure = str(error)


class Lockstep:
    """R runs of the same network that make their updates together. They may be at different steps.

    An update does not wait for the device.

    Parameters
    ----------
    members : sequence of R Member
        Runs with the same :func:`~trainers.batch.batch_key`; with `exact`, the same
        :func:`~trainers.batch.exact_key`.
    exact : bool
        Whether to round as each run does alone. This takes longer.
    """

    def __init__(self, members: Sequence[Member], exact: bool = False) -> None:
        self.members = members
        first = members[0].run
        self._setup = first.setup
        runs = [member.run for member in members]
        self._stack = Stack(runs, [member.step for member in members], apart=exact)
        self._passes = find_exact_passes(runs, self._stack) if exact else find_batched_passes(first, self._stack)
        self._inputs, self._targets, self._offsets = _join_data(runs)
        samples = len(members) * self._setup.batch_size
        self._batch = self._inputs.new_empty((samples, *self._inputs.shape[1:]))
        self._longest = max(1, min(LONGEST_TURN, MOST_LOGITS // (samples * max(1, first.data.classes))))
        self._length = 1
        self._kept: tuple[Tensor, ...] | None = None
        self._recordings = [LaggedRecording(member.recorder) for member in members]
        products = self._passes.products(self._setup.batch_size) if isinstance(self._passes, Chain) else set()
        on_cpu = self._batch.device.type == "cpu"
        self._fast = on_cpu and not exact and products_can_be_fast(products, first.setup.torch_dtype)
        self._intervening = [m.run.intervening for m in members if m.run.intervening.is_needed]
        for member in members:
            member.run.model.train()

    @torch.no_grad()
    def advance(self, most: int) -> int:
        """Make and record a turn of at most `most` updates of every run; return their number."""
        start = time.monotonic()
        n = int(min(most, self._length, self.members[0].run.batches.equally_large))
        self._make_updates(n)
        seconds = time.monotonic() - start
        self._length = max(1, min(self._longest, max(self._length, 2 * n), int(n * TURN_SECONDS / max(seconds, 1e-9))))
        return n

    def _make_updates(self, n: int) -> None:
        setup, stack = self._setup, self._stack
        # draw the batches of all updates: (n, R, batch_size) indices into the joined data
        order = [torch.stack([next(member.run.batches) for _ in range(n)]) for member in self.members]
        samples = torch.stack(order, 1).add_(self._offsets)
        shape = (*samples.shape[1:], *self._inputs.shape[1:])
        inputs = self._batch[: samples[0].numel()]
        targets = self._targets[samples]
        steps = [member.step for member in self.members]
        complete = samples.shape[2] == setup.batch_size
        lag = [complete and recording.is_possible for recording in self._recordings]
        due = [self._next_state(row, 0, lag) for row in range(len(lag))]
        # rows of `lag` are True where a recorder takes the batches of a whole turn, all complete, at its end; it then
        # needs only the states that are due now, of which the next one is at update `due`
        for i, (which, expected) in enumerate(zip(samples.flatten(1), targets, strict=True)):
            torch.index_select(self._inputs, 0, which, out=inputs)
            # forward and backward pass
            with fast_products(self._fast):
                losses, logits = self._passes(inputs.view(shape), expected)
            for each in self._intervening:
                each.before_update()
            # record between backward pass and optimizer step
            if any(lag):
                self._keep(i, losses, logits)
            if min(due) <= i:
                stack.share()
                batches = zip(losses, logits, expected, strict=True)
                for row, batch in enumerate(batches):
                    if due[row] <= i:
                        self._record_state(row, i, lag, batch, order[row][i])
                        due[row] = self._next_state(row, i + 1, lag)
            # update the weights
            stack.warm_up([step + i for step in steps])
            stack.update()
            for each in self._intervening:
                each.after_update()
        # hand the batches of the turn to the recorders
        stack.share()
        self._losses = losses
        for row, member in enumerate(self.members):
            member.step += n
            if lag[row] and not member.failure and self._kept is not None:
                with member.failing():
                    self._recordings[row].record_batches(*(kept[:n, row] for kept in (*self._kept, targets)))

    def _next_state(self, row: int, at_least: int, lag: Sequence[bool]) -> float:
        """Return the index, in this turn, of the next update whose state a run's recorder needs."""
        member = self.members[row]
        if member.failure:
            return math.inf
        return self._recordings[row].next_state - member.step if lag[row] else at_least

    def _record_state(self, row: int, i: int, lag: Sequence[bool], batch: Sequence[Tensor], indices: Tensor) -> None:
        member = self.members[row]
        loss, logits, targets = batch
        with member.failing():
            if lag[row]:
                self._recordings[row].record_state(member.step + i, loss, logits, targets, indices)
            else:
                member.recorder.update(loss, logits, targets, indices=indices)

    def _keep(self, i: int, losses: Tensor, logits: Tensor) -> None:
        if self._kept is None:
            self._kept = tuple(value.new_empty((self._longest, *value.shape)) for value in (losses, logits))
        for kept, value in zip(self._kept, (losses, logits), strict=True):
            kept[i] = value

    def diverged(self) -> list[Member]:
        """Return the runs with nonfinite weights, if their loss is nonfinite or they end. Waits for the device."""
        weights = torch.stack([p.flatten(1).isfinite().all(1) for p in self._stack.parameters.values()]).all(0)
        shown = self._losses.isfinite().logical_not_().tolist()
        return [
            member
            for member, is_finite, is_shown in zip(self.members, weights.tolist(), shown, strict=True)
            if not is_finite and (is_shown or member.step == member.run.setup.steps)
        ]


def _join_data(runs: Sequence[Run]) -> tuple[Tensor, Tensor, Tensor]:
    """Return all training inputs and targets without repeating equal sets, and the offset of each run's set, (R, 1)."""
    sets: list[tuple[Tensor, Tensor]] = []
    starts: dict[int, int] = {}
    offsets, total = [], 0
    for run in runs:
        inputs, targets = run.data.train_inputs, run.data.train_targets
        if id(inputs) not in starts:
            starts[id(inputs)] = total
            sets.append((inputs, targets))
            total += len(inputs)
        offsets.append(starts[id(inputs)])
    inputs, targets = (parts[0] if len(parts) == 1 else torch.cat(parts) for parts in zip(*sets, strict=True))
    return inputs, targets, torch.tensor(offsets, device=inputs.device).unsqueeze(1)
