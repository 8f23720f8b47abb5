"""Open a trace file and read its attributes and the description of its groups; errors name the key."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from slingshot_analysis.errors import InputError, OtherFileError
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace.schema import FORMAT, VERSION, Group, Quantity, check_groups

__all__ = ["opened", "read_attributes", "read_groups"]

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
        except (OSError, RuntimeError, KeyError, TypeError) as error:
            raise InputError(f"{path}: is damaged ({error}); {RECORD_AGAIN}") from error


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


def read_attributes(path: Path, file: h5py.File) -> dict[str, Any]:
    """Return the root attributes as Python values, of a file that is a trace of a known version."""
    attributes = {name: _python(file.attrs[name]) for name in file.attrs}
    if attributes.get("format") != FORMAT:
        found = f"is {attributes['format']!r}" if "format" in attributes else "is missing"
        raise OtherFileError(
            f"{path}: not a slingshot trace: root attribute 'format' {found}; expected {FORMAT!r}. "
            "Logs of other programs need a reader for their format"
        )
    for name in REQUIRED:
        if name not in attributes:
            raise InputError(f"{path}: {_missing('/', name)}")
    if attributes["version"] != VERSION:
        raise OtherFileError(
            f"{path}: root attribute 'version' is {attributes['version']}, this program reads {VERSION}: "
            "written by a newer slingshot-analysis; upgrade with pip install --upgrade slingshot-analysis"
        )
    return attributes


def read_groups(path: Path, file: h5py.File) -> tuple[Group, ...]:
    """Return the groups with their quantities and axes."""
    groups = []
    try:
        axes = {name: Axis(name, dataset.asstr()[()].tolist()) for name, dataset in file.get("axes", {}).items()}
        for name, node in file.items():
            if name != "axes":
                groups.append(_read_group(node, axes))
        check_groups(groups)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return tuple(groups)


def _read_group(node: h5py.Group, axes: dict[str, Axis]) -> Group:
    if not isinstance(node, h5py.Group):
        raise InputError(f"{node.name} is a dataset; expected a group that holds 'step' and quantities")
    if "step" not in node:
        raise InputError(f"{node.name}/step is missing; a group needs the steps of its rows (int64, increasing)")
    quantities = [
        _read_quantity(node[name], f"{node.name}/{name}", axes) for name in node if name != "step" and name not in axes
    ]
    return Group(node.name.lstrip("/"), quantities, str(_attribute(node, "schedule")))


def _read_quantity(dataset: h5py.Dataset, key: str, axes: dict[str, Axis]) -> Quantity:
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
        return value.decode()
    return [_python(item) for item in value] if isinstance(value, list) else value
