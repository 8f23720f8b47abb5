"""Train setups of one shape in lockstep and record each into a trace of its own."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError, SlingshotError
from slingshot_analysis.recording import Probe
from trainers.batch._lockstep import Lockstep, Member
from trainers.batch.key import batch_key
from trainers.checkpoint import checkpoint_path, save_checkpoint
from trainers.data.dataset import Dataset
from trainers.lock import owned
from trainers.loop import Run, cpu_settings
from trainers.recorded_run import find_device, is_finished, make_recorder, start
from trainers.setup import Setup

__all__ = ["record_batch"]

TOGETHER = 32
"""Runs that are one stack. Of more, stacks take turns of some hundred updates, and each stays in the CPU's cache."""

FLUSH_SECONDS = 10.0
"""Between two flushes of a run's rows: there are many files to flush."""


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
    """Train setups as one program, and write for each the trace that `record` writes.

    Each run has the data, the initialisation and the order of batches that it has alone, and its trace the same rows;
    values differ by rounding, since products of stacked matrices are summed in another order. A run that has come to
    its end, or whose loss and weights are no longer finite, leaves the batch, and the others go on.

    Parameters
    ----------
    setups : sequence of R Setup
        Of one :func:`~trainers.batch.batch_key`.
    paths : sequence of R path-like
        Where each trace is written.
    device, threads, flush_denormal, overwrite, probes, checkpoint_every, resume
        As for :func:`~trainers.recorded_run.record`; the checkpoints are the same, so that a run can be resumed alone
        or in another batch, whatever the steps of its partners. Probes that wait for the device, such as those of
        curvature, are measured for one run after another, and a budget of curvature is that of each run: record such
        runs alone.
    progress : callable, optional
        Called every few hundred updates, or 2 s, with the updates made by all runs together, and how many runs still
        train. What it raises ends all runs.

    Returns
    -------
    list of R str
        "finished"; "diverged" for a run whose loss and weights ceased to be finite, whose trace ends within 512 updates
        of that and is marked as finished; or "failed: " and why.

    Raises
    ------
    InputError
        If the setups can't be one batch, or the device is not there. What is wrong with one run is told in its state.
    """
    if len(setups) != len(paths):
        raise InputError(f"record_batch needs a path for each setup, got {len(setups)} setups and {len(paths)} paths")
    keys = {batch_key(setup) for setup in setups}
    if len(keys) > 1 or (None in keys and len(setups) > 1):
        raise InputError("the setups can't be one batch: make one for each batch_key(), and train those of none alone")
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
                    options = {"probes": copy.deepcopy(kept), "flush_seconds": FLUSH_SECONDS}
                    recorder = make_recorder(run, path, overwrite or resume, state, **options)
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
    """Train until every run has left `members`, and note in `states` how."""
    members[:], made = _without(members, [m for m in members if m.step == m.run.setup.steps], states), 0
    while members:
        # runs of the same optimizer side by side make one update
        members.sort(key=lambda member: (repr(member.run.setup.optimizer), member.step))
        blocks = [Lockstep(members[i : i + TOGETHER]) for i in range(0, len(members), TOGETHER)]
        leaving: list[Member] = []
        while not leaving:
            for block in blocks:
                most = min(m.run.setup.steps - m.step for m in block.members)
                if checkpoint_every:
                    most = min(most, *(checkpoint_every - m.step % checkpoint_every for m in block.members))
                made += len(block.members) * block.advance(most)
                leaving += _at_border(block, states, checkpoint_every)
                if progress:
                    progress(made, len(members) - len(leaving))
        members[:] = _without(members, leaving, states)


def _at_border(block: Lockstep, states: list[str], checkpoint_every: int | None) -> list[Member]:
    """Write the checkpoints that are due, and return the runs that leave."""
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
    """Close the traces of the runs that leave, and return the others."""
    for member in leaving:
        with member.failing():
            member.recorder.close(finished=not member.failure)
        if member.failure:
            states[member.index] = f"failed: {member.failure}"
        elif member.has_checkpoint:
            checkpoint_path(member.path).unlink(missing_ok=True)
    return [member for member in members if member not in leaving]


def _shared(data: Dataset, known: list[Dataset]) -> Dataset:
    """Return `data` with the tensors of an equal part of a data set that is known already."""

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
