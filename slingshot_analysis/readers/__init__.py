"""Read the logs of any program. To add a format, write a module with a `Reader` and name its class in ``READERS``.

Another package adds a format by an entry point of the group ``slingshot_analysis.readers``. Its object is a `Reader`,
an instance or a class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from slingshot_analysis.errors import InputError, NoRunError, unknown_name
from slingshot_analysis.readers._log import Log, Understood
from slingshot_analysis.readers._names import Names, built_in_names
from slingshot_analysis.readers._parts.text_file import HEAD, LONGEST_HEAD, read_bytes, read_text
from slingshot_analysis.readers._raw import Column, LineTemplate, RawRun, Reader
from slingshot_analysis.readers._understand import understand
from slingshot_analysis.readers.text import TextReader
from slingshot_analysis.trace import Trace, open_trace

__all__ = [
    "Column",
    "LineTemplate",
    "Log",
    "Names",
    "RawRun",
    "Reader",
    "Understood",
    "built_in_names",
    "read_bytes",
    "read_log",
    "read_text",
    "readers",
]

WITHOUT_RUNS = {
    "slingshot-labels": "the labels of a run",
    "slingshot-sweep": "the manifest of a sweep",
    "slingshot-analysis": "an analysis",
}
"""Formats of files that this project writes beside runs, and what they hold."""

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
    path: str | Path,
    *,
    format: str | None = None,
    map: Mapping[str, str] | None = None,
    names: Names | None = None,
    line: str | Sequence[str] = (),
) -> list[Trace]:
    r"""Read the runs of a trace or of a log of any program.

    Parameters
    ----------
    path : str or path
        A file, or a folder such as TensorBoard and MLflow write.
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
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    head = _head(path)
    if format == "trace" or (format is None and _is_trace(path, head)):
        if map:
            raise InputError(f"{path}: is a trace, whose signals have their names already; leave out map=")
        return [open_trace(path)]
    if found := re.match(rb'\s*\{\s*"format":\s*"([\w-]+)"', head):
        ours = WITHOUT_RUNS.get(found[1].decode())
        if ours:
            raise NoRunError(f"{path}: holds {ours}, and no run; give the run itself")
    known = readers()
    if format is not None and format not in known:
        raise unknown_name("format", format, [*known, "trace"])
    if path.is_file() and not head:
        raise InputError(f"{path}: is empty")
    if line and format is None:
        format = "text"
    if line and format != "text":
        raise InputError(f"{path}: line= is for text logs; leave out format=, or give format='text'")
    reader = known[format] if format else next((r for r in known.values() if r.recognizes(path, head)), None)
    if reader is None:
        raise InputError(
            f"{path}: its format is not known; name it with format=, one of {', '.join([*known, 'trace'])}"
        )
    table = names.before(built_in_names()) if names else built_in_names()
    chosen = dict(map or {})
    if isinstance(reader, TextReader):
        lines = (line,) if isinstance(line, str) else line
        reader = TextReader(lines, chosen.pop("step", None), refuse=not chosen)
    logs = [log for raw in reader.read(path) for log in understand(path, raw, table, chosen)]
    if not logs:
        raise InputError(f"{path}: holds no run")
    return list(logs)


def readers() -> dict[str, Reader]:
    """Return the readers by name, those of other packages first."""
    found: dict[str, Reader] = {}
    for point in entry_points(group="slingshot_analysis.readers"):
        loaded = point.load()
        reader = loaded() if isinstance(loaded, type) else loaded
        found[reader.name] = reader
    for place in READERS:
        module, name = place.split(".")
        reader = getattr(import_module(f"{__name__}.{module}"), name)()
        found.setdefault(reader.name, reader)
    return found


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


def _is_trace(path: Path, head: bytes) -> bool:
    """Return whether an HDF5 file is a trace."""
    if not head.startswith(b"\x89HDF\r\n\x1a\n"):
        return False
    from slingshot_analysis.readers.hdf5 import HDF5Reader

    return not HDF5Reader().recognizes(path, head)
