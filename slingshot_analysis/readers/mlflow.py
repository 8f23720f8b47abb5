"""MLflow: the file store (``mlruns``, an experiment or a run in it), and the database ``mlflow.db``."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._parts.points import Points, distinct_names
from slingshot_analysis.readers._parts.sqlite import has_tables, opened, tables
from slingshot_analysis.readers._parts.text_file import read_raw
from slingshot_analysis.readers._raw import RawRun, Reader

META = "meta.yaml"
WANTED = {
    "metrics": {"key", "value", "run_uuid", "step", "is_nan"},
    "runs": {"run_uuid", "name", "lifecycle_stage", "experiment_id"},
}


@dataclass
class _Run:
    identity: str
    name: str
    attributes: dict[str, str]
    points: Points = field(default_factory=Points)
    notes: list[str] = field(default_factory=list)
    start: str = ""


class MLflowReader(Reader):
    """The runs of a store that are not deleted. Parameters are attributes, as text, because MLflow stores text."""

    name = "mlflow"
    suffixes = (".db",)

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Return whether this is a database with MLflow's tables, or a folder with ``meta.yaml`` and ``metrics``."""
        return any(True for _ in _find(path)) if path.is_dir() else has_tables(path, head, WANTED)

    def read(self, path: Path) -> list[RawRun]:
        """Read all runs that hold metrics.

        Raises
        ------
        InputError
            If there is no run with metrics, or a line, a row or the database is damaged.
        """
        runs, notes = _read_store(path) if path.is_dir() else _read_database(path)
        runs = [run for run in runs if run.points]
        if not runs:
            raise InputError(f"{path}: holds no run with metrics; give a folder mlruns, one in it, or mlflow.db")
        names = distinct_names([run.name for run in runs], [run.identity for run in runs])
        return [
            RawRun(name, run.points.columns(), run.attributes, [*notes, *run.notes])
            for name, run in zip(names, runs, strict=True)
        ]


def _find(folder: Path) -> Iterable[Path]:
    """Yield the folders of runs: this folder, those in it, or those in its experiments."""
    found = sorted(meta for pattern in (META, f"*/{META}", f"*/*/{META}") for meta in folder.glob(pattern))
    return (meta.parent for meta in found if (meta.parent / "metrics").is_dir())


def _read_store(path: Path) -> tuple[list[_Run], list[str]]:
    runs, deleted = [], 0
    for folder in _find(path):
        meta = _read_meta(folder / META)
        if meta.get("lifecycle_stage") == "deleted":
            deleted += 1
            continue
        experiment = folder.parent / META
        attributes = {"run_id": folder.name}
        if experiment.is_file() and not (folder.parent / "metrics").is_dir():
            attributes["experiment"] = _read_meta(experiment).get("name", "")
        for file in _files(folder / "params"):
            attributes[file.relative_to(folder / "params").as_posix()] = _read_text(file)
        tag = folder / "tags" / "mlflow.runName"
        name = _read_text(tag) if tag.is_file() else meta.get("run_name", "")
        run = _Run(folder.name, name, attributes, start=meta.get("start_time", ""))
        for file in _files(folder / "metrics"):
            _read_metric(file, file.relative_to(folder / "metrics").as_posix(), run)
        runs.append(run)
    return sorted(runs, key=lambda run: run.start), _deleted(deleted)


def _read_metric(path: Path, key: str, run: _Run) -> None:
    """Read lines ``timestamp value step``. Old versions write no step, new ones may add the name of a dataset."""
    *lines, rest = _read_text(path).split("\n")
    if rest:
        run.notes.append(f"metrics/{key}: its last line was cut and is left out")
    for row, line in enumerate(lines):
        parts = line.split()
        if not parts:
            continue
        try:
            run.points.add(key, float(parts[2]) if len(parts) > 2 else 0.0, float(parts[1]))
        except (IndexError, ValueError) as error:
            raise InputError(
                f"{path}: line {row + 1}: {line[:60]!r}; expected 'timestamp value step', so mend or delete the line"
            ) from error


def _read_meta(path: Path) -> dict[str, str]:
    pairs = re.findall(r"^(\w+): *(.*?) *$", _read_text(path), re.MULTILINE)
    return {name: value[1:-1] if value[:1] in ("'", '"') else value for name, value in pairs}


def _files(folder: Path) -> list[Path]:
    """Return the files of a folder, without links, which may lead anywhere."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return sorted(file for file in files if not file.name.startswith("."))


def _read_text(path: Path) -> str:
    try:
        return read_raw(path).decode()
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: can't be read as text ({error}); restore the file from a copy") from error


def _read_database(path: Path) -> tuple[list[_Run], list[str]]:
    notes: list[str] = []
    with opened(path, notes) as connection:
        found = tables(connection)
        for name, columns in WANTED.items():
            if missing := columns - found.get(name, set()):
                raise InputError(
                    f"{path}: table {name!r} lacks {', '.join(sorted(missing))}; give an mlflow.db, "
                    "or bring an old one up to date with 'mlflow db upgrade'"
                )
        experiments = {}
        if found.get("experiments", set()) >= {"experiment_id", "name"}:
            experiments = dict(connection.execute("SELECT experiment_id, name FROM experiments"))
        runs, deleted = {}, 0
        query = "SELECT run_uuid, name, lifecycle_stage, experiment_id FROM runs ORDER BY rowid"
        for identity, name, stage, experiment in connection.execute(query):
            if stage == "deleted":
                deleted += 1
                continue
            attributes = {"run_id": str(identity), "experiment": str(experiments.get(experiment, ""))}
            runs[identity] = _Run(str(identity), str(name or ""), attributes)
        if found.get("params", set()) >= {"key", "value", "run_uuid"}:
            for key, text, identity in connection.execute("SELECT key, value, run_uuid FROM params ORDER BY rowid"):
                if identity in runs:
                    runs[identity].attributes[str(key)] = str(text)
        query = "SELECT rowid, key, value, run_uuid, step, is_nan FROM metrics ORDER BY rowid"
        for row, key, value, identity, step, is_nan in connection.execute(query):
            if identity in runs:
                try:
                    runs[identity].points.add(str(key), float(step), math.nan if is_nan else _unclipped(float(value)))
                except (TypeError, ValueError) as error:
                    raise InputError(f"{path}: table metrics, row {row}: {error}; mend or delete the row") from error
    return list(runs.values()), [*notes, *_deleted(deleted)]


def _unclipped(value: float) -> float:
    """Return infinity for the largest number, which MLflow stores in its place because databases may lack infinity."""
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value


def _deleted(count: int) -> list[str]:
    return [f"runs that are marked as deleted were left out: {count}"] if count else []
