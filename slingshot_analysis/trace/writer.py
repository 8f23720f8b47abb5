"""Write a trace while a run goes on. It can be read at any moment and survives a kill."""

from __future__ import annotations

import contextlib
import operator
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, SupportsIndex

import h5py
import numpy.typing as npt

from slingshot_analysis.errors import InputError, UnwritableError, unknown_name
from slingshot_analysis.trace._block import Rows
from slingshot_analysis.trace._header import cause, create_file
from slingshot_analysis.trace._writer_lock import WriterLock
from slingshot_analysis.trace.schema import LIBVER, Group, check_groups

FLUSH_SECONDS = 2.0


class TraceWriter:
    """Write one run to one trace file. Needs no torch: any training loop can use it.

    Rows are collected in memory. They are written when a chunk of 512 rows is full, when two seconds have passed since
    the last flush (checked at each `append`), at `flush` and at `close`. Other processes can read written rows at once,
    and a kill does not lose them.

    Parameters
    ----------
    path : str or path
        The file to create; missing parent folders are created too.
    groups : iterable of Group
        All that will be measured. Nothing can be added later.
    attributes : mapping, optional
        Root attributes, such as ``setup``, ``config``, ``seed``, ``dtype``: text, numbers, bools. A mapping or list is
        written as JSON, None is left out. See ``docs/trace-format.md`` for the names in use.
    overwrite : bool, optional
        Replace an existing file, once the new one is complete.

    Raises
    ------
    InputError
        If the file exists, can't be written, or a name is not allowed.

    Examples
    --------
    >>> import tempfile
    >>> from slingshot_analysis.trace import Group, Quantity, open_trace
    >>> path = Path(tempfile.mkdtemp()) / "run.h5"
    >>> with TraceWriter(path, [Group("every_1", [Quantity("batch_loss", "nat")])], {"seed": 0}) as writer:
    ...     writer.append("every_1", step=0, batch_loss=0.7)
    ...     writer.append("every_1", step=[1, 2], batch_loss=[0.6, 0.5])
    >>> open_trace(path)["batch_loss"].value.tolist()
    [0.7, 0.6, 0.5]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        groups: Iterable[Group],
        attributes: Mapping[str, object] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        groups = tuple(groups)
        check_groups(groups)
        self._lock = WriterLock(self.path)
        try:
            create_file(self.path, groups, attributes or {}, overwrite)
            self._identity = _identity(self.path)
            self._file = self._open()
        except InputError:
            self._lock.release()
            raise
        self._tables = {group.name: Rows(group, self._file[group.name]) for group in groups}
        self._closed = False
        self._due = time.monotonic() + FLUSH_SECONDS

    def append(self, group: str, /, step: SupportsIndex | npt.ArrayLike, **values: npt.ArrayLike) -> None:
        """Append one row, or a block of rows, to a group.

        Parameters
        ----------
        group : str
            Name of the group.
        step : int or (n,) int array, updates
            Steps of the rows; larger than all before in this group.
        **values : scalar or (k, ...) array, or (n,) or (n, k, ...) array
            One value for each quantity of the group; with n steps, n values.

        Raises
        ------
        InputError
            If the group or a quantity is unknown, a quantity is missing, a shape or dtype does not fit, the steps do
            not increase, the file can't be written or has been closed. Of a call that does not fit, no row is kept.
        """
        if self._closed:
            raise InputError(f"{self.path}: is closed; rows can't be appended any more")
        table = self._tables.get(group)
        if table is None:
            raise unknown_name("group", group, self._tables, str(self.path))
        try:
            row_step = operator.index(step)  # type: ignore[arg-type]
        except TypeError:
            self._append_block(table, step, values)
        else:
            table.put_row(row_step, values)
            if table.is_full:
                self._write([table])
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write all rows, so that readers see them and a kill does not lose them.

        Raises
        ------
        InputError
            If the file can't be written.
        """
        self._due = time.monotonic() + FLUSH_SECONDS
        self._write([table for table in self._tables.values() if table.filled > table.written])

    def close(self, finished: bool = True, attributes: Mapping[str, str] | None = None) -> None:
        """Write the last rows and close the file. Do nothing if it is closed already.

        Parameters
        ----------
        finished : bool, optional
            Whether the run has finished; sets the attribute ``finished``.
        attributes : mapping, optional
            Root attributes that became known during the run.

        Raises
        ------
        InputError
            If the file can't be written, or is no longer at its path.
        """
        if self._closed:
            return
        self._write([table for table in self._tables.values() if table.filled > table.written], last=True)
        self._closed = True
        self._file.close()
        found = dict(attributes or {})
        try:
            if finished or found:
                self._set_attributes(found | ({"finished": 1} if finished else {}))
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(finished=kind is None)

    def _open(self) -> h5py.File:
        try:
            file = h5py.File(self.path, "r+", libver=LIBVER, locking=False)
            file.swmr_mode = True
        except OSError as error:
            raise self._failed(error) from error
        return file

    def _moved(self, path: Path, lock: WriterLock) -> None:
        """Write on after the file has been moved to `path`, whose lock is held."""
        self._lock.release()
        self.path, self._lock = path, lock

    def _append_block(self, table: Rows, step: object, values: Mapping[str, object]) -> None:
        steps, arrays = table.check_block(step, values)
        done = 0
        while done < len(steps):
            done += table.put_rows(steps, arrays, done)
            if table.is_full:
                self._write([table])

    def _write(self, tables: list[Rows], last: bool = False) -> None:
        """Write quantities before steps, so that a reader never sees a step without its values."""
        if not tables:
            return
        try:
            for table in tables:
                table.write_quantities(last)
            self._file.flush()
            for table in tables:
                table.write_step(last)
            self._file.flush()
        except (OSError, RuntimeError) as error:
            self._abandon()
            raise self._failed(error) from error

    def _abandon(self) -> None:
        """Close a file that can't be written, so that the rows flushed before can still be read."""
        self._closed = True
        self._lock.release()
        with contextlib.suppress(OSError, RuntimeError):
            size = self._file.id.get_filesize()
            with contextlib.suppress(OSError, RuntimeError):
                self._file.close()
            if self.path.stat().st_size < size:  # HDF5 refuses a file that is shorter than what it has allotted
                os.truncate(self.path, size)

    def _set_attributes(self, attributes: Mapping[str, str | int]) -> None:
        if _identity(self.path) != self._identity:
            raise InputError(
                f"{self.path}: was moved or replaced while it was being written; "
                "the rows are in the old file, in which 'finished' stays 0"
            )
        try:
            with h5py.File(self.path, "r+", libver=LIBVER, locking=False) as file:
                for name, value in attributes.items():
                    file.attrs.modify(name, value)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> InputError:
        return UnwritableError(
            f"{self.path}: can't be written ({cause(error)}); rows that were flushed before are safe"
        )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, by which it is recognized; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
