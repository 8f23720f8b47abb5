"""Arrays that NumPy saved: ``.npz`` with several, ``.npy`` with one."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._gate import check_size
from slingshot_analysis.readers._parts.arrays import Array, runs_of_arrays
from slingshot_analysis.readers._parts.text_file import read_bytes
from slingshot_analysis.readers._raw import Column, RawRun, Reader, plain
from slingshot_analysis.safe_text import in_one_line

NPY = b"\x93NUMPY"
ZIP = b"PK\x03\x04"
DAMAGE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, SyntaxError)


class NumPyReader(Reader):
    """An ``.npz`` or ``.npy`` file. Pickled objects are never loaded, as that would run code from the file."""

    name = "numpy"
    suffixes = (".npz", ".npy")

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Return whether the first bytes are those of an array, or of an archive whose first member is an array."""
        return head.startswith(NPY) or (head.startswith(ZIP) and b".npy" in head[30:300])

    def read(self, path: Path) -> list[RawRun]:
        """Read all runs of a file.

        Raises
        ------
        InputError
            If NumPy did not save the file, it is damaged, or it holds Python objects or no columns of numbers.
        """
        data = read_bytes(path)
        if data.startswith(NPY):
            return [_one_array(path, _load(path, io.BytesIO(data)))]
        if not data.startswith(ZIP):
            raise InputError(f"{path}: is not a file that NumPy saved; give the right file, or name its format")
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
                check_size(path, sum(member.file_size for member in members), "unpacks to")
                found = {member.filename.removesuffix(".npy"): _unpacked(path, archive, member) for member in members}
        except DAMAGE as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: is damaged or cut short ({in_one_line(error)}); copy it again") from error
        if not found:
            raise InputError(f"{path}: is an archive without NumPy arrays; give a file written with numpy.savez")
        return _many_arrays(path, found)


def _unpacked(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(member) as file:
        return _load(path, io.BytesIO(file.read(member.file_size)), member.filename)


def _load(path: Path, file: io.BytesIO, member: str = "") -> npt.NDArray[Any]:
    try:
        _check_declared(path, file)
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except DAMAGE as error:
        if isinstance(error, InputError):
            raise
        if "Object arrays" in str(error):
            raise InputError(
                f"{path}: {member.removesuffix('.npy') or 'the array'} holds Python objects, which only pickle can "
                "load, and that runs code from the file; save it again as arrays of numbers"
            ) from error
        where = f"{path}: {member}" if member else str(path)
        raise InputError(f"{where}: is damaged or cut short ({in_one_line(error)}); copy it again") from error


def _check_declared(path: Path, file: io.BytesIO) -> None:
    """Raise an error for an array whose header declares more data than the file contains."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    declared, there = math.prod(shape) * kind.itemsize, file.getbuffer().nbytes - file.tell()
    file.seek(0)
    if declared > there and not kind.hasobject:
        raise InputError(f"{path}: is cut short: its header declares {declared:,} bytes, of which {there:,} are there")


def _one_array(path: Path, array: npt.NDArray[Any]) -> RawRun:
    """Make a run of one array: its fields, or the columns of a table."""
    notes: list[str] = []
    columns: dict[str, Column] = {}
    if array.dtype.names:
        fields = {name: array[name] for name in array.dtype.names}
        columns = {name: Column(values) for name, values in fields.items() if _is_numeric(values) and values.ndim == 1}
        lost = ", ".join(repr(name) for name in fields if name not in columns)
        notes = [f"fields left out, being no columns of numbers: {lost}"] if lost else []
    elif _is_numeric(array) and array.ndim in (1, 2) and array.size:
        table = array.reshape(len(array), -1)
        if table.shape[0] < table.shape[1]:
            table = table.T
            notes = ["the longer axis of the table is taken for its rows"]
        columns = {f"column_{index}": Column(values) for index, values in enumerate(table.T)}
    if not columns or array.size == 0:
        raise InputError(
            f"{path}: holds an array of shape {array.shape} and type {array.dtype}; "
            "expected numbers with one or two axes"
        )
    return RawRun("", columns, {}, notes)


def _many_arrays(path: Path, found: dict[str, npt.NDArray[Any]]) -> list[RawRun]:
    attributes = {name: plain(values[()]) for name, values in found.items() if values.ndim == 0}
    arrays = [
        Array((name,), values.astype(np.float64))
        for name, values in found.items()
        if values.ndim in (1, 2) and values.size and _is_numeric(values)
    ]
    taken = {array.path[0] for array in arrays} | set(attributes)
    lost = ", ".join(repr(name) for name in found if name not in taken)
    return runs_of_arrays(
        arrays, path, attributes, [f"arrays left out, being no tables of numbers: {lost}"] if lost else []
    )


def _is_numeric(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind in "fiub"
