"""Who may write the traces of a folder: one sweep at a time, and one worker for each trace."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from slingshot_analysis.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["HIDDEN", "StoppedError", "end_session", "is_current", "open_session", "owned"]

HIDDEN = ".sweep"
"""Folder, beside the traces, of what only sweeps read."""

WAIT_SECONDS = 0.1


class StoppedError(Exception):
    """The sweep that a worker trains for has been stopped, or another has taken its place."""


@contextmanager
def open_session(folder: Path) -> Iterator[str]:
    """Begin a session, which ends that of a sweep that was killed, wherever its workers are.

    Yields
    ------
    str
        What workers hand to `is_current`.

    Raises
    ------
    InputError
        If a sweep is running in this folder, or nothing can be written there.
    """
    hidden = folder / HIDDEN
    try:
        hidden.mkdir(parents=True, exist_ok=True)
        lock = (hidden / "lock").open("w")
    except OSError as error:
        raise InputError(f"{folder}: can't be written ({error.strerror}); choose another --out") from None
    with lock:
        if not _lock(lock):
            raise InputError(f"{folder}: a sweep is running here; wait for it, stop it, or choose another --out")
        session = uuid.uuid4().hex
        _write(folder, session)
        try:
            yield session
        finally:
            end_session(folder)


def end_session(folder: Path) -> None:
    """Have all workers stop between two updates."""
    _write(folder, "")


def is_current(folder: Path, session: str) -> bool:
    """Return whether a session goes on; where that can't be read for a moment, it does."""
    try:
        return (folder / HIDDEN / "session").read_text() == session
    except FileNotFoundError:
        return False
    except OSError:
        return True


@contextmanager
def owned(path: Path, check: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a trace, once the worker that holds it has let it go or has died.

    Parameters
    ----------
    path : Path
        Of the trace.
    check : callable
        Called while waiting; may raise.
    """
    with (path.parent / HIDDEN / f"{path.stem}.lock").open("w") as file:
        while not _lock(file):
            check()
            time.sleep(WAIT_SECONDS)
        yield


def _write(folder: Path, text: str) -> None:
    temporary = folder / HIDDEN / "session.tmp"
    temporary.write_text(text)
    temporary.replace(folder / HIDDEN / "session")


def _lock(file: TextIO) -> bool:
    """Lock a file until it is closed, where its file system has locks."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True
