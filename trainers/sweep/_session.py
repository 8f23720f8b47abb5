"""Who may write the traces of a folder: one sweep at a time, of which each worker knows that it goes on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slingshot_analysis.errors import InputError
from slingshot_analysis.files import replaced
from trainers.lock import lock

__all__ = ["HIDDEN", "StoppedError", "end_session", "is_current", "open_session"]

HIDDEN = ".sweep"
"""Folder, beside the traces, of what only sweeps read."""


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
        file = (hidden / "lock").open("w")
    except OSError as error:
        raise InputError(f"{folder}: can't be written ({error.strerror}); choose another out=") from None
    with file:
        if not lock(file):
            raise InputError(f"{folder}: a sweep is running here; wait for it, stop it, or choose another out=")
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


def _write(folder: Path, text: str) -> None:
    with replaced(folder / HIDDEN / "session") as aside:
        aside.write_text(text)
