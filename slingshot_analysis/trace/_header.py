"""Create a trace file with everything but the rows: under SWMR nothing else can be added later."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np

from slingshot_analysis.errors import InputError, UnwritableError
from slingshot_analysis.files import replaced
from slingshot_analysis.trace.schema import FORMAT, LIBVER, VERSION, Group, Quantity, check_name

RESERVED = ("format", "version", "finished")
PAGE_BYTES = 4096
"""HDF5 keeps each piece of its index within one page of this size. A kill cuts a write only where pages meet."""
STRING = h5py.string_dtype()


def create_file(path: Path, groups: Sequence[Group], attributes: Mapping[str, object], overwrite: bool) -> None:
    """Create the file at `path`, whole or not at all.

    An old file stays as it is until the new one is complete. Without `overwrite` the name is first reserved with an
    empty file. That fails if there is a file already, even one that another process has just made.

    Parameters
    ----------
    path : Path
        Missing parent folders are made.
    groups : sequence of Group
        Already checked.
    attributes : mapping
        Root attributes besides format, version and finished.
    overwrite : bool
        Whether a file at `path` may be replaced.

    Raises
    ------
    InputError
        If an attribute can't be stored, the file exists, or it can't be written.
    """
    header = {
        "format": FORMAT,
        "version": VERSION,
        "finished": 0,
        "start_time": datetime.now(UTC).isoformat(timespec="seconds"),
        "creator": f"slingshot-analysis {version('slingshot-analysis')}",
        **_storable(attributes),
    }
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file in it, such as {path / 'run.h5'}")
    reserved = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not overwrite:
            path.touch(exist_ok=False)
            reserved = True
        with replaced(path) as aside:
            options = {"libver": LIBVER, "locking": False, "fs_strategy": "page", "fs_page_size": PAGE_BYTES}
            with h5py.File(aside, "w", **options) as file:
                _write_header(file, groups, header)
    except FileExistsError as error:
        raise InputError(f"{path}: exists; replace it with overwrite=True, or choose another name") from error
    except (OSError, RuntimeError) as error:
        if reserved:
            path.unlink(missing_ok=True)
        raise UnwritableError(
            f"{path}: can't be written ({cause(error)}); choose another place or free some space"
        ) from error


def cause(error: Exception) -> str:
    """Return the message of an HDF5 error, or only the system's error if it contains one."""
    number = re.search(r"errno = (\d+)", str(error))
    return os.strerror(int(number[1])) if number else str(error)


def _write_header(file: h5py.File, groups: Sequence[Group], header: Mapping[str, object]) -> None:
    file.attrs.update(header)
    axes = file.create_group("axes")
    for name, axis in {name: axis for group in groups for name, axis in group.axes.items()}.items():
        axes.create_dataset(name, data=np.array(axis.labels, dtype=object), dtype=STRING).make_scale(name)
    for group in groups:
        node = file.create_group(group.name)
        node.attrs["schedule"] = group.schedule
        for name in group.axes:
            node[name] = axes[name]  # a hard link, because netCDF readers look for an axis in the group itself
        step = Quantity("updates", unit="update", description="Optimizer updates done so far", dtype="int64")
        _create_column(node, "step", step, group.chunk_rows, fill=-1).make_scale("step")
        for quantity in group.quantities:
            fill = np.nan if quantity.dtype.startswith("float") else 0
            dataset = _create_column(node, quantity.name, quantity, group.chunk_rows, fill)
            for dimension, name in enumerate(["step", *(axis.name for axis in quantity.axes)]):
                dataset.dims[dimension].attach_scale(node[name])


def _create_column(node: h5py.Group, name: str, quantity: Quantity, rows: int, fill: float) -> h5py.Dataset:
    dataset = node.create_dataset(
        name,
        shape=(0, *quantity.shape),
        maxshape=(None, *quantity.shape),
        chunks=(rows, *quantity.shape),
        dtype=quantity.dtype,
        fillvalue=fill,
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )
    dataset.attrs["unit"] = quantity.unit
    dataset.attrs["description"] = quantity.description
    names = [axis.name for axis in quantity.axes]
    dataset.attrs.create("axes", np.array(names, dtype=object), shape=(len(names),), dtype=STRING)
    return dataset


def _storable(attributes: Mapping[str, object]) -> dict[str, str | bool | int | float]:
    """Return the attributes without those that are None, with mappings and lists as JSON."""
    stored: dict[str, str | bool | int | float] = {}
    for name, value in attributes.items():
        check_name("attribute", name, RESERVED)
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, Mapping | list | tuple):
            try:
                value = json.dumps(value)
            except TypeError as error:
                raise InputError(f"attribute {name!r}: can't be written as JSON ({error})") from error
        if isinstance(value, str | bool | int | float):
            stored[name] = value
        elif value is not None:
            raise InputError(
                f"attribute {name!r}: got {type(value).__name__}; expected text, a number, a bool, "
                "or a mapping or list that JSON can hold"
            )
    return stored
