"""Engines: real processes, a real Dask cluster over TCP, and submitit's local jobs."""

import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor
from pathlib import Path

import pytest

from slingshot_analysis import InputError
from slingshot_analysis.engines import Processes, find_gpus, open_engine

PATIENCE = 60


def kill_myself():
    os.kill(os.getpid(), signal.SIGKILL)


def environment_after(seconds):
    time.sleep(seconds)
    return os.environ["OMP_NUM_THREADS"], os.environ.get("CUDA_VISIBLE_DEVICES")


def fail():
    raise ValueError("three is not a prime of four")


def come_back(file):
    """Wait for ever at the first call; the second returns."""
    if file.exists():
        return "again"
    file.with_suffix(".tmp").write_text(str(os.getpid()))
    file.with_suffix(".tmp").rename(file)
    time.sleep(1000)


def wait_for(condition):
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_worker_that_dies_takes_only_its_own_task_with_it():
    with open_engine(jobs=1) as engine:
        assert isinstance(engine, Executor)
        assert engine.jobs == 1
        before, death, after = engine.submit(pow, 2, 3), engine.submit(kill_myself), engine.submit(pow, 2, 4)
        assert (before.result(), after.result()) == (8, 16)
        assert isinstance(death.exception(), BrokenExecutor)


def test_each_process_has_one_thread_and_one_gpu_in_turn(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with open_engine(jobs=2) as engine:
        found = {task.result() for task in [engine.submit(environment_after, 0.5) for _ in range(2)]}
    assert found == {("1", "3"), ("1", "5")}


def test_an_error_comes_back_with_its_message():
    with open_engine(jobs=1) as engine, pytest.raises(ValueError, match="prime of four"):
        engine.submit(fail).result()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_the_processes_end_when_their_parent_is_killed():
    code = (
        "import os, time\n"
        "from slingshot_analysis.engines import open_engine\n"
        "if __name__ == '__main__':\n"
        "    with open_engine(jobs=1) as engine:\n"
        "        print(engine.submit(os.getpid).result(), flush=True)\n"
        "        engine.submit(time.sleep, 1000).result()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        child = int(parent.stdout.readline())
        os.kill(child, 0)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    wait_for(lambda: has_ended(child))


def has_ended(pid):
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return not done.stdout.strip() or done.stdout.startswith("Z")


def test_gpus_are_counted_without_torch(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho '  MIG 1g'\necho 'GPU 1: A (UUID: y)'\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert find_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert find_gpus() == []
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert find_gpus() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "dusk"}, "unknown engine 'dusk'; did you mean 'dask'"),
        ({"jobs": 0}, "at least 1 process"),
        ({"name": "dask"}, "needs scheduler="),
        ({"name": "dask", "scheduler": "nonsense"}, "scheduler='nonsense': .* give the address that it shows"),
        ({"name": "slurm", "slurm": {"cluster": "local", "no_such": 1}}, "no_such"),
        ({"name": "slurm", "slurm": {"cluster": "local", "mem_gb": "x"}}, "engine='slurm': "),
    ],
)
def test_what_cannot_be_opened_is_explained(arguments, message, tmp_path):
    if arguments.get("name") == "slurm":
        pytest.importorskip("submitit", reason="submitit is not installed")
    with pytest.raises(InputError, match=message), open_engine(folder=tmp_path, **arguments):
        pass


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("dask", "distributed", "dask"), ("slurm", "submitit", "slurm")]
)
def test_a_missing_package_is_named_with_its_command(name, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with (
        pytest.raises(InputError, match=rf"pip install 'slingshot-analysis\[{extra}\]'"),
        open_engine(name, scheduler="tcp://127.0.0.1:1"),
    ):
        pass


def test_dask_runs_tasks_on_its_workers(dask_cluster):
    address, workers = dask_cluster
    with open_engine("dask", scheduler=address) as engine:
        assert isinstance(engine, Executor)
        assert engine.submit(os.getpid).result(PATIENCE) in {worker.pid for worker in workers}
        with pytest.raises(ZeroDivisionError):
            engine.submit(divmod, 1, 0).result(PATIENCE)


def test_a_scheduler_that_does_not_answer_is_an_error(monkeypatch):
    pytest.importorskip("distributed", reason="distributed is not installed")
    monkeypatch.setattr("slingshot_analysis.engines.SCHEDULER_SECONDS", 0.3)
    with pytest.raises(InputError, match="no Dask scheduler answers"), open_engine("dask", scheduler="tcp://[::1]:1"):
        pass


def test_slurm_jobs_give_results_and_errors(tmp_path):
    pytest.importorskip("submitit", reason="submitit is not installed")
    with open_engine("slurm", folder=tmp_path, slurm={"cluster": "local"}) as engine:
        good, bad = engine.submit(pow, 2, 5), engine.submit(divmod, 1, 0)
        assert good.result(PATIENCE) == 32
        assert "ZeroDivisionError" in str(bad.exception(PATIENCE))


def test_a_slurm_job_that_was_preempted_runs_again(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="submitit is not installed")
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    with open_engine("slurm", folder=tmp_path, slurm={"cluster": "local"}) as engine:
        task = engine.submit(come_back, tmp_path / "began")
        wait_for((tmp_path / "began").exists)
        os.kill(int((tmp_path / "began").read_text()), signal.SIGUSR2)
        assert task.result(PATIENCE) == "again"


@pytest.mark.filterwarnings(  # submitit does not wait for the process that it interrupts
    "ignore:Exception ignored in. <function Popen.__del__:pytest.PytestUnraisableExceptionWarning"
)
def test_slurm_jobs_that_nobody_waits_for_are_taken_back(tmp_path):
    pytest.importorskip("submitit", reason="submitit is not installed")
    start = time.monotonic()
    with open_engine("slurm", folder=tmp_path, slurm={"cluster": "local"}) as engine:
        task = engine.submit(time.sleep, 1000)
    assert task.cancelled()
    assert time.monotonic() - start < PATIENCE


def test_engines_load_no_torch():
    code = "import sys, slingshot_analysis.engines; print('torch' in sys.modules, 'distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["False"] * 2


def test_processes_are_the_default():
    with open_engine() as engine:
        assert isinstance(engine, Processes)
        assert engine.jobs >= 1
