"""Trackio: the SQLite file of a project, ``<TRACKIO_DIR>/<project>.db``."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError
from slingshot_analysis.nested import flatten
from slingshot_analysis.readers._parts.points import Points, as_number, distinct_names
from slingshot_analysis.readers._parts.sqlite import has_tables, opened, tables
from slingshot_analysis.readers._raw import RawRun, Reader

WANTED = {"metrics": {"run_name", "step", "metrics"}}


class TrackioReader(Reader):
    """The runs of a project. Nested names are joined by dots. The configuration of a run becomes its attributes."""

    name = "trackio"
    suffixes = (".db",)

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Return whether this is a database with the tables of Trackio."""
        return has_tables(path, head, WANTED)

    def read(self, path: Path) -> list[RawRun]:
        """Read all runs, in the order in which they began.

        Raises
        ------
        InputError
            If the database is damaged or locked, a row is no JSON object or has no step, or there are no numbers.
        """
        notes: list[str] = []
        with opened(path, notes) as connection:
            found = tables(connection)
            if not found.get("metrics", set()) >= WANTED["metrics"]:
                raise InputError(
                    f"{path}: has no table 'metrics' with run_name, step and metrics; "
                    "give a database of Trackio, such as <project>.db"
                )
            identity = "run_id" if "run_id" in found["metrics"] else "run_name"
            names, points = _read_metrics(path, connection, identity)
            configs: dict[Any, dict[str, Any]] = {}
            if found.get("configs", set()) >= {identity, "config"}:
                for run, text in connection.execute(f"SELECT {identity}, config FROM configs ORDER BY rowid"):
                    config = _decode(path, f"table configs, run {run!r}", text)
                    configs[run] = {name: value for name, value in config.items() if not name.startswith("_")}
        if not any(points.values()):
            raise InputError(f"{path}: holds no numbers; log some first, or give another file")
        labels = distinct_names(list(names.values()), [str(run) for run in names])
        return [
            RawRun(label, points[run].columns(), flatten(configs.get(run, {})), [*notes, *points[run].notes()])
            for run, label in zip(names, labels, strict=True)
        ]


def _read_metrics(
    path: Path, connection: sqlite3.Connection, identity: str
) -> tuple[dict[Any, str], dict[Any, Points]]:
    names: dict[Any, str] = {}
    points: dict[Any, Points] = {}
    query = f"SELECT rowid, {identity}, run_name, step, metrics FROM metrics ORDER BY rowid"
    for row, run, name, step, text in connection.execute(query):
        where = f"table metrics, row {row}"
        at = as_number(step)
        if at is None:
            raise InputError(f"{path}: {where}: step is {step!r}; expected a number, so mend or delete the row")
        names.setdefault(run, str(name or ""))
        for key, value in flatten(_decode(path, where, text)).items():
            points.setdefault(run, Points()).add(key, at, value)
        points.setdefault(run, Points())
    return names, points


def _decode(path: Path, where: str, text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: {where}: is not JSON ({error}); mend or delete the row") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: {where}: is {type(value).__name__}; expected a JSON object, so mend or delete it")
    return value
