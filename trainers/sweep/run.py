"""Train the runs of a sweep."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from slingshot_analysis.engines import count_cpus, open_engine
from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import choose_probes
from slingshot_analysis.trace import TraceFile, open_trace
from trainers.batch import batch_key
from trainers.recorded_run import default_name, find_device
from trainers.setup import Setup
from trainers.sweep._session import HIDDEN, end_session, open_session
from trainers.sweep.manifest import DONE, Manifest, RunState, open_manifest
from trainers.sweep.plan import by_name
from trainers.sweep.work import DEFAULT_PROBES, Chunk, Outcome, train_chunk

LARGEST_BATCH = 32
CHECKPOINT_EVERY = 10_000
POLL_SECONDS = 1.0
"""Shortest time between two looks at the traces."""

POLL_CPU_SHARE = 0.02
"""Fraction of one CPU that looking at the traces may take."""

STOP_SECONDS = 10.0
"""Time for the workers to write their last rows when a sweep is stopped."""


@dataclass(frozen=True)
class Status:
    """Progress of a sweep.

    Parameters
    ----------
    runs : dict of str to RunState
        States of all runs by the file name of their trace.
    rate : float, updates per second
        Mean rate of all workers together since the start of this session.
    left : float, seconds
        Remaining time at this rate; NaN before the first update.
    """

    runs: Mapping[str, RunState]
    rate: float
    left: float

    @property
    def counts(self) -> Counter[str]:
        """Number of runs in each state."""
        return Counter(run.state for run in self.runs.values())


def sweep(
    setups: Iterable[Setup],
    out: str | Path = "runs",
    *,
    engine: str | Executor = "processes",
    jobs: int | None = None,
    scheduler: str | None = None,
    slurm: Mapping[str, object] | None = None,
    batch: int = LARGEST_BATCH,
    probes: str | Iterable[str] = DEFAULT_PROBES,
    checkpoint_every: int = CHECKPOINT_EVERY,
    device: str = "auto",
    progress: Callable[[Status], None] | None = None,
) -> pd.DataFrame:
    """Train and record the runs of a sweep.

    The same call continues a sweep that was stopped or killed: finished runs are left as they are, interrupted runs
    continue from their checkpoints, and failed runs are tried again. A failed run does not stop the others.

    Parameters
    ----------
    setups : iterable of Setup
        Setups of the runs, such as `plan_runs` returns.
    out : path-like, optional
        Folder of the traces and the manifest. All workers must have access to it under this path.
    engine : {"processes", "dask", "slurm"} or Executor, optional
        Where the workers run. `slingshot_analysis.engines.open_engine` describes it, `scheduler` and `slurm`.
    jobs : int, optional
        Number of processes; with another engine, the smallest number of tasks into which the runs are divided.
    batch : int, optional
        Largest number of runs that a worker trains as one batch (see `trainers.batch`); 1 trains each run alone.
    probes : str or iterable of str, optional
        Names of the probes to record, as in `record`.
    checkpoint_every : int, optional, updates
        Number of updates between checkpoints, which is the most that a stopped run loses.
    device : str, optional
        As in `record`.
    progress : callable, optional
        Called about once per second with a `Status`.

    Returns
    -------
    pandas.DataFrame
        The manifest, as `read_manifest` returns it, with the errors of failed runs.

    Raises
    ------
    InputError
        If there is no run, two runs have the same name, a probe or the device is unknown, another sweep is running in
        the folder, or the folder has a sweep of other runs.
    KeyboardInterrupt
        After the workers have stopped.
    """
    planned = by_name(setups)
    if not planned:
        raise InputError("the sweep has no runs; give at least one setup")
    if batch < 1 or checkpoint_every < 1:
        raise InputError(f"batch={batch} and checkpoint_every={checkpoint_every}: give at least 1")
    folder = Path(out).absolute()
    names = tuple([probes] if isinstance(probes, str) else probes)
    choose_probes(names)  # raises the error of a wrong name before any process starts
    if engine == "processes":  # workers of other engines may have devices that this machine has not
        find_device(device)
    with _interrupted_once(), open_session(folder) as session:
        manifest = open_manifest(folder, planned, names)
        manifest.save()
        todo = [setup for name, setup in planned.items() if manifest.runs[name].state == "pending"]
        if todo:
            with _opened(engine, jobs, scheduler, folder / HIDDEN / "slurm", slurm) as executor:
                template = Chunk(folder, session, (), names, checkpoint_every, device)
                workers = jobs or getattr(executor, "jobs", None) or count_cpus()
                size = min(batch, math.ceil(len(todo) / workers))
                chunks = [replace(template, setups=part) for part in _divide(todo, size)]
                _Running(executor, manifest, progress).run(chunks)
    return manifest.to_dataframe()


@contextmanager
def _opened(
    engine: str | Executor, jobs: int | None, scheduler: str | None, folder: Path, slurm: Mapping[str, object] | None
) -> Iterator[Executor]:
    if isinstance(engine, Executor):
        yield engine
    else:
        with open_engine(engine, jobs=jobs, scheduler=scheduler, folder=folder, slurm=slurm) as executor:
            yield executor


@contextmanager
def _interrupted_once() -> Iterator[None]:
    """Ignore Ctrl-C after the first one, so that it does not disturb the orderly stop."""
    before, main = signal.getsignal(signal.SIGINT), threading.main_thread()
    if before is not signal.default_int_handler or threading.current_thread() is not main:
        yield
        return

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _divide(setups: Iterable[Setup], size: int) -> list[tuple[Setup, ...]]:
    """Divide the setups into parts of at most `size` that can be trained as one batch."""
    groups: dict[Hashable, list[Setup]] = {}
    for setup in setups:
        key = batch_key(setup)
        groups.setdefault(setup if key is None else key, []).append(setup)
    return [tuple(group[i : i + size]) for group in groups.values() for i in range(0, len(group), size)]


class _Running:
    """The tasks of one session, and their progress."""

    def __init__(self, executor: Executor, manifest: Manifest, progress: Callable[[Status], None] | None) -> None:
        self._executor, self._manifest, self._progress = executor, manifest, progress
        self._tasks: dict[Future[dict[str, Outcome]], tuple[Chunk, bool]] = {}
        self._traces = {
            name: _Growing(manifest.folder / name) for name, run in manifest.runs.items() if run.state not in DONE
        }
        self._start, self._before = time.monotonic(), self._steps()
        self._next_poll = 0.0

    def run(self, chunks: Iterable[Chunk]) -> None:
        try:
            for chunk in chunks:
                self._submit(chunk, again=False)
            while self._tasks:
                self._settle(wait(self._tasks, POLL_SECONDS, FIRST_COMPLETED).done)
                self._poll()
                self._manifest.save()
                self._report()
        except BaseException:
            end_session(self._manifest.folder)
            self._settle(wait(self._tasks, STOP_SECONDS).done)
            for task in self._tasks:
                task.cancel()
            for run in self._manifest.runs.values():
                run.state = "stopped" if run.state == "running" else run.state
            raise
        finally:
            self._manifest.save()

    def _submit(self, chunk: Chunk, again: bool) -> None:
        try:
            self._tasks[self._executor.submit(train_chunk, chunk)] = chunk, again
        except RuntimeError as error:
            for setup in chunk.setups:
                run = self._manifest.runs[default_name(setup)]
                run.state, run.error = "failed", f"the engine takes no more tasks ({error})"

    def _settle(self, done: Iterable[Future[dict[str, Outcome]]]) -> None:
        for task in done:
            chunk, again = self._tasks.pop(task)
            problem: BaseException | None = None
            try:
                outcomes = task.result()
            except Exception as error:
                outcomes, problem = {}, error
            for setup in chunk.setups:
                name = default_name(setup)
                run = self._manifest.runs[name]
                if name in outcomes:
                    outcome = outcomes[name]
                    run.state, run.error = outcome.state, outcome.error
                    run.seconds += outcome.seconds
                    run.step = run.steps if run.state == "finished" else self._traces[name].last_step()
                    if outcome.state == "stopped" and not self._traces[name].exists():
                        run.state = "pending"
                elif again:
                    run.state, run.error = "failed", f"its worker died or was lost twice ({problem!r})"
                else:
                    self._submit(replace(chunk, setups=(setup,)), again=True)

    def _poll(self) -> None:
        if time.monotonic() < self._next_poll:
            return
        start = time.thread_time()
        for name, trace in self._traces.items():
            run = self._manifest.runs[name]
            if run.state in ("pending", "running") and trace.has_grown():
                run.state, run.step = "running", trace.last_step()
        self._next_poll = time.monotonic() + max(POLL_SECONDS, (time.thread_time() - start) / POLL_CPU_SHARE)

    def _steps(self) -> int:
        return sum(run.step for run in self._manifest.runs.values())

    def _report(self) -> None:
        if self._progress is not None:
            runs = self._manifest.runs
            done = self._steps()
            rate = max(0, done - self._before) / (time.monotonic() - self._start)
            left = sum(run.steps - run.step for run in runs.values() if run.state in ("pending", "running"))
            self._progress(Status(runs, rate, left / rate if rate > 0 else math.nan))


class _Growing:
    """A trace that a worker may be writing.

    Parameters
    ----------
    path : Path
        The trace, which may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._changed()
        self._file: TraceFile | None = None

    def has_grown(self) -> bool:
        """Return whether the trace has changed since this object was made."""
        return self._changed() not in (None, self._seen)

    def exists(self) -> bool:
        """Return whether the trace exists."""
        return self._changed() is not None

    def last_step(self) -> int:
        """Return the last readable step, in updates; 0 if there is none."""
        try:
            self._file = self._file or open_trace(self._path)
            steps = self._file.steps
        except InputError:
            return 0
        return steps[1] if steps else 0

    def _changed(self) -> int | None:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return None
