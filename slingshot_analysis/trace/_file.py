"""Open a trace file and read its attributes and the description of its groups; errors name the key."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from slingshot_analysis.errors import InputError, OtherFileError, SlingshotError
from slingshot_analysis.safe_text import in_one_line, printable
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace.members import HDF5_ERRORS, members
from slingshot_analysis.trace.schema import FORMAT, VERSION, Group, Quantity, check_groups

REQUIRED = ("version", "start_time", "finished", "creator")
CLOSING_SECONDS = 0.5
RECORD_AGAIN = "record the run again, or restore the file from a copy"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file that may be closed, growing, or left behind by a killed writer.

    Raises
    ------
    InputError
        If it can't be opened, or HDF5 fails while it is read; the message says why and what to do.
    """
    with _open(path) as file:
        try:
            yield file
        except SlingshotError:
            raise
        except MemoryError as error:
            raise InputError(f"{path}: declares more rows than memory can hold; is it damaged?") from error
        except Exception as error:  # HDF5 and what it returns of a damaged file raise many
            raise InputError(f"{path}: is damaged ({in_one_line(error)}); {RECORD_AGAIN}") from error


def _open(path: Path) -> h5py.File:
    deadline = time.monotonic() + CLOSING_SECONDS
    while True:
        try:
            return h5py.File(path, "r", locking=False)
        except (OSError, RuntimeError) as error:
            reason = error
        if "already open for write" in str(reason):
            with contextlib.suppress(OSError, RuntimeError):
                return h5py.File(path, "r", swmr=True, locking=False)
        elif "truncated" not in str(reason):
            raise _explained(path, reason) from reason
        # A writer that is extending or closing its file keeps readers out for a moment.
        if time.monotonic() > deadline:
            raise _explained(path, reason) from reason
        time.sleep(0.02)


def _explained(path: Path, error: Exception) -> InputError:
    if path.is_dir():
        return InputError(f"{path}: is a folder; give a trace file in it, such as {path / 'run.h5'}")
    if isinstance(error, FileNotFoundError) or not path.exists():
        return InputError(f"{path}: no such file; check the name, or record a run first")
    if isinstance(error, PermissionError):
        return InputError(f"{path}: can't be read ({error.strerror}); check its permissions")
    if not path.stat().st_size:
        return InputError(f"{path}: is empty: its writer was killed before it began; delete it and {RECORD_AGAIN}")
    if not h5py.is_hdf5(path):
        return InputError(f"{path}: is not an HDF5 file, so not a trace; give a .h5 file that a trace writer made")
    if "truncated" in str(error):
        return InputError(f"{path}: is truncated: its end is missing ({error}); {RECORD_AGAIN}")
    return InputError(f"{path}: can't be opened ({error}); {RECORD_AGAIN}")


def read_attributes(path: Path, file: h5py.File, notes: list[str] | None = None) -> dict[str, Any]:
    """Return the root attributes as Python values, of a file that is a trace of a known version.

    `notes` gets a sentence on those that can't be read, which are left out.
    """
    attributes: dict[str, Any] = {}
    lost = []
    for name in file.attrs:
        try:
            attributes[printable(name)] = _python(file.attrs[name])
        except HDF5_ERRORS:
            lost.append(printable(name))
    if lost and notes is not None:
        notes.append(f"attributes that can't be read were left out: {', '.join(map(repr, lost[:5]))}")
    if attributes.get("format") != FORMAT:
        found = f"is {str(attributes['format'])[:60]!r}" if "format" in attributes else "is missing"
        raise OtherFileError(
            f"{path}: not a slingshot trace: root attribute 'format' {found}; expected {FORMAT!r}. "
            "Logs of other programs need a reader for their format"
        )
    for name in REQUIRED:
        if name not in attributes:
            raise InputError(f"{path}: {_missing('/', name)}")
    if attributes["version"] != VERSION:
        raise OtherFileError(
            f"{path}: root attribute 'version' is {str(attributes['version'])[:60]}, this program reads {VERSION}: "
            "written by a newer slingshot-analysis; upgrade with pip install --upgrade slingshot-analysis"
        )
    return attributes


def read_groups(path: Path, file: h5py.File, notes: list[str] | None = None) -> tuple[Group, ...]:
    """Return the groups with their quantities and axes.

    `notes` gets a sentence on what is damaged or stands in another file, which is left out.
    """
    groups: list[Group] = []
    lost: list[str] = []
    try:
        axes = _read_axes(file, lost)
        for name, node in members(file, "", lost):
            if name != "axes":
                groups += _read_group(node, name, axes, lost)
        if lost and not groups:
            raise InputError(f"is damaged: no group can be read ({lost[0]}); {RECORD_AGAIN}")
        check_groups(groups)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if lost and notes is not None:
        more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
        notes.append(f"left out: {', '.join(map(printable, lost[:5]))}{more}")
    return tuple(groups)


def _read_axes(file: h5py.File, lost: list[str]) -> dict[str, Axis]:
    axes = {}
    if "axes" not in file:
        return {}
    if not isinstance(file.get("axes", getlink=True), h5py.HardLink) or not isinstance(file["axes"], h5py.Group):
        raise InputError("/axes is not a group; expected one that holds the labels of the axes")
    for key, dataset in members(file["axes"], "axes", lost):
        name = key.rpartition("/")[2]
        try:
            axes[name] = Axis(name, [printable(label) for label in dataset.asstr()[()].tolist()])
        except HDF5_ERRORS as error:
            lost.append(f"{key} (damaged: {in_one_line(error)})")
    return axes


def _read_group(node: h5py.Group, key: str, axes: dict[str, Axis], lost: list[str]) -> list[Group]:
    """Return a group with what can be read of it; nothing if that is not even its steps."""
    if not isinstance(node, h5py.Group):
        raise InputError(f"/{key} is a dataset; expected a group that holds 'step' and quantities")
    damaged = len(lost)
    inside = {where.rpartition("/")[2]: dataset for where, dataset in members(node, key, lost)}
    if "step" not in inside:
        if len(lost) > damaged:
            return []
        raise InputError(f"/{key}/step is missing; a group needs the steps of its rows (int64, increasing)")
    quantities = []
    for name, dataset in inside.items():
        if name != "step" and name not in axes:
            try:
                quantities.append(_read_quantity(dataset, f"/{key}/{name}", axes))
            except InputError:
                raise
            except HDF5_ERRORS as error:
                lost.append(f"/{key}/{name} (damaged: {in_one_line(error)})")
    if not quantities and len(lost) > damaged:
        return []
    return [Group(key, quantities, str(_attribute(node, "schedule")))]


def _read_quantity(dataset: h5py.Dataset, key: str, axes: dict[str, Axis]) -> Quantity:
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{key} is a group; expected a dataset with the rows of a quantity")
    unit, description, names = (_attribute(dataset, name) for name in ("unit", "description", "axes"))
    for name in names:
        if name not in axes:
            raise InputError(f"{key}: axis {name!r} has no labels; expected them in /axes/{name}")
    name = key.rsplit("/", 1)[1]
    quantity = Quantity(name, unit, description, [axes[axis] for axis in names], dataset.dtype.name)
    if dataset.shape[1:] != quantity.shape:
        raise InputError(f"{key}: rows have shape {dataset.shape[1:]}; expected {quantity.shape} for its axes")
    return quantity


def _attribute(node: h5py.Group | h5py.Dataset, name: str) -> Any:
    if name not in node.attrs:
        raise InputError(_missing(node.name, name))
    return _python(node.attrs[name])


def _missing(key: str, name: str) -> str:
    return f"{key}: attribute {name!r} is missing; a trace must have it (docs/trace-format.md)"


def _python(value: Any) -> Any:
    """Return an attribute as a plain Python value."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, str):
        return printable(value, len(value), keep="\n\r\t")
    if isinstance(value, h5py.Empty):
        raise ValueError("is empty")
    return [_python(item) for item in value] if isinstance(value, list) else value
