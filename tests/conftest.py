"""Fixtures for tests of several folders."""

import json
import os
import subprocess
import sys
import time

import pytest

PATIENCE = 60


@pytest.fixture(autouse=True)
def same_random_weights():
    """Seed PyTorch where a test uses it: an unlucky initialization, such as dead units, must not decide a test."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def dask_cluster(tmp_path):
    """A scheduler and two workers: processes of their own that talk over TCP. Gives its address and the workers."""
    pytest.importorskip("distributed", reason="distributed is not installed")
    file, dask = tmp_path / "scheduler.json", [sys.executable, "-m", "dask"]
    place = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    started = []

    def start(*command):
        with (tmp_path / f"dask{len(started)}.log").open("w") as log:
            started.append(
                subprocess.Popen([*dask, *command, *place], cwd=tmp_path, env=environment, stdout=log, stderr=log)
            )

    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    start("scheduler", "--port", "0")
    try:
        limit = time.monotonic() + PATIENCE
        while not (file.exists() and file.read_text()):
            assert time.monotonic() < limit, (tmp_path / "dask0.log").read_text()
            time.sleep(0.05)
        for _ in range(2):
            start("worker", "--nthreads", "1", "--no-nanny")
        yield json.loads(file.read_text())["address"], started[1:]
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()
