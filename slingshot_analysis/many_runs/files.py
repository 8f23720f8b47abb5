"""Analyze many files on any engine; memory does not grow with their length."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from slingshot_analysis.analysis import Analysis, analyze
from slingshot_analysis.engines import open_engine
from slingshot_analysis.errors import NoRunError, SlingshotError
from slingshot_analysis.readers import one_child, read_log
from slingshot_analysis.slingshots import DEFAULT, Options
from slingshot_analysis.trace import Trace, TraceFile

Read = Callable[[str], Sequence[Trace]]
Keep = Callable[[Trace, Analysis], Any]
Task = Callable[[Sequence[str]], "list[FileResult]"]

MOST_FILES = 32
"""Largest number of files of one task."""
JOBS_GUESSED = 16
"""Number of tasks that run at once, where the engine does not know it."""
TASKS_PER_JOB = 4
"""Smallest number of tasks for each worker, so that workers end at about the same time."""


@dataclass(frozen=True)
class FileResult:
    """The results of one file.

    Parameters
    ----------
    file : str
        The name as it was given.
    analyses : tuple of Analysis
        One for each run of the file that could be analyzed.
    kept : tuple
        What `keep` returned for each of them; None where it failed.
    problems : tuple of str
        Why the file, or a run of it, could not be analyzed.
    notes : tuple of str
        What was left out: files that contain no run or were given twice.
    """

    file: str
    analyses: tuple[Analysis, ...] = ()
    kept: tuple[Any, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def analyze_files(
    files: Sequence[str | Path],
    *,
    jobs: int | None = 1,
    engine: str = "processes",
    scheduler: str | None = None,
    slurm: Mapping[str, object] | None = None,
    read: Read = read_log,
    keep: Keep | None = None,
    options: Options = DEFAULT,
) -> Iterator[FileResult]:
    """Analyze the runs of many files. A process that reads a file analyzes it, and only results come back.

    Parameters
    ----------
    files : sequence of path-like
        Traces and logs.
    jobs : int or None, optional
        Number of processes. With 1 this process does the work; None takes one process for each usable CPU.
    engine, scheduler, slurm : optional
        Where the work runs: see `open_engine`.
    read : callable, optional
        Returns the runs of a file.
    keep : callable, optional
        Called with each run and its analysis in the process that read the run; its return value comes back. It and
        `read` must be picklable unless this process does the work.
    options : Options, optional
        Settings of the detectors.

    Yields
    ------
    FileResult
        One for each file, in the given order; that of a file that can't be read has problems and no analyses. A file
        that is given again is analyzed once, and a last result notes it.

    Raises
    ------
    InputError
        If the engine can't be opened.

    Examples
    --------
    >>> [found.problems for found in analyze_files(["missing.h5"])]
    [('missing.h5: no such file',)]
    """
    names, repeated = _once([str(file) for file in files])
    task = partial(_analyze, read=read, keep=keep, options=options)
    if engine == "processes" and jobs == 1:
        yield from _analyze_each(names, read, keep, options)
    else:
        with open_engine(engine, jobs=jobs, scheduler=scheduler, slurm=slurm) as executor:
            yield from _in_order(executor, task, names)
    if repeated:
        note = f"files given more than once are analyzed once: {len(repeated)}, the first {repeated[0]}"
        yield FileResult(repeated[0], notes=(note,))


def _once(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the name of each different file, and the names that repeat one of them."""
    files: dict[Path, str] = {}
    repeated = []
    for name in names:
        file = Path(os.path.realpath(name))  # unlike resolve(), of a link to itself too
        if file in files:
            repeated.append(name)
        else:
            files[file] = name
    return list(files.values()), repeated


def _in_order(executor: Executor, task: Task, names: Sequence[str]) -> Iterator[FileResult]:
    """Submit at most twice as many tasks as run at once, so that results do not pile up, and yield in order."""
    jobs = getattr(executor, "jobs", None) or JOBS_GUESSED
    size = max(1, min(MOST_FILES, len(names) // (TASKS_PER_JOB * jobs)))
    waiting: deque[tuple[Future[list[FileResult]], Sequence[str]]] = deque()
    for start in range(0, len(names), size):
        part = names[start : start + size]
        waiting.append((executor.submit(task, part), part))
        if len(waiting) >= 2 * jobs:
            yield from _collect(executor, task, *waiting.popleft())
    while waiting:
        yield from _collect(executor, task, *waiting.popleft())


def _collect(
    executor: Executor, task: Task, future: Future[list[FileResult]], names: Sequence[str]
) -> Iterator[FileResult]:
    """Return the results of a task; if its worker was lost, try its files one by one."""
    try:
        yield from future.result()
    except Exception as error:  # each engine has its own errors
        if len(names) > 1:
            for name in names:
                yield from _collect(executor, task, executor.submit(task, [name]), [name])
        else:
            lost = "its worker died or was lost, perhaps for want of memory; try a smaller jobs=: "
            why = lost if isinstance(error, BrokenExecutor) else ""
            yield FileResult(names[0], problems=(f"{names[0]}: {why}{_in_words(error)}",))


def _analyze(names: Sequence[str], read: Read, keep: Keep | None, options: Options) -> list[FileResult]:
    return list(_analyze_each(names, read, keep, options))


def _analyze_each(names: Sequence[str], read: Read, keep: Keep | None, options: Options) -> Iterator[FileResult]:
    with one_child():
        for name in names:
            yield _analyze_file(name, read, keep, options)


def _analyze_file(name: str, read: Read, keep: Keep | None, options: Options) -> FileResult:
    try:
        runs = read(name)
    except NoRunError as error:
        return FileResult(name, notes=(f"left out: {error}",))
    except Exception as error:  # readers may raise anything; the other files are still read
        return FileResult(name, problems=(_problem(name, error),))
    analyses: list[Analysis] = []
    kept: list[Any] = []
    problems: list[str] = []
    for run in runs:
        run = run.held() if isinstance(run, TraceFile) else run  # the analysis and what is kept need the same rows
        try:
            analyses.append(analyze(run, options=options))
        except Exception as error:  # the other runs of the file are still analyzed
            problems.append(_problem(name, error))
            continue
        kept.append(None)
        try:
            kept[-1] = keep(run, analyses[-1]) if keep else None
        except Exception as error:  # for example a picture that can't be written
            problems.append(_problem(name, error))
    return FileResult(name, tuple(analyses), tuple(kept), tuple(dict.fromkeys(problems)))


def _problem(name: str, error: Exception) -> str:
    words = _in_words(error)
    return words if name in words else f"{name}: {words}"


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, SlingshotError) else " ".join(f"{type(error).__name__}: {error}".split())
