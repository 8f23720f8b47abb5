"""Where tasks run: processes of this machine, a Dask cluster, or Slurm, each as a standard Executor."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import InputError, unknown_name

ENGINES = "processes", "dask", "slurm"
SCHEDULER_SECONDS = 10
"""Time within which a Dask scheduler has to answer."""
SLURM_POLL_SECONDS = 1.0
"""Time between two looks at the Slurm jobs."""
SLURM_MINUTES = 24 * 60
"""Time limit of a Slurm job where none is given."""


@contextmanager
def open_engine(
    name: str = "processes",
    *,
    jobs: int | None = None,
    scheduler: str | None = None,
    folder: str | Path = "slurm",
    slurm: Mapping[str, object] | None = None,
) -> Iterator[Executor]:
    """Open an executor. On exit it waits for the tasks that run in processes, and cancels all other tasks.

    A worker that dies loses only its own task: "processes" raises
    :class:`concurrent.futures.process.BrokenProcessPool` for that task and starts a new worker, "dask" runs the task
    again elsewhere, and "slurm" runs it again if the job was preempted or reached its time limit.

    Parameters
    ----------
    name : {"processes", "dask", "slurm"}, optional
        "processes" of this machine, each with one thread and, if there are GPUs, one of them in turn; a "dask" cluster
        that is already running; or one "slurm" job for each task.
    jobs : int, optional
        Number of processes; by default the number of CPUs that this process may use. Other engines ignore it.
    scheduler : str, optional
        Address of the Dask scheduler, such as "tcp://10.0.0.1:8786".
    folder : path-like, optional
        Folder for the logs and results of Slurm jobs; all nodes must see it.
    slurm : mapping, optional
        Parameters of ``submitit.AutoExecutor``, such as ``{"slurm_partition": "gpu", "timeout_min": 600}``, and
        ``cluster``: "local" runs the jobs on this machine without Slurm.

    Yields
    ------
    concurrent.futures.Executor
        Functions, arguments and results must be picklable. Its attribute `jobs` is the number of tasks that run at
        once, or None where only the cluster knows it.

    Raises
    ------
    InputError
        If the name is unknown, a package is missing, no scheduler answers, or a parameter is wrong.

    Examples
    --------
    >>> with open_engine(jobs=1) as engine:
    ...     list(engine.map(abs, [-1, 2]))
    [1, 2]
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs is {jobs}; at least 1 process is needed")
    if name == "processes":
        executor: Executor = Processes(jobs or count_cpus())
    elif name == "dask":
        executor = _open_dask(scheduler)
    elif name == "slurm":
        executor = SlurmJobs(Path(folder), slurm or {})
    else:
        raise unknown_name("engine", name, ENGINES)
    try:
        yield executor
    finally:
        if name == "dask":
            executor.shutdown(wait=False)
            executor.client.close()  # type: ignore[attr-defined]
        else:
            executor.shutdown(cancel_futures=True)


def count_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_gpus() -> list[str]:
    """Return each usable GPU of this machine, as CUDA_VISIBLE_DEVICES names it."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [part for part in named.split(",") if part]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listed = subprocess.run([program, "--list-gpus"], capture_output=True, text=True, check=False).stdout
    return [str(i) for i in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


class Processes(Executor):
    """Processes of this machine, each in a pool of one, so that one that dies does not break the others.

    Parameters
    ----------
    jobs : int
        Number of processes; each is started by the first task for which no other is free.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        gpus = find_gpus()
        self._environments = iter(
            {"OMP_NUM_THREADS": "1"} | ({"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if gpus else {})
            for i in itertools.count()
        )
        self._mine = threading.local()
        self._pools: list[ProcessPoolExecutor] = []
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(jobs, "engine", self._begin_thread)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function in one of the processes."""
        return self._threads.submit(self._run, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more tasks, and with `wait` end the processes when their tasks are done."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            for pool in self._pools:
                pool.shutdown()

    def _begin_thread(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a process inherits it from the thread
        with self._lock:
            self._mine.environment = next(self._environments)
        self._begin_pool()

    def _begin_pool(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy PyTorch's locks as its threads hold them
        pool = ProcessPoolExecutor(1, context, _begin_process, (self._mine.environment,))
        self._mine.pool = pool
        self._pools.append(pool)

    def _run(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        try:
            return self._mine.pool.submit(fn, *args, **kwargs).result()
        except BrokenProcessPool:
            self._begin_pool()
            raise


def _begin_process(environment: Mapping[str, str]) -> None:
    """Prepare a process before it imports anything heavy; Ctrl-C is left to its parent."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _open_dask(scheduler: str | None) -> Any:
    if scheduler is None:
        raise InputError("engine='dask' needs scheduler=, the address that `dask scheduler` shows: tcp://HOST:8786")
    try:
        from distributed import Client
        from distributed.comm import get_address_host_port
    except ImportError:
        raise _missing("dask", "distributed") from None
    try:
        get_address_host_port(scheduler)
        client = Client(scheduler, timeout=SCHEDULER_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"scheduler={scheduler!r}: no Dask scheduler answers ({error}); start one with `dask scheduler`, and "
            "give the address that it shows"
        ) from error
    executor = client.get_executor(pure=False)
    executor.client, executor.jobs = client, sum(client.nthreads().values()) or None
    return executor


class SlurmJobs(Executor):
    """One Slurm job for each task, by submitit.

    Parameters
    ----------
    folder : Path
        Folder for logs and results of the jobs.
    parameters : mapping
        As for `open_engine`.
    """

    jobs = None

    def __init__(self, folder: Path, parameters: Mapping[str, object]) -> None:
        try:
            import submitit
        except ImportError:
            raise _missing("slurm", "submitit") from None
        rest = {"timeout_min": SLURM_MINUTES, "cpus_per_task": 1, **parameters}
        cluster = str(rest.pop("cluster", "slurm"))
        try:
            self._executor = submitit.AutoExecutor(folder, cluster=cluster)
            self._executor.update_parameters(**rest)
        except (AssertionError, NameError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"engine='slurm': {error}; run it where sbatch is, and see submitit's parameters"
            ) from error
        self._waiting: dict[Future[Any], Any] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a job that calls a function."""
        if self._closed.is_set():
            raise RuntimeError("cannot submit after shutdown")
        future: Future[Any] = Future()
        with self._lock:
            self._waiting[future] = self._executor.submit(Requeued(fn), *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more tasks, and with `wait` return when all jobs have ended; cancelled jobs are withdrawn."""
        self._closed.set()
        if cancel_futures:
            for future in list(self._waiting):
                future.cancel()
        if wait:
            self._thread.join()

    def _watch(self) -> None:
        while self._waiting or not self._closed.is_set():
            with self._lock:
                ended = [(future, job) for future, job in self._waiting.items() if _has_ended(future, job)]
            for future, job in ended:
                _settle(future, job)
                with self._lock:
                    del self._waiting[future]
            time.sleep(SLURM_POLL_SECONDS)


class Requeued:
    """A function that Slurm runs again when its job was preempted or reached its time limit."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)

    def checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Return what submitit submits again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *args, **kwargs)


def _has_ended(future: Future[Any], job: Any) -> bool:
    try:
        return future.cancelled() or bool(job.done())
    except Exception:
        return True  # its result says what is wrong


def _settle(future: Future[Any], job: Any) -> None:
    if not future.set_running_or_notify_cancel():
        with suppress(subprocess.CalledProcessError):
            job.cancel()
        return
    try:
        future.set_result(job.result())
    except Exception as error:
        future.set_exception(error)


def _missing(extra: str, package: str) -> InputError:
    return InputError(
        f"engine={extra!r}: the package {package} is missing; install it with pip install 'slingshot-analysis[{extra}]'"
    )
