"""Analyze many files, by any engine, in memory that does not grow with their length."""

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
from slingshot_analysis.readers import read_log
from slingshot_analysis.slingshots import DEFAULT, Options
from slingshot_analysis.trace import Trace

__all__ = ["FileResult", "analyze_files"]

Read = Callable[[str], Sequence[Trace]]
Keep = Callable[[Trace, Analysis], Any]
Task = Callable[[Sequence[str]], "list[FileResult]"]

MOST_FILES = 32
"""Files of one task."""
JOBS_GUESSED = 16
"""Where an engine does not know how many tasks run at once."""
TASKS_PER_JOB = 4
"""So many at least, so that jobs end at about the same time."""


@dataclass(frozen=True)
class FileResult:
    """What came of one file.

    Parameters
    ----------
    file : str
        As it was given.
    analyses : tuple of Analysis
        One for each run of the file that could be analyzed.
    kept : tuple
        What was kept of each of them; None where that failed.
    problems : tuple of str
        Why the file, or a run of it, could not be analyzed.
    notes : tuple of str
        What was left out, being no run or given twice.
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
    """Analyze the runs of many files; signals stay where they were read, and only results come back.

    Parameters
    ----------
    files : sequence of path-like
        Traces and logs.
    jobs : int or None, optional
        Processes at once. One works here, without another process; None takes all CPUs that may be used.
    engine, scheduler, slurm : optional
        Where to work: see `open_engine`.
    read : callable, optional
        Returns the runs of a file.
    keep : callable, optional
        Called with each run and its analysis where the run was read; what it returns comes back. With other
        processes, it and `read` have to be picklable.
    options : Options, optional
        Of the detectors.

    Yields
    ------
    FileResult
        One for each file, in their order; a file that can't be read is one with problems. A file is analyzed once: if
        some are given again, one more result at the end notes that.

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
        for name in names:
            yield from task([name])
    else:
        with open_engine(engine, jobs=jobs, scheduler=scheduler, slurm=slurm) as executor:
            yield from _in_order(executor, task, names)
    if repeated:
        note = f"files given more than once are analyzed once: {len(repeated)}, the first {repeated[0]}"
        yield FileResult(repeated[0], notes=(note,))


def _once(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names of different files, and the names that stand for one of them again."""
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
    """Keep twice as many tasks on the way as run at once, so that results do not pile up."""
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
    """Return the results of a task; if its worker was lost, try each file by itself."""
    try:
        yield from future.result()
    except Exception as error:  # each engine has its own
        if len(names) > 1:
            for name in names:
                yield from _collect(executor, task, executor.submit(task, [name]), [name])
        else:
            lost = "its worker died or was lost, perhaps out of memory; try fewer --jobs: "
            why = lost if isinstance(error, BrokenExecutor) else ""
            yield FileResult(names[0], problems=(f"{names[0]}: {why}{_in_words(error)}",))


def _analyze(names: Sequence[str], read: Read, keep: Keep | None, options: Options) -> list[FileResult]:
    return [_analyze_file(name, read, keep, options) for name in names]


def _analyze_file(name: str, read: Read, keep: Keep | None, options: Options) -> FileResult:
    try:
        runs = read(name)
    except NoRunError as error:
        return FileResult(name, notes=(f"left out: {error}",))
    except Exception as error:  # of any reader; the other files are read all the same
        return FileResult(name, problems=(_problem(name, error),))
    analyses: list[Analysis] = []
    kept: list[Any] = []
    problems: list[str] = []
    for run in runs:
        try:
            analyses.append(analyze(run, options=options))
        except Exception as error:  # of one run, which hinders no other
            problems.append(_problem(name, error))
            continue
        kept.append(None)
        try:
            kept[-1] = keep(run, analyses[-1]) if keep else None
        except Exception as error:  # such as a picture that can't be written
            problems.append(_problem(name, error))
    return FileResult(name, tuple(analyses), tuple(kept), tuple(dict.fromkeys(problems)))


def _problem(name: str, error: Exception) -> str:
    words = _in_words(error)
    return words if name in words else f"{name}: {words}"


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, SlingshotError) else " ".join(f"{type(error).__name__}: {error}".split())
