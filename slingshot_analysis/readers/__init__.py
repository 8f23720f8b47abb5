"""Read the logs of any program. To add a format, write a module with a `Reader` and name its class in ``READERS``.

Another package adds a format by an entry point of the group ``slingshot_analysis.readers``. Its object is a `Reader`,
an instance or a class.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError, NoRunError, unknown_name
from slingshot_analysis.readers._folders import log_files, read_folder
from slingshot_analysis.readers._gate import check_kind, cleaned, guarded, isolated, one_child
from slingshot_analysis.readers._given import read_given
from slingshot_analysis.readers._log import Log, Understood
from slingshot_analysis.readers._names import Names, built_in_names
from slingshot_analysis.readers._parts.text_file import HEAD, LONGEST_HEAD, read_bytes, read_text
from slingshot_analysis.readers._raw import Column, LineTemplate, RawRun, Reader
from slingshot_analysis.readers._understand import understand
from slingshot_analysis.readers.text import TextReader
from slingshot_analysis.safe_text import in_one_line
from slingshot_analysis.trace import Trace, TraceFile, open_trace
from slingshot_analysis.trace.reader import is_trace

__all__ = [
    "Column",
    "LineTemplate",
    "Log",
    "Names",
    "RawRun",
    "Reader",
    "Understood",
    "built_in_names",
    "isolated",
    "log_files",
    "one_child",
    "read_bytes",
    "read_log",
    "read_text",
    "readers",
]

HDF5_HEAD = b"\x89HDF\r\n\x1a\n"

PLUGINS = "slingshot_analysis.readers"
"""Group of entry points by which other packages add readers."""

WITHOUT_RUNS = {
    "slingshot-labels": "the labels of a run",
    "slingshot-sweep": "the manifest of a sweep",
    "slingshot-analysis": "an analysis",
}
"""Formats of files that this project writes and that contain no run, with a word on what they contain."""

READERS = (
    "hdf5.HDF5Reader",
    "wandb_offline.WandbReader",
    "mlflow.MLflowReader",
    "tensorboard.TensorBoardReader",
    "trackio.TrackioReader",
    "parquet.ParquetReader",
    "numpy_log.NumPyReader",
    "trainer_state.TrainerStateReader",
    "text.TextReader",
    "json_log.JsonLinesReader",
    "json_log.JsonReader",
    "delimited.DelimitedReader",
)
"""Built-in readers, the most specific first. The first one that recognizes a file reads it."""


def read_log(
    source: Any,
    *,
    format: str | None = None,
    map: Mapping[str, str] | None = None,
    names: Names | None = None,
    line: str | Sequence[str] = (),
) -> list[Trace]:
    r"""Read the runs of a trace or of a log of any program.

    Parameters
    ----------
    source : str, path, open file, DataFrame or mapping
        A file, or a folder: what TensorBoard and MLflow write, a sweep, or any folder of logs. ``"-"`` is standard
        input. A DataFrame, or a mapping of names to Series or arrays, is read as a table with these columns.
    format : str, optional
        Name of the reader, where the guess is wrong; one of ``readers()``, or ``"trace"``.
    map : mapping of str to str, optional
        Columns by canonical signal, where the guess is wrong, such as ``{"val_accuracy": "Accuracy/test"}``; ``"step"``
        names the column of steps.
    names : Names, optional
        A table of names to ask before the built-in one.
    line : str or sequence of str, optional
        For text: a line of it, or several, with ``{name}`` in the place of each number that is wanted and ``{}`` for
        what is skipped, such as ``"it {step}: loss {loss} ({})"``. Only lines that fit are read.

    Returns
    -------
    list of Trace
        One for each run of the file: a `TraceFile`, or a `Log` that says how each column was understood.

    Raises
    ------
    InputError
        If there is no such file, its format is not known, it is damaged, or it holds no run; if `map` names an unknown
        signal or column, or the file is a trace.
    NoRunError
        If this project wrote the file and it holds no run, such as labels or the manifest of a sweep.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "run.csv"
    >>> _ = file.write_text("iter,Loss/train,Acc/test\n0,4.5,1.0\n100,0.5,55.0\n200,0.1,99.0\n")
    >>> read_log(file)[0]
    Log run
      train_loss = 'Loss/train', 3 rows
      val_accuracy = 'Acc/test', 3 rows
    """
    lines = (line,) if isinstance(line, str) else tuple(line)
    if not isinstance(source, str | Path):
        return read_given(source, format, map or {}, _table(names), lines)
    if str(source) == "-":
        return read_given(sys.stdin.buffer, format, map or {}, _table(names), lines)
    return _read_path(Path(source), format, map or {}, _table(names), lines)


def readers() -> dict[str, Reader]:
    """Return the readers by name, those of other packages first. One that can't be loaded is skipped with a warning."""
    found: dict[str, Reader] = {}
    for point in entry_points(group=PLUGINS):
        try:
            loaded = point.load()
            reader = loaded() if isinstance(loaded, type) else loaded
            if not isinstance(reader, Reader) or not isinstance(reader.name, str):
                raise TypeError(f"gives {type(reader).__name__}, not a Reader with a name")
            found[reader.name] = reader
        except Exception as error:  # of somebody else's package, which must not hinder the reading of other files
            _warn_of_plugin(point, error)
    for place in READERS:
        module, name = place.split(".")
        reader = getattr(import_module(f"{__name__}.{module}"), name)()
        found.setdefault(reader.name, reader)
    return found


def _read_path(
    path: Path,
    format: str | None,
    map: Mapping[str, str],
    names: Names,
    line: tuple[str, ...],
    known: Mapping[str, Reader] | None = None,
) -> list[Trace]:
    check_kind(path)
    with guarded(path, format or "log"):
        return _read(path, format, map, names, line, known)


def _read(
    path: Path,
    format: str | None,
    map: Mapping[str, str],
    names: Names,
    line: tuple[str, ...],
    known: Mapping[str, Reader] | None,
) -> list[Trace]:
    """Read a file or folder with one of the `known` readers, which are found here unless they are given."""
    head = _head(path)
    is_hdf5 = format is None and head.startswith(HDF5_HEAD)
    if format == "trace" or is_hdf5:
        trace = isolated(path, _trace_if_it_is_one if is_hdf5 else _whole_trace)
        if trace is not None and map:
            raise InputError(f"{path}: is a trace, whose signals have their names already; leave out map=")
        if trace is not None:
            return [trace]
    if found := re.match(rb'\s*\{\s*"format":\s*"([\w-]+)"', head):
        ours = WITHOUT_RUNS.get(found[1].decode())
        if ours:
            raise NoRunError(f"{path}: holds {ours}, and no run; give the run itself")
    known = readers() if known is None else known
    if format is not None and format not in known:
        raise unknown_name("format", format, [*known, "trace"])
    if path.is_file() and not head:
        raise InputError(f"{path}: is empty")
    if line and format not in (None, "text"):
        raise InputError(f"{path}: line= is for text logs; leave out format=, or give format='text'")
    format = "text" if line else format
    reader = known[format] if format else _reader_of(path, head, known)
    if reader is None and path.is_dir():
        one = partial(_read_path, format=None, map=map, names=names, line=(), known=known)
        return read_folder(path, one, names, map)
    if reader is None:
        raise _unknown_format(path, head, known)
    if isinstance(reader, TextReader):
        columns = {signal: column for signal, column in map.items() if signal != "step"}
        reader, map = TextReader(line, map.get("step"), refuse=not columns), columns
    with guarded(path, reader.name):
        raws = [cleaned(raw) for raw in reader.read(path)]
    logs = [log for raw in raws for log in understand(path, raw, names, map)]
    if not logs:
        raise InputError(f"{path}: holds no run")
    return list(logs)


def _table(names: Names | None) -> Names:
    return names.before(built_in_names()) if names else built_in_names()


def _whole_trace(path: Path) -> TraceFile | None:
    return open_trace(path).without_damage()


def _trace_if_it_is_one(path: Path) -> TraceFile | None:
    return _whole_trace(path) if is_trace(path) else None


def _reader_of(path: Path, head: bytes, known: Mapping[str, Reader]) -> Reader | None:
    """Return the first reader that recognizes a file. A reader that raises here is skipped with a warning."""
    for reader in known.values():
        try:
            if reader.recognizes(path, head):
                return reader
        except Exception as error:
            warnings.warn(f"the reader {reader.name!r} fails at {path}: {in_one_line(error)}", stacklevel=3)
    return None


def _warn_of_plugin(point: EntryPoint, error: Exception) -> None:
    package = getattr(getattr(point, "dist", None), "name", "") or getattr(point, "value", "unknown")
    warnings.warn(
        f"the reader {point.name!r} of the package {package!r} can't be loaded and is left out: "
        f"{type(error).__name__}: {in_one_line(error)}",
        stacklevel=3,
    )


def _unknown_format(path: Path, head: bytes, known: Iterable[str]) -> InputError:
    is_pickle = head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5")
    if is_pickle or (head.startswith(b"PK") and b"data.pkl" in head[:1000]):
        return InputError(
            f"{path}: is a pickle, which is never loaded, as that runs code from the file; load it where it was made "
            "and export it, such as with pandas.DataFrame(history).to_csv('history.csv')"
        )
    return InputError(f"{path}: its format is not known; name it with format=, one of {', '.join([*known, 'trace'])}")


def _head(path: Path) -> bytes:
    if not path.is_file():
        return b""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            while head.count(b"\n") < 3 and len(head) < LONGEST_HEAD and (more := file.read(HEAD)):
                head += more
            return head
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from error
