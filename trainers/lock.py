"""Locks, so that only one process at a time writes a trace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from slingshot_analysis.errors import InputError, UnwritableError
from slingshot_analysis.files import open_locked

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


def _acquired(name: Path, path: Path, wait: Callable[[], None] | None) -> TextIO:
    limit = time.monotonic() + LONGEST_WAIT_SECONDS
    while True:
        try:
            name.parent.mkdir(parents=True, exist_ok=True)
            file = open_locked(name)
        except OSError as error:
            raise UnwritableError(f"{path}: can't be written ({error.strerror}); choose another out=") from None
        if file is not None:
            return file
        if wait is None or time.monotonic() > limit:
            raise InputError(
                f"{path}: another process is recording it; wait for its end, stop it, or choose another out="
            )
        wait()
        time.sleep(RETRY_SECONDS)
