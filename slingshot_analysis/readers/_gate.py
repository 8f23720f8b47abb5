"""The checks that every file passes before and while it is read: kind, size, time, memory and errors.

Every file that a user names is read by `read_log`, which uses this module. A file may be damaged or malicious: it may
declare more data than it contains, point to other files, or make a C library hang.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import select
import signal
import stat
import struct
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from slingshot_analysis.errors import InputError, SlingshotError
from slingshot_analysis.readers._raw import Column, RawRun
from slingshot_analysis.safe_text import in_one_line, printable

Result = TypeVar("Result")

VARIABLE = "SLINGSHOT_MOST_MEGABYTES"
MOST_MEGABYTES = 512
"""Maximum unpacked size of a file in megabytes. The environment variable overrides it."""

LEAST_SECONDS, SECONDS_PER_MEGABYTE, MOST_SECONDS = 0.6, 1.0, 12.0
"""CPU time in seconds after which a C library counts as hung."""

WAITING = 60.0
"""Seconds of waiting that are added to this CPU time, for a busy machine or a slow disk."""

_COUNT = struct.Struct("q")

MOST_CALLS = 32
"""Maximum number of files that a child reads, so that what libraries keep of each does not add up."""

MEMORY_SHARE = 3
"""Maximum memory of a child process, as a multiple of the maximum size of a file."""


def most_bytes() -> int:
    """Return how many bytes a file may hold once it is unpacked.

    Raises
    ------
    InputError
        If the environment variable is no positive number.
    """
    given = os.environ.get(VARIABLE, str(MOST_MEGABYTES))
    try:
        limit = float(given)
        if not limit > 0:
            raise ValueError
    except ValueError:
        raise InputError(f"{VARIABLE}={given}: give a positive number of megabytes") from None
    return int(min(limit, 1e9) * 1e6)


def check_size(path: Path, size: float, what: str = "holds") -> None:
    """Raise an error if something is larger than the limit, before memory is allocated for it.

    Raises
    ------
    InputError
        If it is larger.
    """
    if size > most_bytes():
        raise InputError(
            f"{path}: {what} {size / 1e6:,.0f} MB, more than the {most_bytes() / 1e6:,.0f} MB that are read; "
            f"if that is right, raise the limit with {VARIABLE} in the environment, or thin the log"
        )


def check_kind(path: Path) -> None:
    """Raise an error unless a path is a file or a folder.

    Raises
    ------
    InputError
        If it does not exist, or is a broken link, a device, a pipe or a socket.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file{' behind this link' if path.is_symlink() else ''}") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: can't be opened ({in_one_line(error)}); check the path") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(mode), "a device")
        raise InputError(f"{path}: is {kind}, not a file; copy what it holds into a file, or give - for standard input")


@contextlib.contextmanager
def guarded(path: Path, reader: str) -> Iterator[None]:
    """Turn every error in reading a file into one line that names the file.

    Raises
    ------
    InputError
        In place of any other exception.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # numbers at the edge of float64
            yield
    except SlingshotError:
        raise
    except MemoryError as error:
        raise InputError(f"{path}: takes more memory than there is; is it damaged? Thin the log or split it") from error
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deep to be a training log; is it damaged?") from error
    except Exception as error:
        raise InputError(
            f"{path}: is damaged, or no log as the reader {reader!r} expects it; copy it again or name it with format= "
            f"({type(error).__name__}: {in_one_line(error)})"
        ) from error


def cleaned(run: RawRun) -> RawRun:
    """Return a run with names and texts that can be printed."""
    columns: dict[str, Column] = {}
    for given, column in run.columns.items():
        name, number = printable(given), 2
        while name in columns:
            name, number = f"{printable(given)} ({number})", number + 1
        columns[name] = column
    attributes = {printable(str(name)): _cleaned_value(value) for name, value in run.attributes.items()}
    templates = [
        replace(
            line,
            text=printable(line.text, 2000),
            example=printable(line.example, 2000),
            columns=tuple(map(printable, line.columns)),
        )
        for line in run.templates
    ]
    return RawRun(printable(run.name), columns, attributes, [printable(note, 2000) for note in run.notes], templates)


def _cleaned_value(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value, 100_000)
    if isinstance(value, Mapping):
        return {printable(str(name)): _cleaned_value(item) for name, item in value.items()}
    return value


def isolated(path: Path, function: Callable[[Path], Result]) -> Result:
    """Call a function of a file in a child process, so that a C library that hangs or crashes does no harm here.

    Where processes can't be forked safely, on Windows and macOS, the function is called here.

    Parameters
    ----------
    path : Path
        The file.
    function : callable
        A function of a module. It takes the path, and what it returns is sent back by pickle.

    Raises
    ------
    InputError
        If the function raises it, takes too long or too much memory, or brings its process down.
    """
    check_kind(path)
    seconds = min(LEAST_SECONDS + SECONDS_PER_MEGABYTE * path.stat().st_size / 1e6, MOST_SECONDS)
    limit = f"{seconds:.1f} s of CPU time and {most_bytes() * MEMORY_SHARE / 1e6:,.0f} MB"
    if sys.platform != "linux":
        return function(path)
    kept: list[_Child] | None = getattr(_thread, "children", None)
    child = kept.pop() if kept else _Child()
    answer = None
    try:
        answer = child.call(path, function, seconds)
    finally:
        if kept is not None and answer is not None and answer[0] == "result" and child.calls < MOST_CALLS:
            kept.append(child)
        else:
            child.end()
    if answer is None:
        raise InputError(f"{path}: is damaged: it could not be read within {limit}; restore it from a copy")
    kind, content = answer
    if kind == "error":
        raise InputError(content)
    return content  # type: ignore[no-any-return]


@contextlib.contextmanager
def one_child() -> Iterator[None]:
    """Let one child process read many files of this thread, one after another; by default each file has its own.

    A file that can't be read ends the child, and the next file gets a new one. A generator that is dropped in this
    context may end it late, within another one.
    """
    _thread.children = children = list[_Child]()
    try:
        yield
    finally:
        if getattr(_thread, "children", None) is children:
            _thread.children = None
        for child in children:
            child.end()


_thread = threading.local()


class _Child:
    """A forked process that calls functions of files."""

    def __init__(self) -> None:
        asked, self._asking = os.pipe()
        self._answers, answering = os.pipe()
        self.calls = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about forks while threads run; the child starts none
            self._process = os.fork()
        if not self._process:
            os.close(self._asking)
            os.close(self._answers)
            _work(asked, answering)
        os.close(asked)
        os.close(answering)

    def call(self, path: Path, function: Callable[[Path], object], seconds: float) -> tuple[str, Any] | None:
        """Return "result" and what the function returns, or "error" and its message. None if it is lost or too late."""
        self.calls += 1
        try:
            _send(self._asking, (path, function, seconds))
        except BrokenPipeError:
            return None
        answer: tuple[str, Any] | None = _receive(self._answers, time.monotonic() + seconds + WAITING)
        return answer

    def end(self) -> None:
        os.close(self._asking)
        os.close(self._answers)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def _work(asked: int, answering: int) -> None:
    """In the child, call each function that is asked for and send its result or error. End the process in any case."""
    try:
        _limit_memory()
        while (question := _receive(asked)) is not None:
            path, function, seconds = question
            signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process even if the library hangs
            try:
                with guarded(path, function.__module__.rpartition(".")[2]):
                    answer = ("result", function(path))
            except SlingshotError as error:
                answer = ("error", str(error))
            _send(answering, answer)
    finally:
        os._exit(0)


def _limit_memory() -> None:
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_SHARE * most_bytes()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))


def _send(sending: int, content: object) -> None:
    """Write an object to a pipe: the number of its parts, their sizes, and the parts. Arrays are not copied."""
    buffers: list[pickle.PickleBuffer] = []
    first = pickle.dumps(content, protocol=5, buffer_callback=buffers.append)
    parts: list[bytes | memoryview] = [first, *(buffer.raw() for buffer in buffers)]
    sizes = [len(part) for part in parts]
    with os.fdopen(sending, "wb", closefd=False) as pipe:
        pipe.write(_COUNT.pack(len(sizes)) + struct.pack(f"{len(sizes)}q", *sizes))
        for part in parts:
            pipe.write(part)


def _receive(receiving: int, deadline: float = math.inf) -> Any:
    """Return what `_send` wrote, by this program and not from a file. None if it is incomplete at the deadline."""
    head = _received(receiving, _COUNT.size, deadline)
    sizes = _received(receiving, 8 * _COUNT.unpack(head)[0], deadline) if head is not None else None
    if sizes is None:
        return None
    parts = [_received(receiving, size, deadline) for (size,) in struct.iter_unpack("q", sizes)]
    if any(part is None for part in parts):
        return None
    return pickle.loads(parts[0], buffers=parts[1:])  # type: ignore[arg-type]


def _received(receiving: int, size: int, deadline: float) -> bytearray | None:
    """Return so many bytes from a pipe. None if the pipe ends or the deadline passes before."""
    content = bytearray(size)
    place = memoryview(content)
    while len(place):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([receiving], [], [], left if left < math.inf else None)[0]:
            return None
        count = os.readv(receiving, [place])
        if not count:
            return None
        place = place[count:]
    return content
