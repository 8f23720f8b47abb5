"""Replace a file by a complete new one, so that no reader ever sees half of it, and lock files between processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a path to write to, and move what was written there to `path` when the block ends.

    If the block fails, what it has written is deleted and the file at `path` stays as it was. A process that is killed
    in the block leaves a hidden file ``.NAME.PID.tmp`` beside `path`.

    Parameters
    ----------
    path : Path
        The file to make or to replace; its folder exists.

    Yields
    ------
    Path
        In the same folder.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "settings.json"
    >>> with replaced(path) as aside:
    ...     _ = aside.write_text("{}")
    >>> [file.name for file in path.parent.iterdir()]
    ['settings.json']
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise


def lock(file: TextIO) -> bool:
    """Lock a file until it is closed, if its file system supports locks; return False if it is locked already."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def open_locked(path: Path) -> TextIO | None:
    """Open a lock file, which its owner deletes in the end, and lock it; return None if it is locked already.

    Raises
    ------
    OSError
        If the file can't be created.
    """
    while True:
        file = path.open("a+")
        if not lock(file):
            file.close()
            return None
        if _is_at(file, path):
            return file
        file.close()  # the previous owner deleted this file after it had been opened here: try the new one


def _is_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
