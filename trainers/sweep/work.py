"""What a worker of a sweep does: train some runs, each from where it was left."""

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

__all__ = ["DEFAULT_PROBES", "Chunk", "Outcome", "end_of", "train_chunk"]

CHECK_SECONDS = 0.5
HDF5_BEGIN, CHECKPOINT_BEGIN = b"\x89HDF\r\n\x1a\n", b"PK"

DEFAULT_PROBES = ("light",)
"""What is recorded by default."""

TELLING = "batch_loss", "train_loss", "total_norm"
"""What is not finite at the end of a run that diverged, as far as it is recorded."""

TRAINING = threading.Lock()
"""PyTorch's settings and random state belong to the process: its threads train one after another."""


@dataclass(frozen=True)
class Chunk:
    """Runs that one worker trains, together where it can.

    Parameters
    ----------
    folder : Path
        Where the traces go.
    session : str
        See :mod:`trainers.sweep._session`.
    setups : tuple of Setup
        The runs.
    probes : tuple of str
        What is recorded.
    checkpoint_every : int, updates
        Between two checkpoints.
    device : str
        Where to train.
    """

    folder: Path
    session: str
    setups: tuple[Setup, ...]
    probes: tuple[str, ...]
    checkpoint_every: int
    device: str

    def path(self, setup: Setup) -> Path:
        """Return where the trace of a run stands."""
        return self.folder / default_name(setup)


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Parameters
    ----------
    state : {"finished", "diverged", "failed", "stopped"}
        "diverged" if the run came to its end with a loss that is not finite.
    error : str
        Why it failed.
    seconds : float, seconds
        Of work on it; of a batch, its share.
    """

    state: str
    error: str
    seconds: float


def train_chunk(chunk: Chunk) -> dict[str, Outcome]:
    """Train runs and return what became of each, by the name of its trace.

    A run that was stopped goes on from its checkpoint; one whose file can't be used any more starts anew, and one that
    is finished is left alone.
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
        What is trained.
    """

    def __init__(self, chunk: Chunk) -> None:
        self._chunk, self._next = chunk, 0.0
        self.calls = 0

    def __call__(self, *_: Any) -> None:
        """Count an update, and look whether to stop if it is time to."""
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
    """Return how a run that is finished ended: "diverged" if its last losses or norms are not finite, or "finished"."""
    last = [value for name in TELLING if name in trace for value in trace[name].value[-1:]]
    return "finished" if all(map(math.isfinite, last)) else "diverged"


def _train_together(chunk: Chunk, check: Check) -> dict[str, Outcome]:
    start, outcomes = time.monotonic(), {}
    setups: list[Setup] = []
    used: list[bool] = []
    with ExitStack() as locks:
        try:
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
            setups = [setup for setup in chunk.setups if default_name(setup) not in outcomes]
            states, used = [_left_at(chunk.path(setup)) for setup in setups], [False] * len(setups)
    share = (time.monotonic() - start) / len(chunk.setups)
    for setup, state, was_used in zip(setups, states, used, strict=True):
        path = chunk.path(setup)
        kind, _, error = state.partition(": ")
        outcomes[path.name] = (
            _outcome(partial(_train_alone, chunk, setup, check), path)
            if kind == "failed" and was_used
            else Outcome(kind, error, share)
        )
    return outcomes


def _left_at(path: Path) -> str:
    """Return the state of a run whose batch was stopped: it may have come to its end before."""
    with suppress(InputError):
        trace = open_trace(path)
        return end_of(trace) if trace.finished else "stopped"
    return "stopped"


def _prepare(path: Path) -> bool:
    """Remove what a killed writer left half made, and return whether there is something to go on from."""
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
            if not used or check.calls > before or not _is_of_files(error, path):
                raise
            checkpoint = checkpoint_path(path)
            if isinstance(error, OtherFileError) or _is_kept(path) or not _begins(checkpoint, CHECKPOINT_BEGIN):
                raise InputError(
                    f"{error}. A sweep deletes only what is torn: move {path.name} and {checkpoint.name} away, as far "
                    "as they are there, or choose another out="
                ) from error
            path.unlink(missing_ok=True)
            checkpoint.unlink(missing_ok=True)
            _record(chunk, setup, path, check)


def _is_of_files(error: InputError, path: Path) -> bool:
    """Return whether what is left of a run is to blame: its trace or checkpoint is named, and can be written."""
    named = str(error).startswith((f"{path}:", f"{checkpoint_path(path)}:"))
    return named and not isinstance(error, UnwritableError)


def _is_kept(path: Path) -> bool:
    """Return whether a file at the place of a trace is whole, or never was a trace."""
    if not path.exists():
        return False
    try:
        open_trace(path)
    except OtherFileError:
        return True
    except InputError:
        return not _begins(path, HDF5_BEGIN)
    return True


def _begins(path: Path, begin: bytes) -> bool:
    """Return whether a file is absent or empty, or begins so."""
    try:
        with path.open("rb") as file:
            return file.read(len(begin)) in (b"", begin)
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
