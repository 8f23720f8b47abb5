"""A file that may be growing, and the runs in it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from slingshot_analysis.errors import InputError
from slingshot_analysis.trace import Trace, TraceFile

READING_SHARE = 0.05
"""Largest share of the time that reading a log anew may take."""

Read = Callable[[str], Sequence[Trace]]


class Source:
    """Reads a file again when it has changed.

    A trace is opened once, and only its new rows are read afterwards. Any other log is read as a whole each time, so
    that everything the readers know holds for it too; the pauses grow with the time that this takes.

    Parameters
    ----------
    path : Path
        The file.
    read : callable
        Returns the runs of a file.
    """

    def __init__(self, path: Path, read: Read) -> None:
        self.path = path
        self.runs: Sequence[Trace] = ()
        self.problem: InputError | None = None
        """Why the file can't be read at present."""
        self._read = read
        self._inode = self._size = -1
        self._changed = -1
        self._pause_until = 0.0

    def look(self) -> bool:
        """Read what is new; return whether there may be new rows.

        Raises
        ------
        InputError
            If the file is gone.
        """
        try:
            now = self.path.stat()
        except OSError as error:
            raise InputError(f"{self.path}: can't be read any more ({error.strerror})") from error
        if now.st_mtime_ns == self._changed and now.st_size == self._size:
            return False
        if time.monotonic() < self._pause_until:
            return False
        replaced = now.st_ino != self._inode or now.st_size < self._size
        self._inode, self._size, self._changed = now.st_ino, now.st_size, now.st_mtime_ns
        if replaced or not isinstance(next(iter(self.runs), None), TraceFile):
            self._read_whole()
        return bool(self.runs)

    def seconds_quiet(self) -> float:
        """Return for how long nothing was written."""
        try:
            return time.time() - self.path.stat().st_mtime
        except OSError:
            return math.inf

    def _read_whole(self) -> None:
        start = time.monotonic()
        try:
            self.runs, self.problem = self._read(str(self.path)), None
        except InputError as error:  # such as a line that is not written to its end
            self.problem = error
        end = time.monotonic()
        self._pause_until = end + (end - start) / READING_SHARE
