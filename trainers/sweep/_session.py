"""Sessions: only one sweep at a time writes into a folder, and its workers can tell whether it still runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slingshot_analysis.errors import InputError
from slingshot_analysis.files import lock, replaced

HIDDEN = ".sweep"
"""Folder, within that of the traces, of the files that only sweeps read."""


class StoppedError(Exception):
    """The sweep of a worker was stopped, or another sweep of the folder has begun."""


@contextmanager
def open_session(folder: Path) -> Iterator[str]:
    """Begin a session. This ends the session of a sweep that was killed, also for workers on other machines.

    Yields
    ------
    str
        Name of the session, for `is_current`.

    Raises
    ------
    InputError
        If another sweep is running in the folder, or the folder can't be written.
    """
    hidden = folder / HIDDEN
    try:
        hidden.mkdir(parents=True, exist_ok=True)
        file = (hidden / "lock").open("w")
    except OSError as error:
        raise InputError(f"{folder}: can't be written ({error.strerror}); choose another out=") from None
    with file:
        if not lock(file):
            raise InputError(
                f"{folder}: another sweep is running here; wait for its end, stop it, or choose another out="
            )
        session = uuid.uuid4().hex
        _write(folder, session)
        try:
            yield session
        finally:
            end_session(folder)


def end_session(folder: Path) -> None:
    """Make all workers stop before their next update."""
    _write(folder, "")


def is_current(folder: Path, session: str) -> bool:
    """Return whether a session still runs. A session whose file can't be read for a moment counts as running."""
    try:
        return (folder / HIDDEN / "session").read_text() == session
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _write(folder: Path, text: str) -> None:
    with replaced(folder / HIDDEN / "session") as aside:
        aside.write_text(text)
