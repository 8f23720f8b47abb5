"""Read what is given in memory: tables, mappings of arrays, and open files such as standard input."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._gate import check_size, cleaned, guarded, most_bytes
from slingshot_analysis.readers._log import Log
from slingshot_analysis.readers._names import Names
from slingshot_analysis.readers._understand import understand
from slingshot_analysis.signal import as_array
from slingshot_analysis.trace import Trace


def read_given(
    source: Any, format: str | None, map: Mapping[str, str], names: Names, line: tuple[str, ...] = ()
) -> list[Trace]:
    """Read the runs of a table, of a mapping of arrays, or of an open file.

    Raises
    ------
    InputError
        If it is of another type, or can't be read.
    """
    if hasattr(source, "read"):
        return _read_file(source, format, map, names, line)
    if line:
        raise InputError(f"line= is for text logs, and {type(source).__name__} is none; leave it out")
    if format is not None:
        raise InputError(f"format={format!r}: is for files, and {type(source).__name__} is none; leave it out")
    if hasattr(source, "columns") and hasattr(source, "to_numpy"):
        return _read_frame(source, map, names)
    if isinstance(source, Mapping):
        return _read_mapping(source, map, names)
    raise InputError(
        f"a log can't be read from {type(source).__name__}; give a path, an open file, a DataFrame, or a mapping of "
        "names to Series or arrays"
    )


def _read_frame(frame: Any, map: Mapping[str, str], names: Names) -> list[Trace]:
    from slingshot_analysis.readers._parts.points import unique_names
    from slingshot_analysis.readers._parts.tables import runs_of_table

    path = Path("DataFrame")
    with guarded(path, "DataFrame"):
        if any(name is not None for name in frame.index.names):
            frame = frame.reset_index()
        labels = (
            "/".join(str(part) for part in (name if isinstance(name, tuple) else (name,))) for name in frame.columns
        )
        columns, notes = unique_names(labels)
        frame = frame.set_axis(columns, axis="columns")
        literals = {
            name: np.isnan(frame[name].to_numpy())
            for name in columns
            if isinstance(frame[name].dtype, np.dtype) and frame[name].dtype.kind == "f"
        }
        raws = [cleaned(raw) for raw in runs_of_table(frame, path, notes=notes, literals=literals)]
        return [log for raw in raws for log in understand(path, raw, names, map)]


def _read_mapping(given: Mapping[str, Any], map: Mapping[str, str], names: Names) -> list[Trace]:
    from slingshot_analysis.readers._parts.arrays import Array, runs_of_arrays

    path = Path("mapping")
    arrays, attributes = [], {}
    for name, values in given.items():
        if isinstance(values, bool | int | float | str):
            attributes[str(name)] = values
            continue
        array, step = as_array(values, f"{name!r}"), getattr(values, "index", None)
        if array.ndim not in (1, 2) or array.dtype.kind not in "biuf":
            raise InputError(
                f"{name!r}: is of shape {array.shape} and type {array.dtype}; give numbers, one for each row"
            )
        index = getattr(step, "name", None)
        steps = np.asarray(step, dtype=np.float64) if index is not None and array.ndim == 1 else None
        arrays.append(Array((str(name),), array.astype(np.float64), steps))
    with guarded(path, "mapping"):
        raws = [cleaned(raw) for raw in runs_of_arrays(arrays, path, attributes)]
        return [log for raw in raws for log in understand(path, raw, names, map)]


def _read_file(
    file: Any, format: str | None, map: Mapping[str, str], names: Names, line: tuple[str, ...]
) -> list[Trace]:
    """Copy an open file to disk and read the copy, because some formats need a path."""
    from slingshot_analysis.readers import read_log

    name = str(getattr(file, "name", "") or "")
    shown = Path(name) if name and not name.startswith("<") and not name.isdigit() else Path("-")
    content = file.read(most_bytes() + 1)
    if isinstance(content, str):
        content = content.encode("utf-8", errors="surrogatepass")
    check_size(shown, len(content))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / (shown.name if shown.name not in ("", "-") else "stdin")
        copy.write_bytes(content)
        try:
            runs = read_log(copy, format=format, map=map, names=names, line=line)
            return [_in_memory(run, shown, copy.stem) for run in runs]
        except InputError as error:
            raise type(error)(str(error).replace(str(copy), str(shown))) from None


def _in_memory(run: Trace, path: Path, stem: str) -> Trace:
    """Return the run with all its data in memory, so that the copy can be deleted."""
    name = run.name.replace(stem, "stdin" if str(path) == "-" else path.stem, 1)
    signals = {signal: run[signal] for signal in run}
    notes = getattr(run, "notes", ())
    templates = getattr(run, "templates", ())
    return Log(path, name, signals, getattr(run, "columns", ()), notes, run.attributes, templates)
