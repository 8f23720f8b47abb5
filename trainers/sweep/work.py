"""The worker of a sweep, which trains some of the runs, each from its checkpoint if it has one."""

from __future__ import annotations

import glob
import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError, OtherFileError, SlingshotError, UnwritableError
from slingshot_analysis.trace import Trace, open_trace
from trainers.batch import record_batch
from trainers.checkpoint import checkpoint_path
from trainers.lock import owned
from trainers.recorded_run import default_name, record
from trainers.setup import Setup
from trainers.sweep._session import StoppedError, is_current

CHECK_SECONDS = 0.5
"""Time between two checks whether the session still runs."""

HDF5_SIGNATURE, CHECKPOINT_SIGNATURE = b"\x89HDF\r\n\x1a\n", b"PK"

DEFAULT_PROBES = ("light",)
"""Probes that a sweep records by default."""

SIGNALS_OF_DIVERGENCE = "batch_loss", "train_loss", "total_norm"
"""Signals of which at least one is not finite at the end of a run that diverged."""

TRAINING = threading.Lock()
"""Held while training: PyTorch's settings and random state belong to the process, so its threads must take turns."""


@dataclass(frozen=True)
class Chunk:
    """Runs that are given to one worker, which trains them as one batch if possible.

    Parameters
    ----------
    folder : Path
        Folder of the traces.
    session : str
        Name of the sweep's session.
    setups : tuple of Setup
        Setups of the runs.
    probes : tuple of str
        Names of the probes to record.
    checkpoint_every : int, updates
        Number of updates between checkpoints.
    device : str
        Device of the training.
    """

    folder: Path
    session: str
    setups: tuple[Setup, ...]
    probes: tuple[str, ...]
    checkpoint_every: int
    device: str

    def path(self, setup: Setup) -> Path:
        """Return the path of a run's trace."""
        return self.folder / default_name(setup)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Parameters
    ----------
    state : {"finished", "diverged", "failed", "stopped"}
        "diverged" means finished, with a loss or norm that is not finite.
    error : str
        Message of a run that failed.
    seconds : float, seconds
        Time spent on the run; the time of a batch is divided equally among its runs.
    """

    state: str
    error: str
    seconds: float


def train_chunk(chunk: Chunk) -> dict[str, Outcome]:
    """Train runs and return their outcomes by the file name of the trace.

    A run that was stopped continues from its checkpoint. A run whose files are damaged starts again. A finished run is
    left as it is.
    """
    check = Check(chunk)
    with TRAINING:
        if len(chunk.setups) > 1:
            return _train_together(chunk, check)
        setup = chunk.setups[0]
        return {default_name(setup): _outcome(partial(_train_alone, chunk, setup, check), chunk.path(setup))}


class Check:
    """A callback of training that raises `StoppedError` soon after the session has ended.

    Parameters
    ----------
    chunk : Chunk
        The runs in training.
    """

    def __init__(self, chunk: Chunk) -> None:
        self._chunk, self._next = chunk, 0.0
        self.calls = 0

    def __call__(self, *_: Any) -> None:
        """Count an update, and check the session if the last check was some time ago."""
        self.calls += 1
        now = time.monotonic()
        if now >= self._next:
            self._next = now + CHECK_SECONDS
            if not is_current(self._chunk.folder, self._chunk.session):
                raise StoppedError


def _outcome(train: Callable[[], None], path: Path) -> Outcome:
    start = time.monotonic()
    try:
        train()
        state, error = end_of(open_trace(path)), ""
    except StoppedError:
        state, error = "stopped", ""
    except SlingshotError as problem:
        state, error = "failed", str(problem)
    except Exception as problem:
        state, error = "failed", f"{type(problem).__name__}: {problem}"
    return Outcome(state, error, time.monotonic() - start)


def end_of(trace: Trace) -> str:
    """Return "diverged" if a last loss or norm of a finished run is not finite, otherwise "finished"."""
    last = [value for name in SIGNALS_OF_DIVERGENCE if name in trace for value in trace[name].value[-1:]]
    return "finished" if all(map(math.isfinite, last)) else "diverged"


def _train_together(chunk: Chunk, check: Check) -> dict[str, Outcome]:
    start, outcomes = time.monotonic(), {}
    setups: list[Setup] = []
    used: list[bool] = []
    with ExitStack() as locks:
        try:
            # lock all traces; the runs whose lock is held elsewhere fail, the others are trained
            for setup in chunk.setups:
                path = chunk.path(setup)
                try:
                    locks.enter_context(owned(path, check))
                except InputError as error:
                    outcomes[path.name] = Outcome("failed", str(error), time.monotonic() - start)
                else:
                    setups.append(setup)
                    used.append(_prepare(path))
            check()
            states = []
            if setups:
                states = record_batch(
                    setups,
                    [chunk.path(setup) for setup in setups],
                    device=chunk.device,
                    probes=chunk.probes,
                    checkpoint_every=chunk.checkpoint_every,
                    resume=True,
                    progress=check,
                )
        except StoppedError:
            # the session has ended: ask the traces which runs had finished before
            setups = [setup for setup in chunk.setups if default_name(setup) not in outcomes]
            states, used = [_left_at(chunk.path(setup)) for setup in setups], [False] * len(setups)
    share = (time.monotonic() - start) / len(chunk.setups)
    # a run that failed may have had damaged files: trained alone, it starts again if they may be replaced
    for setup, state, was_used in zip(setups, states, used, strict=True):
        path = chunk.path(setup)
        kind, _, message = state.partition(": ")
        outcomes[path.name] = (
            _outcome(partial(_train_alone, chunk, setup, check), path)
            if kind == "failed" and was_used
            else Outcome(kind, message, share)
        )
    return outcomes


def _left_at(path: Path) -> str:
    """Return the state of a run whose batch was stopped; the run may have finished before."""
    with suppress(InputError):
        trace = open_trace(path)
        return end_of(trace) if trace.finished else "stopped"
    return "stopped"


def _prepare(path: Path) -> bool:
    """Delete the temporary files of a killed writer, and return whether there is a trace or a checkpoint."""
    name, checkpoint = glob.escape(path.name), checkpoint_path(path)
    for pattern in (f".{name}.*", f"..{name}.*", f".{glob.escape(checkpoint.name)}.*"):
        for left in path.parent.glob(pattern):
            left.unlink()
    return path.exists() or checkpoint.exists()


def _train_alone(chunk: Chunk, setup: Setup, check: Check) -> None:
    path = chunk.path(setup)
    with owned(path, check):
        check()
        used, before = _prepare(path), check.calls
        try:
            _record(chunk, setup, path, check)
        except InputError as error:
            # start again if a file that an interrupted write has damaged is the cause; other files are kept
            if not used or check.calls > before or not _is_of_files(error, path):
                raise
            checkpoint = checkpoint_path(path)
            if isinstance(error, OtherFileError) or _is_kept(path) or not _begins(checkpoint, CHECKPOINT_SIGNATURE):
                raise InputError(
                    f"{error}. A sweep deletes only damaged files: move {path.name} and {checkpoint.name} away if they "
                    "exist, or choose another out="
                ) from error
            path.unlink(missing_ok=True)
            checkpoint.unlink(missing_ok=True)
            _record(chunk, setup, path, check)


def _is_of_files(error: InputError, path: Path) -> bool:
    """Return whether an error is caused by the contents of a trace or checkpoint."""
    named = str(error).startswith((f"{path}:", f"{checkpoint_path(path)}:"))
    return named and not isinstance(error, UnwritableError)


def _is_kept(path: Path) -> bool:
    """Return whether the file at a trace's path is an intact trace, or never was a trace, and so must be kept."""
    if not path.exists():
        return False
    try:
        open_trace(path)
    except OtherFileError:
        return True
    except InputError:
        return not _begins(path, HDF5_SIGNATURE)
    return True


def _begins(path: Path, signature: bytes) -> bool:
    """Return whether a file is missing or empty, or begins with a signature."""
    try:
        with path.open("rb") as file:
            return file.read(len(signature)) in (b"", signature)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _record(chunk: Chunk, setup: Setup, path: Path, check: Check) -> None:
    record(
        setup,
        path,
        device=chunk.device,
        probes=chunk.probes,
        checkpoint_every=chunk.checkpoint_every,
        resume=True,
        progress=check,
    )
