"""The manifest of a sweep: a list of its runs and their progress."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from slingshot_analysis.errors import InputError, SlingshotError
from slingshot_analysis.files import replaced
from slingshot_analysis.trace import open_trace
from trainers.recorded_run import make_recorder
from trainers.run import Run
from trainers.setup import BEFORE, Setup, check_settings, other_settings, settings_of
from trainers.sweep.work import end_of

FILE = "manifest.json"
FORMAT, VERSION = "slingshot-sweep", 1
DONE = "finished", "diverged"


@dataclass
class RunState:
    """Settings and progress of one run of a sweep.

    Parameters
    ----------
    settings : dict
        Values of all fields of the setup, by dotted name.
    steps : int, updates
        Length of the run.
    state : {"pending", "running", "finished", "diverged", "failed", "stopped"}
        "diverged" means finished, with a loss or norm that is not finite.
    step : int, updates
        Last step in the trace.
    seconds : float, seconds
        Time spent on the run in all sessions.
    error : str
        Message of a run that failed.
    """

    settings: dict[str, Any]
    steps: int
    state: str = "pending"
    step: int = 0
    seconds: float = 0.0
    error: str = ""


class Manifest:
    """The states of all runs by the file name of their trace, in a JSON file that one process writes.

    Parameters
    ----------
    folder : Path
        Folder of the traces and the manifest.
    probes : sequence of str
        Names of the probes that are recorded.
    runs : dict of str to RunState
        States of the runs, to be changed in place.
    """

    def __init__(self, folder: Path, probes: Sequence[str], runs: dict[str, RunState]) -> None:
        self.folder, self.probes, self.runs = folder, tuple(probes), runs
        self._written = ""

    def save(self) -> None:
        """Write the file if anything has changed. A complete file exists at any time: a new one replaces it."""
        text = json.dumps(
            {
                "format": FORMAT,
                "version": VERSION,
                "probes": self.probes,
                "runs": {name: asdict(run) for name, run in self.runs.items()},
            },
            indent=1,
        )
        if text != self._written:
            try:
                with replaced(self.folder / FILE) as aside:
                    aside.write_text(text, encoding="utf-8")
            except OSError as error:
                raise InputError(
                    f"{self.folder / FILE}: can't be written ({error.strerror}); free some space"
                ) from error
            self._written = text

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row for each run, with a column for each setting that varies among the runs."""
        return _table(self.runs)


def _table(runs: dict[str, RunState]) -> pd.DataFrame:
    settings = [run.settings for run in runs.values()]
    keys = dict.fromkeys(key for values in settings for key in values)
    varying = [key for key in keys if len({json.dumps(values.get(key)) for values in settings}) > 1]
    rows = [
        {key: tuple(value) if isinstance(value := run.settings.get(key), list) else value for key in varying}
        | {"state": run.state, "step": run.step, "steps": run.steps, "seconds": run.seconds, "error": run.error}
        for run in runs.values()
    ]
    return pd.DataFrame(rows, index=pd.Index(runs, name="file"))


def read_manifest(folder: str | Path) -> pd.DataFrame:
    """Read the manifest of a sweep, which may be running.

    Returns
    -------
    pandas.DataFrame
        One row for each run, by the file name of its trace: the settings that vary, `state`, `step` and `steps`
        (updates), `seconds`, and the `error` of a run that failed.

    Raises
    ------
    InputError
        If the folder has no manifest, or the manifest can't be read.
    """
    path = Path(folder) / FILE
    if not path.exists():
        raise InputError(f"{path}: does not exist; give the folder of a sweep")
    return _table(_read(path)[1])


def open_manifest(folder: Path, planned: Mapping[str, Setup], probes: Sequence[str]) -> Manifest:
    """Return the manifest of a sweep that begins or continues. The traces in the folder determine each run's progress.

    Runs of an earlier sweep that had not begun are forgotten.

    Parameters
    ----------
    folder : Path
        Folder of the traces.
    planned : mapping of str to Setup
        Setups of the runs by the file name of their trace.
    probes : sequence of str
        Names of the probes to record.

    Raises
    ------
    InputError
        If the folder has a sweep of other runs or with other probes, or a trace of a run with other settings.
    """
    path = folder / FILE
    old_probes, old = _read(path) if path.exists() else (tuple(probes), {})
    old = {name: run for name, run in old.items() if run.step or run.state in DONE or (folder / name).exists()}
    if missing := [name for name in old if name not in planned]:
        raise InputError(
            f"{folder}: has a sweep with {len(missing)} runs that are missing here, such as {missing[0]}. Runs can be "
            "added to a sweep but not removed: include them, or choose another out="
        )
    if old and old_probes != tuple(probes):
        raise InputError(
            f"{folder}: its runs are recorded with probes={','.join(old_probes)!r}, not {','.join(probes)!r}; give "
            "the same ones, or choose another out="
        )
    runs = {}
    for name, setup in planned.items():
        run = RunState(settings(setup), setup.steps)
        has_our_probes = name in old and old[name].state != "failed"
        if name in old:
            found = BEFORE | old[name].settings
            if differ := [key for key, value in run.settings.items() if found.get(key) != value]:
                raise other_settings(folder / name, differ)
            run.seconds = old[name].seconds
            run.state = old[name].state if old[name].state in DONE else "pending"
        _read_progress(folder / name, run, setup, None if has_our_probes else tuple(probes))
        runs[name] = run
    return Manifest(folder, probes, runs)


def settings(setup: Setup) -> dict[str, Any]:
    """Return all settings of a run by dotted name, as they are after a round trip through JSON."""
    values = {"setup": setup.name, "optimizer": type(setup.optimizer).__name__} | settings_of(setup)
    values.pop("data.folder", None)
    return dict(json.loads(json.dumps(values)))


def _read_progress(path: Path, run: RunState, setup: Setup, probes: tuple[str, ...] | None) -> None:
    """Update the state of a run from its trace.

    With `probes`, the trace may come from outside this sweep. Then the run fails unless the trace has their quantities.
    """
    try:
        trace = open_trace(path)
        steps, finished = trace.steps, trace.finished
    except InputError:
        run.state = "pending"
        return
    run.step = steps[1] if steps else 0
    if finished:
        check_settings(path, setup, trace.config)
    if not finished or run.state not in DONE:
        run.state = end_of(trace) if finished else "pending"
        wanted = quantities_of(replace(setup, seed=0, steps=1), probes) if probes else frozenset()
        if probes and wanted and (differ := wanted.difference(trace.names) if finished else wanted ^ set(trace.names)):
            run.state = "failed"
            run.error = (
                f"{path}: was not recorded with probes={','.join(probes)!r}: the quantities differ by "
                f"{', '.join(sorted(differ))}; move it and its checkpoint away, or choose another out="
            )
    run.step = run.steps if run.state == "finished" else run.step


@lru_cache(maxsize=256)
def quantities_of(setup: Setup, probes: tuple[str, ...]) -> frozenset[str]:
    """Return the names of the quantities that probes record of a setup; none if its data can't be made here."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.h5"
        try:
            make_recorder(Run(setup, torch.device("cpu")), path, False, None, probes=probes).close(finished=False)
        except SlingshotError:
            return frozenset()
        return frozenset(open_trace(path).names)


def _read(path: Path) -> tuple[tuple[str, ...], dict[str, RunState]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content["format"], content["version"]) != (FORMAT, VERSION):
            raise InputError(f"{path}: was written by another version; use that version, or choose another out=")
        return tuple(content["probes"]), {name: RunState(**run) for name, run in content["runs"].items()}
    except (KeyError, OSError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: can't be read as a manifest ({error}); delete it, which keeps the traces") from error
