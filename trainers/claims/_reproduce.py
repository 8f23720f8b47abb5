"""Make the runs of a claim that are missing, measure all of them, and decide."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError
from slingshot_analysis.many_runs import analyze_files
from slingshot_analysis.trace import TraceFile, open_trace
from trainers.claims._claim import Claim, Finding, Measured, Scale, sweep_file
from trainers.recorded_run import default_name
from trainers.setup import Setup, check_settings
from trainers.sweep import Status, plan_file, read_config, read_manifest, sweep
from trainers.sweep.manifest import FILE, quantities_of

MACHINE = "cpu_kernels", "device", "threads"
"""Attributes of a trace that say on what it was recorded."""


@dataclass(frozen=True)
class Planned:
    """The runs of one sweep of a claim.

    Parameters
    ----------
    folder : Path
        Folder of the traces that the sweep writes.
    probes : tuple of str
        What it records.
    missing : tuple of Setup
        The runs that the sweep makes, or has made.
    elsewhere : tuple of Path
        Finished traces of the other runs, in other folders.
    """

    folder: Path
    probes: tuple[str, ...]
    missing: tuple[Setup, ...]
    elsewhere: tuple[Path, ...]

    def finished(self) -> list[Path]:
        """Return the finished traces."""
        own = [self.folder / default_name(setup) for setup in self.missing]
        return [*self.elsewhere, *(path for path in own if _finished(path) is not None)]


@dataclass(frozen=True)
class Result:
    """The verdict of a claim on the runs that were made.

    Parameters
    ----------
    scale : {"small", "paper"}
        Which runs were asked for.
    finding : Finding
        The verdict with its numbers.
    measured : tuple of Measured
        The runs.
    planned : int
        Number of runs that were asked for.
    seconds : float, seconds
        Time spent on training the runs, all processes together.
    versions : dict of str to str
        Versions of the libraries that trained them, and the machine.
    problems : tuple of str
        Runs that could not be made or measured, and why.
    """

    scale: Scale
    finding: Finding
    measured: tuple[Measured, ...]
    planned: int
    seconds: float
    versions: dict[str, str]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values for JSON, without the analyses of the runs."""
        kept = {name: getattr(self, name) for name in ("scale", "planned", "seconds", "versions", "problems")}
        return kept | asdict(self.finding) | {"runs": len(self.measured)}


def reproduce(
    claim: Claim,
    out: str | Path = "claims",
    *,
    scale: Scale = "small",
    seeds: str | None = None,
    data_dir: str | None = None,
    train: bool = True,
    jobs: int | None = None,
    engine: str | Executor = "processes",
    scheduler: str | None = None,
    slurm: Mapping[str, object] | None = None,
    progress: Callable[[Status], None] | None = None,
) -> Result:
    """Train the runs of a claim that are missing, and decide the claim.

    The same call continues a reproduction that was stopped. A finished trace anywhere below `out` is used again if it
    has the same name, settings and quantities.

    Parameters
    ----------
    claim : Claim
        One of ``CLAIMS``.
    out : path-like, optional
        Folder of the traces, with one folder for each sweep.
    scale : {"small", "paper"}, optional
        Which of the claim's sweeps to run.
    seeds : str, optional
        Seeds of each run, such as ``"0-4"``, in place of those of the sweeps.
    data_dir : str, optional
        Folder of the data files, for setups that read files.
    train : bool, optional
        Whether to train what is missing. Otherwise the runs that are there decide.
    jobs, engine, scheduler, slurm, progress : optional
        As in :func:`trainers.sweep.sweep`.

    Returns
    -------
    Result
        The verdict, with the runs.

    Raises
    ------
    InputError
        If a sweep can't be planned, or its folder has a sweep of other runs.
    KeyboardInterrupt
        After the workers have stopped.
    """
    plans = [plan_sweep(name, Path(out), seeds, data_dir) for name in claim.sweeps[scale]]
    problems = []
    for one in plans:
        if train and one.missing:
            table = sweep(
                one.missing,
                one.folder,
                probes=one.probes,
                jobs=jobs,
                engine=engine,
                scheduler=scheduler,
                slurm=slurm,
                progress=progress,
            )
            problems += [f"{name}: {error}" for name, error in table["error"].items() if error]
    paths = list(dict.fromkeys(path for one in plans for path in one.finished()))
    measured = []
    for result in analyze_files(paths, jobs=jobs, keep=claim.measure):
        if result.problems:
            problems += result.problems
        else:
            measured.append(Measured(result.analyses[0], result.kept[0]))
    planned = sum(len(one.missing) + len(one.elsewhere) for one in plans)
    finding = _decide(claim, scale, measured)
    versions = _versions(paths[0]) if paths else {}
    return Result(scale, finding, tuple(measured), planned, _seconds(paths), versions, tuple(problems))


def planned_runs(claim: Claim, scale: Scale) -> list[Setup]:
    """Return the setups of all runs of a claim at one scale."""
    return list(dict.fromkeys(setup for name in claim.sweeps[scale] for setup in _runs_of(name)))


@cache
def _runs_of(sweep_name: str) -> tuple[Setup, ...]:
    """Return the setups of a sweep, which several claims may share."""
    return tuple(plan_file(read_config(sweep_file(sweep_name))))


def plan_sweep(name: str, out: Path, seeds: str | None = None, data_dir: str | None = None) -> Planned:
    """Return the runs of a sweep, those that another sweep has made apart.

    Parameters
    ----------
    name : str
        A sweep of a claim.
    out : Path
        Folder of all sweeps.
    seeds, data_dir : str, optional
        As in `reproduce`.

    Raises
    ------
    InputError
        If the sweep can't be planned.
    """
    file = read_config(sweep_file(name))
    probes = tuple((file.probes or "light").split(","))
    folder = out / name
    others: dict[str, list[Path]] = {}
    for path in sorted(out.rglob("*.h5")):
        if path.parent != folder:
            others.setdefault(path.name, []).append(path)
    missing, elsewhere = [], []
    for setup in plan_file(file, seeds, data_dir):
        same_name = others.get(default_name(setup), ())
        found = next((path for path in same_name if _serves(path, setup, probes)), None)
        if found is None or (folder / found.name).exists():
            missing.append(setup)
        else:
            elsewhere.append(found)
    return Planned(folder, probes, tuple(missing), tuple(elsewhere))


def _serves(path: Path, setup: Setup, probes: tuple[str, ...]) -> bool:
    """Return whether a file is the finished trace of a run, with all quantities that are asked for."""
    trace = _finished(path)
    if trace is None:
        return False
    try:
        check_settings(path, setup, trace.config)
    except InputError:
        return False
    return quantities_of(replace(setup, seed=0, steps=1), probes) <= set(trace.names)


def _finished(path: Path) -> TraceFile | None:
    try:
        trace = open_trace(path)
    except InputError:
        return None
    return trace if trace.finished else None


def _decide(claim: Claim, scale: Scale, measured: list[Measured]) -> Finding:
    if not measured:
        return Finding("not decided", "no run was made here", "0 runs")
    found = claim.decide(measured)
    if scale == "small" and claim.shortened:
        return replace(found, verdict="not decided", because=f"shortened: {claim.shortened}")
    return found


def _seconds(paths: list[Path]) -> float:
    """Return the time that the manifests note for these traces."""
    total = 0.0
    for folder in {path.parent for path in paths if (path.parent / FILE).exists()}:
        seconds = read_manifest(folder)["seconds"]
        total += float(sum(seconds.get(path.name, 0.0) for path in paths if path.parent == folder))
    return total


def _versions(path: Path) -> dict[str, str]:
    attributes = open_trace(path).attributes
    libraries = json.loads(str(attributes.get("libraries", "{}")))
    return {name: str(version) for name, version in libraries.items()} | {
        name: str(attributes[name]) for name in MACHINE if name in attributes
    }
