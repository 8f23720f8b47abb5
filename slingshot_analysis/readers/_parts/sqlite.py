"""Open an SQLite file of another program for reading only, with errors that name it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from slingshot_analysis.errors import InputError

SQLITE_HEAD = b"SQLite format 3\0"
WAL_VERSION = b"\2\2"
WAIT_SECONDS = 1.0
LEAST_SECONDS, SECONDS_PER_MEGABYTE = 5.0, 2.0
"""Maximum CPU time in seconds. A damaged database may have endless rows."""
INSTRUCTIONS = 100_000
"""Number of SQLite instructions between two checks of the time."""
ADVICE = "close the program that writes it, or restore the file from a copy"


@contextlib.contextmanager
def opened(path: Path, notes: list[str]) -> Iterator[sqlite3.Connection]:
    """Open a database that may be in use, or may have a write-ahead log beside it.

    Parameters
    ----------
    path : Path
        The file.
    notes : list of str
        Gets a sentence if writes that are only in the log can't be read.

    Raises
    ------
    InputError
        If it can't be opened, or SQLite fails while it is read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); give a database file") from error
    if not head.startswith(SQLITE_HEAD):
        found = "is not an SQLite database" if head else "is empty"
        raise InputError(f"{path}: {found}; give the .db file that the logging program wrote")
    try:
        with contextlib.closing(_connect(path, head, notes)) as connection:
            deadline = time.process_time() + LEAST_SECONDS + SECONDS_PER_MEGABYTE * path.stat().st_size / 1e6
            connection.set_progress_handler(lambda: int(time.process_time() > deadline), INSTRUCTIONS)
            connection.execute("PRAGMA trusted_schema = OFF")
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: can't be read as an SQLite database ({reason}); {ADVICE}") from error


def _connect(path: Path, head: bytes, notes: list[str]) -> sqlite3.Connection:
    beside = (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal"))
    left = next((file for file in beside if file.exists() and file.stat().st_size), None)
    # without a log nobody is writing, and SQLite would create one only to read
    if left or head[18:20] != WAL_VERSION:
        connection = sqlite3.connect(_address(path, "mode=ro"), WAIT_SECONDS, uri=True)
        try:
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
            return connection
        except Exception as error:
            connection.close()
            code = error.sqlite_errorcode & 0xFF if isinstance(error, sqlite3.OperationalError) else None
            if code in (None, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            if left:
                notes.append(f"{left.name} could not be used; values that were written last may be missing")
    return sqlite3.connect(_address(path, "mode=ro&immutable=1"), uri=True)


def _address(path: Path, options: str) -> str:
    return f"file:{quote(str(path.resolve()))}?{options}"


def tables(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """Return the names of the columns of each table."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    names = [name for (name,) in connection.execute(query)]
    return {
        name: {column for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", [name])}
        for name in names
    }


def has_tables(path: Path, head: bytes, wanted: dict[str, set[str]]) -> bool:
    """Return whether a file is a database with these tables and columns."""
    if not head.startswith(SQLITE_HEAD):
        return False
    try:
        with opened(path, []) as connection:
            found = tables(connection)
    except InputError:
        return False
    return all(columns <= found.get(name, set()) for name, columns in wanted.items())
