"""Each example: it is short, begins with the command that runs it, and does what it says."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from slingshot_analysis import open_trace

FOLDER = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py"))
MOST_LINES = 70


@pytest.fixture
def run(tmp_path):
    def run(name, *arguments):
        environment = os.environ | {"PYTHONPATH": str(FOLDER.parent)}
        command = [sys.executable, str(FOLDER / name), *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_is_short_and_begins_with_its_command(name):
    lines = (FOLDER / name).read_text().splitlines()
    assert len(lines) <= MOST_LINES
    assert any(re.search(rf"`?python examples/{name}\b", line) for line in lines[:18])


def test_csv_detectors(run):
    text = run("csv_detectors.py")
    assert "slingshot at 9,000, confidence 1.00" in text
    assert "accuracy jump at 9,050: 0.50 to 0.90" in text


def test_a_spike_is_diagnosed(run):
    text = run("diagnose_a_loss_spike.py")
    assert "loss spike at 2,000" in text
    assert "likely: a sudden rise of the learning rate" in text


def test_a_warning_is_acted_on(run, tmp_path):
    text = run("act_on_a_warning.py", "stop")
    at = int(re.search(r"stop at (\d+), warned since \d+", text)[1])
    assert open_trace(tmp_path / "warned.h5").steps[1] in (at, at + 1)


@pytest.mark.slow
def test_a_warning_saves_or_lowers(run, tmp_path):
    assert "save at" in run("act_on_a_warning.py", "save")
    assert (tmp_path / "warned.pt").exists()
    assert "lower at" in run("act_on_a_warning.py")


@pytest.mark.slow
def test_a_sweep(run, tmp_path):
    assert "grokking only: 0, neither: 6" in run("sweep_contingency.py", "100")
    assert (tmp_path / "runs" / "epsilon" / "contingency.png").exists()


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_a_jax_loop(run, tmp_path):
    assert "verdict none" in run("jax_loop.py")
    assert open_trace(tmp_path / "jax_run.h5").finished


@pytest.mark.slow
def test_a_loop_is_branched_where_a_warning_came(run, tmp_path):
    text = run("branch_own_loop.py")
    start = int(re.search(r"branches begin at (\d+)", text)[1])
    losses = dict(re.findall(r"^(\S+): largest loss (\S+), at \d+$", text, re.MULTILINE))
    assert list(losses) == ["control", "null", "eps=1e-4"]
    assert float(losses["eps=1e-4"]) < 1e-3 * float(losses["control"])
    for arm in losses:
        trace = open_trace(tmp_path / f"{arm}.h5")
        assert trace.attributes["arm"] == arm
        assert trace.steps[0] == start
