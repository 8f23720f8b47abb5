"""Locks, so that only one process at a time writes a trace."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from slingshot_analysis.errors import InputError, UnwritableError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

RETRY_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 60.0
"""Longest wait for a lock. A worker releases its locks within a few seconds of the end of its sweep."""

_thread = threading.local()


@contextmanager
def owned(path: Path, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a trace. A thread may acquire a lock again that it already holds.

    The lock is the file ``.NAME.recording`` in the folder of the trace.

    Parameters
    ----------
    path : Path
        The trace. Missing parent folders are created.
    wait : callable, optional
        Called repeatedly while another process holds the lock, for at most a minute. It may raise an exception. Without
        `wait`, a lock that is held is an error at once.

    Raises
    ------
    InputError
        If another process holds the lock, or the folder can't be written.
    """
    held: set[Path] = _thread.__dict__.setdefault("held", set())
    name = path.absolute().with_name(f".{path.stem}.recording")
    if name in held:
        yield
        return
    with _acquired(name, path, wait):
        held.add(name)
        try:
            yield
        finally:
            held.discard(name)
            with suppress(OSError):  # Windows does not delete open files
                name.unlink()


def lock(file: TextIO) -> bool:
    """Lock a file until it is closed, if its file system supports locks; return False if another process has it."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def _acquired(name: Path, path: Path, wait: Callable[[], None] | None) -> TextIO:
    limit = time.monotonic() + LONGEST_WAIT_SECONDS
    while True:
        try:
            name.parent.mkdir(parents=True, exist_ok=True)
            file = name.open("w")
        except OSError as error:
            raise UnwritableError(f"{path}: can't be written ({error.strerror}); choose another out=") from None
        is_mine = lock(file)
        if is_mine and _is_at(file, name):
            return file
        file.close()
        if is_mine:  # the previous owner deleted this file after we had opened it: try the new one
            continue
        if wait is None or time.monotonic() > limit:
            raise InputError(
                f"{path}: another process is recording it; wait for its end, stop it, or choose another out="
            )
        wait()
        time.sleep(RETRY_SECONDS)


def _is_at(file: TextIO, name: Path) -> bool:
    """Return whether an open file still has this name: the previous owner may have deleted it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), name.stat())
    except FileNotFoundError:
        return False
