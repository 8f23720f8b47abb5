"""The manifest of a sweep: which runs there are, and how far each is."""

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
from trainers.loop import Run
from trainers.recorded_run import make_recorder
from trainers.setup import Setup, check_settings, other_settings, settings_of
from trainers.sweep.work import end_of

__all__ = ["DONE", "FILE", "Manifest", "RunState", "read_manifest"]

FILE = "manifest.json"
FORMAT, VERSION = "slingshot-sweep", 1
DONE = "finished", "diverged"


@dataclass
class RunState:
    """One run of a sweep.

    Parameters
    ----------
    settings : dict
        Value by dotted name of every field of the setup.
    steps : int, updates
        Length of the run.
    state : {"pending", "running", "finished", "diverged", "failed", "stopped"}
        "diverged" is finished too, with a loss that is not finite.
    step : int, updates
        How far the trace reaches.
    seconds : float, seconds
        Of work on it, over all sessions.
    error : str
        Why it failed.
    """

    settings: dict[str, Any]
    steps: int
    state: str = "pending"
    step: int = 0
    seconds: float = 0.0
    error: str = ""


class Manifest:
    """The runs of a sweep by the name of their trace, in a JSON file that one process writes.

    Parameters
    ----------
    folder : Path
        Of the traces and the manifest.
    probes : sequence of str
        What is recorded.
    runs : dict of str to RunState
        Changed in place.
    """

    def __init__(self, folder: Path, probes: Sequence[str], runs: dict[str, RunState]) -> None:
        self.folder, self.probes, self.runs = folder, tuple(probes), runs
        self._written = ""

    def save(self) -> None:
        """Write the file if anything has changed: aside, and renamed, so that it is whole at every moment."""
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
        """Return one row for each run, with a column for each setting that varies."""
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
    """Return the manifest of a sweep, which may be running.

    Returns
    -------
    pandas.DataFrame
        One row for each run, by the name of its trace: the settings that vary, `state`, `step` and `steps` (updates),
        `seconds`, and the `error` of a run that failed.

    Raises
    ------
    InputError
        If there is none, or it can't be read.
    """
    path = Path(folder) / FILE
    if not path.exists():
        raise InputError(f"{path}: no such file; give the folder of a sweep")
    return _table(_read(path)[1])


def open_manifest(folder: Path, planned: Mapping[str, Setup], probes: Sequence[str]) -> Manifest:
    """Return the manifest of these runs, with those that are finished already as the traces in the folder say.

    Of an earlier sweep only the runs count that have begun.

    Parameters
    ----------
    folder : Path
        Of the traces.
    planned : mapping of str to Setup
        The runs by the name of their trace.
    probes : sequence of str
        What is recorded.

    Raises
    ------
    InputError
        If the folder holds a sweep of other runs or probes, or a trace of that name with other settings or probes.
    """
    path = folder / FILE
    old_probes, old = _read(path) if path.exists() else (tuple(probes), {})
    old = {name: run for name, run in old.items() if run.step or run.state in DONE or (folder / name).exists()}
    if missing := [name for name in old if name not in planned]:
        raise InputError(
            f"{folder}: holds a sweep with {len(missing)} runs that this one leaves out, such as {missing[0]}; runs "
            "can be added to a sweep, not taken away: choose another out=, or ask for those too"
        )
    if old and old_probes != tuple(probes):
        raise InputError(
            f"{folder}: its runs are recorded with probes={','.join(old_probes)!r}, not {','.join(probes)!r}; choose "
            "another out="
        )
    runs = {}
    for name, setup in planned.items():
        run = RunState(settings(setup), setup.steps)
        is_ours = name in old and old[name].state != "failed"
        if name in old:
            if differ := [key for key, value in run.settings.items() if old[name].settings.get(key) != value]:
                raise other_settings(folder / name, differ)
            run.seconds = old[name].seconds
            run.state = old[name].state if old[name].state in DONE else "pending"
        _look(folder / name, run, setup, None if is_ours else tuple(probes))
        runs[name] = run
    return Manifest(folder, probes, runs)


def settings(setup: Setup) -> dict[str, Any]:
    """Return every setting of a run by dotted name, as JSON gives it back."""
    values = {"setup": setup.name, "optimizer": type(setup.optimizer).__name__} | settings_of(setup)
    values.pop("data.folder", None)
    return dict(json.loads(json.dumps(values)))


def _look(path: Path, run: RunState, setup: Setup, probes: tuple[str, ...] | None) -> None:
    """Ask the trace how far the run is. One that others have recorded fails, if it holds not what `probes` measure."""
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
        wanted = _quantities(replace(setup, seed=0, steps=1), probes) if probes else frozenset()
        if probes and wanted and (differ := wanted.difference(trace.names) if finished else wanted ^ set(trace.names)):
            run.state = "failed"
            run.error = (
                f"{path}: was not recorded with probes={','.join(probes)!r}: the difference is "
                f"{', '.join(sorted(differ))}; move it and its checkpoint away, or choose another out="
            )
    run.step = run.steps if run.state == "finished" else run.step


@lru_cache(maxsize=256)
def _quantities(setup: Setup, probes: tuple[str, ...]) -> frozenset[str]:
    """Return what a recorder of the run writes; nothing where its data can't be made on this machine."""
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
            raise InputError(f"{path}: was written by another version; finish the sweep with that, or choose another")
        return tuple(content["probes"]), {name: RunState(**run) for name, run in content["runs"].items()}
    except (KeyError, OSError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: can't be read as a manifest ({error}); delete it: the traces are kept") from error
