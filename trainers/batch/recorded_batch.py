"""Train setups as one batch and record a trace of each."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError, SlingshotError
from slingshot_analysis.recording import Probe
from slingshot_analysis.recording.lagged import share_time
from trainers.batch._lockstep import Lockstep, Member
from trainers.batch.key import batch_key
from trainers.checkpoint import checkpoint_path, save_checkpoint
from trainers.data.dataset import Dataset
from trainers.lock import owned
from trainers.recorded_run import find_device, is_finished, make_recorder, start
from trainers.run import Run, cpu_settings
from trainers.setup import Setup

LARGEST_STACK = 32
"""Number of runs in one stack, which fits into the CPU's cache. Several stacks take turns of some hundred updates."""

FLUSH_SECONDS = 10.0
"""Time between two flushes of a run's rows. It is longer than for a single run because there are many files."""


def record_batch(
    setups: Sequence[Setup],
    paths: Sequence[str | Path],
    *,
    device: str = "auto",
    threads: int = 1,
    flush_denormal: bool = True,
    overwrite: bool = False,
    probes: str | Iterable[str | Probe] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Train setups as one batch, and write for each of them the same trace as `record`.

    Each run has the same data, initialisation and batch order as alone, and its trace has the same rows. Values differ
    by rounding, because products of stacked matrices are summed in another order. A run that ends, or whose loss and
    weights are no longer finite, leaves the batch, and the others continue.

    Parameters
    ----------
    setups : sequence of R Setup
        Setups with the same :func:`~trainers.batch.batch_key`.
    paths : sequence of R path-like
        The traces to write.
    device, threads, flush_denormal, overwrite, probes, checkpoint_every, resume
        As in :func:`~trainers.recorded_run.record`. The checkpoints are the same too, so a run can be resumed alone or
        in another batch, even with runs at other steps. Curvature is measured one run after another, and its budget is
        a share of the time of the whole batch.
    progress : callable, optional
        Called every few hundred updates or 2 s, with the number of updates that all runs together have made, and the
        number of runs that still train. An exception that it raises ends all runs.

    Returns
    -------
    list of R str
        The state of each run: "finished", "diverged", or "failed: " with the error. "diverged" means that loss and
        weights are no longer finite; the trace ends within 512 updates of that and is marked as finished.

    Raises
    ------
    InputError
        If the setups can't be trained as one batch, or the device does not exist. An error of a single run becomes its
        state.
    """
    if len(setups) != len(paths):
        raise InputError(f"give one path for each setup, not {len(paths)} paths for {len(setups)} setups")
    keys = {batch_key(setup) for setup in setups}
    if len(keys) > 1 or (None in keys and len(setups) > 1) or any(setup.autocast != "none" for setup in setups):
        raise InputError(
            "the setups can't be one batch; make a batch for each batch_key(), and train those without a key alone"
        )
    where, kept = find_device(device), probes if probes is None or isinstance(probes, str) else list(probes)
    states = ["finished"] * len(setups)
    members: list[Member] = []
    data: list[Dataset] = []
    with ExitStack() as locks, cpu_settings(threads, flush_denormal):
        try:
            for index, (setup, path) in enumerate(zip(setups, map(Path, paths), strict=True)):
                try:
                    locks.enter_context(owned(path))
                    if resume and is_finished(path, setup, overwrite):
                        continue
                    run = Run(setup, where)
                    run.data = _shared(run.data, data)
                    state = start(run, path, overwrite, checkpoint_every, resume)
                    recorder = make_recorder(
                        run, path, overwrite or resume, state, probes=copy.deepcopy(kept), flush_seconds=FLUSH_SECONDS
                    )
                except SlingshotError as error:
                    states[index] = f"failed: {error}"
                else:
                    members.append(Member(index, run, recorder, path, recorder.step, bool(checkpoint_every or resume)))
            _train(members, states, checkpoint_every, progress)
        finally:
            for member in members:
                with member.failing():
                    member.recorder.close(finished=False)
    return states


def _train(
    members: list[Member],
    states: list[str],
    checkpoint_every: int | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Train until every run has left `members`, and write the state of each run into `states`."""
    members[:], made = _without(members, [m for m in members if m.step == m.run.setup.steps], states), 0
    while members:
        for member in members:
            share_time(member.recorder, len(members))
        # adjacent runs of the same optimizer and step share one update; runs of a stack have batches of the same size
        members.sort(key=lambda member: (_place(member), repr(member.run.setup.optimizer), member.step))
        blocks = [
            Lockstep(group[i : i + LARGEST_STACK])
            for group in (list(alike) for _, alike in groupby(members, _place))
            for i in range(0, len(group), LARGEST_STACK)
        ]
        leaving: list[Member] = []
        while not leaving:
            for block in blocks:
                most = min(m.run.setup.steps - m.step for m in block.members)
                if checkpoint_every:
                    most = min(most, *(checkpoint_every - m.step % checkpoint_every for m in block.members))
                made += len(block.members) * block.advance(most)
                leaving += _between_turns(block, states, checkpoint_every)
                if progress:
                    progress(made, len(members) - len(leaving))
        members[:] = _without(members, leaving, states)


def _place(member: Member) -> int:
    return member.run.batches.place


def _between_turns(block: Lockstep, states: list[str], checkpoint_every: int | None) -> list[Member]:
    """Write the checkpoints that are due, and return the runs that leave the batch."""
    diverged = block.diverged()
    leaving = []
    for member in block.members:
        if member in diverged:
            states[member.index] = "diverged"
        ends = member in diverged or member.step == member.run.setup.steps
        if checkpoint_every and member.step % checkpoint_every == 0 and not (ends or member.failure):
            with member.failing():
                save_checkpoint(checkpoint_path(member.path), member.run, member.recorder)
        if ends or member.failure:
            leaving.append(member)
    return leaving


def _without(members: Sequence[Member], leaving: Sequence[Member], states: list[str]) -> list[Member]:
    """Close the traces of the runs that leave the batch, and return the other runs."""
    for member in leaving:
        with member.failing():
            member.recorder.close(finished=not member.failure)
        if member.failure:
            states[member.index] = f"failed: {member.failure}"
        elif member.has_checkpoint:
            checkpoint_path(member.path).unlink(missing_ok=True)
    return [member for member in members if member not in leaving]


def _shared(data: Dataset, known: list[Dataset]) -> Dataset:
    """Return `data` with the tensors of known data sets where they are equal, to save memory."""

    def same(a: Tensor, b: Tensor) -> bool:
        return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)

    for part in ("train", "val"):
        names = f"{part}_inputs", f"{part}_targets"
        for other in known:
            if all(same(getattr(data, name), getattr(other, name)) for name in names):
                data = dataclasses.replace(data, **{name: getattr(other, name) for name in names})
                break
    known.append(data)
    return data
