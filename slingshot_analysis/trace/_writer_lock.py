"""Only one process at a time writes a trace."""

from __future__ import annotations

import contextlib
import os
import weakref
from pathlib import Path
from typing import TextIO

from slingshot_analysis.errors import InputError, UnwritableError
from slingshot_analysis.files import open_locked


class WriterLock:
    """The right to write a trace, until `release`.

    The lock is the hidden file ``.NAME.writing`` beside the trace, since HDF5 readers lock the trace itself. It holds
    the number of the process. A second writer in the same process gets no lock and is not refused: in a notebook, the
    first is left over from a cell that failed. A killed process leaves the file, unlocked.

    Parameters
    ----------
    path : Path
        The trace; missing parent folders are made.

    Raises
    ------
    InputError
        If another process writes the trace, or the folder can't be written.
    """

    def __init__(self, path: Path) -> None:
        name = path.absolute().with_name(f".{path.name}.writing")
        try:
            name.parent.mkdir(parents=True, exist_ok=True)
            file = open_locked(name)
            owner = "" if file is not None else name.read_text()
        except OSError as error:
            raise UnwritableError(
                f"{path}: can't be written ({error.strerror}); choose another place or free some space"
            ) from error
        if file is not None:
            file.truncate(0)
            print(os.getpid(), end="", file=file, flush=True)
        elif owner != str(os.getpid()):
            raise InputError(
                f"{path}: another process ({owner}) is recording it; wait for its end, stop it, or choose another name"
            )
        self.release = weakref.finalize(self, _release, name, file, os.getpid())
        """Let others write the trace. The second call does nothing, and a writer that is dropped needs none."""


def _release(name: Path, file: TextIO | None, owner: int) -> None:
    if file is None:
        return
    if os.getpid() == owner:  # a forked process has the file open, but not the right to delete it
        with contextlib.suppress(OSError):  # Windows does not delete open files
            name.unlink()
    file.close()
