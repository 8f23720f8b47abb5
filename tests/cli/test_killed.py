"""A run that is killed leaves a file that analyze reads: real processes, really killed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from cli.main import main
from slingshot_analysis import InputError, open_trace

RUN = [sys.executable, "-m", "cli.main"]
PATIENCE = 60


def rows_of(path):
    try:
        trace = open_trace(path)
        return len(trace["batch_loss"])
    except InputError:
        return 0


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("wait", [0.3, *(pytest.param(wait, marks=pytest.mark.slow) for wait in (0.0, 1.1))])
def test_a_killed_run_is_analyzed_up_to_its_last_flushed_block(tmp_path, wait):
    path = tmp_path / "run.h5"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*RUN, "record", "--setup", "parity_3_50", "--out", str(path)], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        limit = time.monotonic() + PATIENCE
        while not rows_of(path):
            assert time.monotonic() < limit, "the run has not written a row"
            time.sleep(0.02)
        time.sleep(wait)
        seen = rows_of(path)
        process.kill()
    finally:
        process.wait()
    trace = open_trace(path)
    assert not trace.finished
    assert trace["batch_loss"].step.tolist() == list(range(len(trace["batch_loss"])))
    done = CliRunner().invoke(main, ["analyze", str(path), "--format", "json"])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["runs"][0]["steps"][1] >= seen - 1


def test_a_run_killed_before_its_first_row_is_a_clear_error(tmp_path):
    path = tmp_path / "run.h5"
    code = (
        "import os, signal, torch; from slingshot_analysis import Recorder\n"
        "model = torch.nn.Linear(2, 2); optimizer = torch.optim.Adam(model.parameters())\n"
        f"Recorder({str(path)!r}, model, optimizer)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    done = CliRunner().invoke(main, ["analyze", str(path)])
    assert done.exit_code == 2
    assert str(path) in done.stderr
    assert "holds no rows" in done.stderr
