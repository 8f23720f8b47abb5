"""A run as NetCDF: a group for each cadence, with units, descriptions and labels of axes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.export._selection import Selection
from slingshot_analysis.files import replaced
from slingshot_analysis.safe_text import in_one_line


def write_netcdf(run: Selection, path: Path) -> Path:
    """Write a run as NetCDF 4. A slash in the name of a column becomes a dot, as NetCDF would take it for a group."""
    tree = _NetCDF(run).to_xarray()
    tree.attrs = {name: _attribute(value) for name, value in run.attributes.items() if name not in OF_A_TRACE}
    try:
        with replaced(path) as aside:
            tree.to_netcdf(aside, engine="h5netcdf")
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: NetCDF can't hold this run ({in_one_line(error)}); export it as csv or parquet"
        ) from error
    return path


OF_A_TRACE = ("format", "version")
"""Attributes that would say that the file is a trace."""


class _NetCDF(Selection):
    """A selection whose names have no slash."""

    def __init__(self, run: Selection) -> None:
        super().__init__(run._run, run.names)
        new: dict[str, str] = {}
        for name in self._others:
            dotted = name.replace("/", ".")
            while dotted in (*self._run.names, *new.values()):
                dotted += "_column"
            new[name] = dotted
        self._others = {new[name]: signal for name, signal in self._others.items()}
        self._names = tuple(new.get(name, name) for name in self._names)


def _attribute(value: Any) -> Any:
    """Return a value that an attribute of NetCDF can hold."""
    if isinstance(value, bool | np.bool_):
        return int(value)
    return value if isinstance(value, str | int | float | np.number) else json.dumps(value, default=str)
