"""Locks: one process at a time writes a trace."""

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

__all__ = ["lock", "owned"]

WAIT_SECONDS = 0.1
PATIENCE = 60.0
"""Seconds. A worker whose sweep has ended lets go within a few."""

_mine = threading.local()


@contextmanager
def owned(path: Path, wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a trace, the file ``.NAME.recording`` beside it; a thread may take one that it holds already.

    Parameters
    ----------
    path : Path
        Of the trace. Missing parent folders are made.
    wait : callable, optional
        Called again and again while another process holds the lock, for a minute at most; may raise. Without it the
        lock is not waited for.

    Raises
    ------
    InputError
        If another process holds it, or nothing can be written there.
    """
    held: set[Path] = _mine.__dict__.setdefault("held", set())
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
            with suppress(OSError):  # Windows deletes no file that is open
                name.unlink()


def lock(file: TextIO) -> bool:
    """Lock a file until it is closed, where its file system has locks; return False if another process holds it."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def _acquired(name: Path, path: Path, wait: Callable[[], None] | None) -> TextIO:
    limit = time.monotonic() + PATIENCE
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
        if is_mine:  # it was deleted by its last owner: lock the next one
            continue
        if wait is None or time.monotonic() > limit:
            raise InputError(
                f"{path}: another process is recording it; wait for its end, stop it, or choose another out="
            )
        wait()
        time.sleep(WAIT_SECONDS)


def _is_at(file: TextIO, name: Path) -> bool:
    """Return whether an open file is still the one of that name: its last owner deletes it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), name.stat())
    except FileNotFoundError:
        return False
