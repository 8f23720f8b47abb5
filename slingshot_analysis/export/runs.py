"""Export runs: which file each one gets, and that none is replaced by mistake."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.export._netcdf import write_netcdf
from slingshot_analysis.export._selection import Selection
from slingshot_analysis.export._tables import write_csv, write_parquet
from slingshot_analysis.export._tensorboard import EVENT_FILES, write_events
from slingshot_analysis.export._wandb import write_offline_run
from slingshot_analysis.optional import needed
from slingshot_analysis.safe_text import in_one_line
from slingshot_analysis.trace import Trace

MOST_COLUMNS = 200
"""Largest number of columns of a signal that is exported as columns without being named."""


@dataclass(frozen=True)
class Format:
    """A format of export.

    Parameters
    ----------
    suffix : str
        Ending of its files; empty for a format whose runs are folders.
    write : callable
        Writes a selection to a path, and returns the path of what it has written.
    packages : mapping of str to str
        The modules it needs beyond those of this project, with the extra that installs each.
    in_columns : bool
        Whether a signal with axes becomes a column for each combination of labels.
    """

    suffix: str
    write: Callable[[Selection, Path], Path]
    packages: dict[str, str]
    in_columns: bool = True


FORMATS = {
    "csv": Format(".csv", write_csv, {}),
    "parquet": Format(".parquet", write_parquet, {"pyarrow": "parquet"}),
    "netcdf": Format(".nc", write_netcdf, {"xarray": "xarray", "h5netcdf": "xarray"}, in_columns=False),
    "tensorboard": Format("", write_events, {}),
    "wandb": Format("", write_offline_run, {"wandb.sdk": "wandb"}),
}
"""The formats of export by name."""

GROUPED = ("csv", "parquet")
"""Formats with one table for each run, or one for each group of it."""


@dataclass(frozen=True)
class Written:
    """What was written of a run.

    Parameters
    ----------
    path : Path
        The file or folder.
    left_out : tuple of str
        The signals that are not in it, because they have too many columns.
    """

    path: Path
    left_out: tuple[str, ...]


def export_runs(
    runs: Sequence[Trace],
    to: str,
    out: str | Path,
    *,
    signals: Sequence[str] = (),
    by_group: bool = False,
    overwrite: bool = False,
) -> Iterator[Written]:
    """Write runs in the format of others, one after another.

    Parameters
    ----------
    runs : sequence of Trace
        What `open_trace` and `read_log` return. Of a log, columns of numbers that are no signal are exported too, by
        their own names.
    to : {"csv", "parquet", "netcdf", "tensorboard", "wandb"}
        The format. CSV and Parquet are a table for each run, joined by step: what was not measured at a step is an
        empty cell, and NaN that was measured is ``nan``. NetCDF has a group for each of `Trace.groups`. TensorBoard
        holds numbers as float32.
    out : path-like
        A folder, in which each run gets a file or a folder of its name; or, for one run, the file of a table or of
        NetCDF, if it has the ending .csv, .parquet or .nc. Missing folders are made.
    signals : sequence of str, optional
        Only these signals. By default all, except, where signals become columns, those of more than 200 columns.
    by_group : bool, optional
        For tables: one for each group of a run, in a folder of its name.
    overwrite : bool, optional
        Whether to replace files that exist. An offline run of Weights & Biases is always a new one.

    Yields
    ------
    Written
        For each table, file or folder.

    Raises
    ------
    InputError
        If `to` or a signal is unknown, `out` does not fit, a file exists, or can't be written. This is found out before
        the first is written, but for errors of the disk.
    SlingshotError
        If a package is missing; the message says how to install it.
    """
    if to not in FORMATS:
        raise unknown_name("format", to, FORMATS, "to=")
    if by_group and to not in GROUPED:
        raise InputError(f"by_group=True: works with {' and '.join(GROUPED)}, and not with {to}; leave it out")
    form = FORMATS[to]
    for module, extra in form.packages.items():
        needed(module, extra)
    planned = list(_plan(runs, form, Path(out), signals, by_group))
    for selection, path, _ in planned:
        if path.resolve() == selection.path.resolve():
            raise InputError(f"{path}: is what is exported; give another name")
        if not overwrite and to != "wandb" and (path.is_file() or (path.is_dir() and any(path.glob(EVENT_FILES)))):
            raise InputError(f"{path}: exists; give another name, or replace it with overwrite=True")
    for selection, path, left_out in planned:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield Written(form.write(selection, path), left_out)
        except OSError as error:
            raise InputError(f"{path}: can't be written ({in_one_line(error)}); choose another place") from error


def _plan(
    runs: Sequence[Trace], form: Format, out: Path, signals: Sequence[str], by_group: bool
) -> Iterator[tuple[Selection, Path, tuple[str, ...]]]:
    """Yield what is written where, and which signals of it are left out."""
    is_file = bool(form.suffix) and out.suffix.lower() == form.suffix
    if is_file and (by_group or len(runs) != 1):
        holds = "one table" if by_group else f"one run, and there are {len(runs)}"
        raise InputError(f"{out}: a file holds {holds}; give a folder")
    if not is_file and out.is_file():
        ending = f", or a file that ends in {form.suffix}" if form.suffix else ""
        raise InputError(f"{out}: is a file; give a folder{ending}")
    names = _distinct(_safe(run.name) for run in runs)
    for run, name in zip(runs, names, strict=True):
        selection = Selection(run, signals or None)
        if not selection.names:
            raise InputError(f"{run.path}: run {run.name!r} holds no signal; name the columns with map=")
        left_out: tuple[str, ...] = ()
        if form.in_columns and not signals:
            left_out = tuple(each for each in selection.names if selection.width(each) > MOST_COLUMNS)
            selection = selection.without(left_out)
            if not selection.names:
                raise InputError(f"{run.path}: each signal has too many columns; name those to write with signals=")
        path = out if is_file else out / f"{name}{form.suffix}"
        if by_group:
            for group in selection.groups:
                yield selection.only(group), out / name / f"{_safe(group)}{form.suffix}", left_out
        else:
            yield selection, path, left_out


def _safe(name: str) -> str:
    """Return a name with every character replaced that a file name should not have."""
    return re.sub(r"[^=.+\w-]+", "-", name).strip("-.") or "run"


def _distinct(names: Iterable[str]) -> list[str]:
    """Number the names that stand twice; upper and lower case are the same, as they are in some file systems."""
    found: list[str] = []
    for name in names:
        number, new = 2, name
        while new.lower() in map(str.lower, found):
            new, number = f"{name}-{number}", number + 1
        found.append(new)
    return found
