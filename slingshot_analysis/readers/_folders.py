"""Read a folder of logs: files that are runs, or files that are parts of one run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError, NoRunError
from slingshot_analysis.readers._gate import cleaned, guarded
from slingshot_analysis.readers._names import Names, built_in_names
from slingshot_analysis.readers._parts.histories import runs_of_json
from slingshot_analysis.readers._parts.long_tables import SPLITS
from slingshot_analysis.readers._raw import Column, RawRun
from slingshot_analysis.readers._text.words import is_accuracy, is_loss
from slingshot_analysis.readers._understand import understand
from slingshot_analysis.safe_text import printable
from slingshot_analysis.trace import Trace

MOST_FILES = 10_000
DEEPEST = 6
"""Maximum number of files of a folder, and maximum depth of subfolders."""

SKIPPED = re.compile(
    r".*\.(labels\.json|checkpoint|pt|pth|ckpt|pkl|png|pdf|svg|py|md|toml|ya?ml|sh|cfg|ini)", re.IGNORECASE
)
"""Names of files that stand beside logs and are no logs."""

TABLES = (".csv", ".tsv")
TIMES = ("wall", "time", "relative")
"""Beginnings of the names of columns that hold times."""

NUMBERED = re.compile(r"(?P<stem>.*?)(?P<number>\d+)\.json", re.IGNORECASE)
"""Names of files with a single record, such as ``metrics_epoch_3.json``."""

MOST_BYTES_OF_RECORD = 1 << 20

Read = Callable[[Path], list[Trace]]


def read_folder(path: Path, read: Read, names: Names, chosen: Mapping[str, str]) -> list[Trace]:
    """Read all runs in a folder.

    Numbered JSON files with a single record are the rows of one run. Tables named after a split, such as ``train.csv``,
    or with a single series, are the columns of one run. Every other file is read on its own. Files that are no logs are
    skipped.

    Parameters
    ----------
    path : Path
        The folder.
    read : callable
        Reads one file.
    names : Names
        The table of column names.
    chosen : mapping of str to str
        Columns by signal.

    Returns
    -------
    list of Trace
        Sorted by file name, with numbers in numeric order.

    Raises
    ------
    InputError
        If no file in it can be read; the message says why, for the first of them.
    """
    files = log_files(path)
    if not files:
        raise InputError(f"{path}: this folder holds no file that may be a log; give the logs themselves")
    runs = _of_records(path, files) or _of_tables(path, files)
    if runs is not None:
        return [log for raw in runs for log in understand(path, cleaned(raw), names, chosen)]
    found: list[Trace] = []
    problems: list[str] = []
    for file in files:
        try:
            logs = read(file)
        except NoRunError:
            continue
        except InputError as error:
            problems.append(str(error))
            continue
        for log in logs:
            place = printable(file.relative_to(path).with_suffix("").as_posix())
            if not isinstance(log.name, str) or log.name in (file.stem, printable(file.stem)):
                log.name = place
        found += logs
    if not found:
        first = f"; the first: {problems[0]}" if problems else ""
        raise InputError(f"{path}: none of the {len(files)} files in this folder can be read as a log{first}")
    return found


def log_files(path: Path) -> list[Path]:
    """Return the files that may be logs, without hidden files and links, sorted with numbers in numeric order."""
    found: list[Path] = []
    for folder, inner, files in os.walk(path):
        depth = len(Path(folder).relative_to(path).parts)
        inner[:] = sorted(name for name in inner if not name.startswith((".", "__"))) if depth < DEEPEST else []
        for name in files:
            file = Path(folder) / name
            if not name.startswith(".") and not SKIPPED.fullmatch(name) and file.is_file() and not file.is_symlink():
                found.append(file)
        if len(found) > MOST_FILES:
            raise InputError(f"{path}: holds more than {MOST_FILES:,} files; give the logs themselves")
    return sorted(found, key=lambda file: _counted(file.relative_to(path).as_posix()))


def _counted(name: str) -> list[tuple[int, str]]:
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d{1,18})", name)]


def _of_records(path: Path, files: list[Path]) -> list[RawRun] | None:
    """Return the run whose records are in files such as ``metrics_epoch_0.json``. None if there are no such files."""
    groups: dict[str, list[tuple[int, Path]]] = {}
    for file in files:
        if (found := NUMBERED.fullmatch(file.relative_to(path).as_posix())) and len(found["number"]) < 18:
            groups.setdefault(found["stem"], []).append((int(found["number"]), file))
    stem, members = max(groups.items(), key=lambda group: len(group[1]), default=("", []))
    if len(members) < 2:
        return None
    records: list[dict[str, Any]] = []
    for number, file in sorted(members):
        if file.stat().st_size > MOST_BYTES_OF_RECORD:
            return None
        with guarded(file, "json"):
            try:
                record = json.loads(file.read_bytes())
            except (ValueError, RecursionError):
                return None
        if not isinstance(record, dict) or any(isinstance(value, list) and len(value) > 1 for value in record.values()):
            return None
        records.append(record if "epoch" in record or "step" in record else {"step": number, **record})
    note = f"read from {len(records)} files with one record each, {stem.rpartition('/')[2]}*.json"
    return runs_of_json(records, path, notes=[note])


def _of_tables(path: Path, files: list[Path]) -> list[RawRun] | None:
    """Return the run whose columns are in tables named after a split or a series. None if each table is a run."""
    from slingshot_analysis.readers.delimited import DelimitedReader

    tables = [file for file in files if file.suffix.lower() in TABLES]
    if len(tables) < 2 or len(tables) < len(files):
        return None
    common = Path(os.path.commonpath([file.parent for file in tables]))
    places = [file.relative_to(common).with_suffix("").parts for file in tables]
    sides = all(place[-1].lower() in SPLITS for place in places)
    columns: dict[str, Column] = {}
    notes: list[str] = []
    reader = DelimitedReader()
    for file, place in zip(tables, places, strict=True):
        try:
            with guarded(file, reader.name):
                runs = reader.read(file)
        except InputError as error:
            notes.append(f"left out: {error}")
            continue
        series = _series_of(runs[0], place) if len(runs) == 1 else {}
        if not series or columns.keys() & series.keys():
            return None
        if not sides and (len(series) > 1 or "/".join(place) not in series):
            return None
        columns |= series
        notes += [f"{file.name}: {note}" for note in islice(runs[0].notes, 3)]
    note = f"read from {len(columns)} columns of {len(tables)} tables in this folder"
    return [RawRun("", columns, {}, [note, *notes])] if columns else None


def _series_of(run: RawRun, place: tuple[str, ...]) -> dict[str, Column]:
    """Return the columns of a table with its steps. Their names begin with that of the file."""
    free = [name for name, column in run.columns.items() if column.step is None]
    axis = built_in_names().step_of(free)
    if axis is None or len(free) < len(run.columns):
        return {}
    steps = run.columns[axis].values
    values = [name for name in free if built_in_names().step_of([name]) is None and not name.lower().startswith(TIMES)]
    series = {}
    for name in values:
        column = run.columns[name]
        told = name.lower().rpartition("/")[2] in (place[-1].lower(), "value", "values") or _is_measured(place[-1])
        key = "/".join(place if told and len(values) == 1 else (*place, name))
        series[key] = Column(column.values, steps, column.missing)
    return series


def _is_measured(name: str) -> bool:
    """Return whether the name of a file is that of a quantity, such as ``train_loss``, and not that of a run."""
    return bool(built_in_names().assign([name])) or is_loss(name) or is_accuracy(name)
