"""Watch the runs of a file or of a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers import log_files
from slingshot_analysis.trace import TraceFile
from slingshot_analysis.watching.run import Event, RunState, WatchedRun
from slingshot_analysis.watching.source import Read, Source

ANALYSIS_SHARE = 0.05
"""Largest share of the time that analyses of running runs may take."""
FOLDER_SECONDS = 10.0
"""Seconds for which a folder must be quiet after its last run has finished: a sweep may be about to start another."""


class Watcher:
    """Looks at a file, or at every trace and log in a folder, again and again.

    Parameters
    ----------
    path : path-like
        A file, or a folder. Files that appear in the folder later are watched too.
    read : callable
        Returns the runs of a file, as `read_log` does.
    idle : float, optional, seconds
        A run that does not say when it has finished, such as a log, has ended when nothing was written for so long.
    steps : int, optional, updates
        Length of the runs, where their configuration does not tell it.

    Raises
    ------
    InputError
        If there is no such file, or it can't be read and is not empty.
    """

    def __init__(
        self, path: str | os.PathLike[str], read: Read, *, idle: float = 600.0, steps: int | None = None
    ) -> None:
        self._path, self._read, self._idle, self._steps = Path(path), read, idle, steps
        self._sources: dict[Path, Source] = {}
        self._runs: dict[tuple[Path, str], WatchedRun] = {}
        self._analyze_from = 0.0
        self._first = True
        if not self._path.exists():
            raise InputError(f"{self._path}: no such file or folder; start the run first, or watch its folder")

    def look(self) -> list[Event]:
        """Read what is new and analyze the run that has waited longest; return what happened.

        What had happened before the first look is part of the states, and no event.

        Raises
        ------
        InputError
            If the file is gone, or could never be read.
        """
        events = [event for source in self._changed() for event in self._take(source)]
        events += self._analyze_one()
        events += self._ends()
        if self._first:
            self._first, events = False, []
        return events

    @property
    def states(self) -> list[RunState]:
        """What is known of each run, those that go on first."""
        return [run.state() for run in sorted(self._runs.values(), key=lambda run: bool(run.ended))]

    @property
    def pending(self) -> bool:
        """Whether a run was not analyzed yet, or has ended and its last rows were not."""
        return any(run.fresh and (run.ended or run.analysis is None) for run in self._runs.values())

    @property
    def ended(self) -> bool:
        """Whether every run has ended, and there is one."""
        if not self._runs or self.pending or any(not run.ended for run in self._runs.values()):
            return False
        quiet = min(source.seconds_quiet() for source in self._sources.values())
        return self._path.is_file() or quiet > FOLDER_SECONDS

    def _changed(self) -> Iterator[Source]:
        """Yield each source with something new."""
        for file in log_files(self._path) if self._path.is_dir() else [self._path]:
            source = self._sources.setdefault(file, Source(file, self._read))
            if source.look():
                yield source
            elif source.problem is not None and not source.runs and self._path.is_file() and file.stat().st_size:
                raise source.problem

    def _take(self, source: Source) -> list[Event]:
        events: list[Event] = []
        for number, run in enumerate(source.runs):
            key = source.path, f"{number} {run.name}"
            watched = self._runs.get(key)
            if watched is None or _started_again(watched, run):
                watched = self._runs[key] = WatchedRun(run, self._steps)
            watched.ended = ""
            events += watched.take(run)
        return events

    def _analyze_one(self) -> list[Event]:
        """Analyze one run: one that was never analyzed or has ended at once, another if the time allows it."""
        waiting = [run for run in self._runs.values() if run.fresh]
        urgent = [run for run in waiting if run.analysis is None or run.ended]
        start = time.monotonic()
        if not urgent and (not waiting or start < self._analyze_from):
            return []
        run = min(urgent or waiting, key=lambda run: 0 if run.analysis is None else run.analysis.steps[1])
        first = run.analysis is None
        events = run.analyze()
        end = time.monotonic()
        self._analyze_from = end + (end - start) / ANALYSIS_SHARE
        return [] if first else events

    def _ends(self) -> list[Event]:
        events = []
        for (path, _), run in self._runs.items():
            if run.ended:
                continue
            if isinstance(run.run, TraceFile) and run.run.finished:
                events.append(run.end("finished"))
            elif self._sources[path].seconds_quiet() > self._idle:
                events.append(run.end("ended, or stopped: nothing more was written"))
        return events


def _started_again(watched: WatchedRun, run: object) -> bool:
    """Return whether a trace was replaced by that of another run."""
    return isinstance(run, TraceFile) and run is not watched.run
