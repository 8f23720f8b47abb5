"""``slingshot sweep``: real processes, really killed and really interrupted."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from cli.main import main
from cli.sweep import _running
from slingshot_analysis import InputError, open_trace
from trainers.overrides import override_all
from trainers.recorded_run import record
from trainers.setups import find_setup
from trainers.sweep import RunState, Status, plan_runs, read_manifest

RUN = [sys.executable, "-m", "cli.main"]
FIELDS = ["data.train=64", "data.val=64", "model.width=8"]
SMALL = ["--setup", "parity_3_50", *(part for field in FIELDS for part in ("--set", field))]
PARITY = ["--setup", "parity_3_50"]
PATIENCE = 120

needs_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")


def sweep(folder, *more):
    return ["sweep", *SMALL, "--out", str(folder), *more]


def start(arguments, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*RUN, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def steps_of(folder):
    """Return how far the traces reach that can be read."""
    found = []
    for path in folder.glob("*.h5"):
        try:
            span = open_trace(path).steps
        except InputError:
            continue
        found.append(span[1] if span else 0)
    return found


def wait_for(condition, process):
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit
        time.sleep(0.02)


def contents(folder):
    names = "batch_loss", "total_norm", "val_accuracy"
    return {path.name: {name: open_trace(path)[name].value for name in names} for path in folder.glob("*.h5")}


@needs_kill
@pytest.mark.parametrize(
    ("batch", "moments"),
    [
        pytest.param("1", [lambda folder: any(step >= 60 for step in steps_of(folder))], marks=pytest.mark.slow),
        pytest.param("1", [lambda folder: folder.exists()], marks=pytest.mark.slow),
        pytest.param("1", [lambda f, n=n: sum(steps_of(f)) >= n for n in range(0, 600, 150)], marks=pytest.mark.slow),
        pytest.param("32", [lambda f, n=n: sum(steps_of(f)) >= n for n in range(0, 600, 150)], marks=pytest.mark.slow),
    ],
)
def test_a_sweep_killed_at_any_moment_ends_with_the_same_traces(batch, moments, tmp_path):
    runs = plan_runs(override_all(find_setup("parity_3_50"), [*FIELDS, "steps=300"]), seeds=range(2))
    for run in runs:
        record(run, tmp_path / "whole", probes="light")
    folder = tmp_path / "sweep"
    options = ["--seeds", "0-1", "--steps", "300", "--jobs", "1", "--checkpoint-every", "50", "--batch", batch]
    for moment in moments:
        process = start(sweep(folder, *options))
        try:
            wait_for(lambda moment=moment: moment(folder), process)
        finally:
            process.kill()
            process.communicate()
    process = start(sweep(folder, *options))
    said, problems = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said.strip()) == (0, f"{folder}: 2 runs: 2 finished"), problems
    assert list(read_manifest(folder)["state"]) == ["finished"] * 2
    assert not [path for path in folder.iterdir() if path.suffix in (".tmp", ".checkpoint")]
    expected, found = contents(tmp_path / "whole"), contents(folder)
    if batch == "1":
        np.testing.assert_equal(found, expected)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert all(found[name][quantity].shape == value.shape for quantity, value in values.items())


@needs_kill
def test_a_terminal_shows_a_table_and_ctrl_c_stops_cleanly(tmp_path):
    folder = tmp_path / "sweep"
    command = [*RUN, *sweep(folder, "--seeds", "0-2", "--steps", "100000", "--jobs", "1", "--batch", "1")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "160"}
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(command, stderr=theirs, env=environment, start_new_session=True)
    os.close(theirs)
    shown, interrupted = "", False
    try:
        while part := os.read(terminal, 65536):
            shown += part.decode()
            if "1 running" in shown and not interrupted:
                for _ in range(3):  # as impatient people do
                    os.killpg(process.pid, signal.SIGINT)
                    time.sleep(0.2)
                interrupted = True
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(terminal)
        status = process.wait(PATIENCE)
    assert status == 130
    assert "updates/s" in shown
    assert "The same command continues the sweep" in shown
    assert "Traceback" not in shown
    assert sorted(read_manifest(folder)["state"]) == ["pending", "pending", "stopped"]
    trace = open_trace(next(folder.glob("*.h5")))
    assert not trace.finished
    assert trace["batch_loss"].step.tolist() == list(range(len(trace["batch_loss"])))


def test_failed_runs_are_listed_and_give_a_status(tmp_path, monkeypatch):
    monkeypatch.setattr("trainers.sweep.run.open_engine", lambda *_, **__: nullcontext(ThreadPoolExecutor(1)))
    done = CliRunner().invoke(main, sweep(tmp_path, "--grid", "batch_size=32,1000", "--steps", "5"))
    assert done.exit_code == 1, done.output
    assert {"1 failed", "1 finished"} == set(done.stdout.strip().partition("2 runs: ")[2].split(", "))
    assert "batch_size=1000" in done.stderr
    assert "only 64 training samples" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "--seeds", "0"], "--setup is missing"),
        (["sweep", "--setup", "parity_3_5"], "did you mean 'parity_3_50'"),
        (
            ["sweep", "--setup", "parity_3_50", "--grid", "optimizer.epsilon=1"],
            "--grid optimizer.epsilon=1: unknown key",
        ),
        (["sweep", "--setup", "parity_3_50", "--draw", "optimizer.lr"], "--draw optimizer.lr: write it as KEY=VALUE"),
        (["sweep", "--setup", "parity_3_50", "--draws", "4"], "--draws needs a --draw"),
        (["sweep", *PARITY, "--grid", "batch_size=1,2", "--grid", "batch_size=3"], "write --grid batch_size=A,B"),
        (["sweep", *PARITY, "--draw", "steps=choice(1)", "--draw", "steps=choice(2)"], "--draw steps is given twice"),
        (["sweep", *PARITY, "--grid", "steps=1,2", "--steps", "3"], "--steps: steps is given by --grid too"),
        (["sweep", *PARITY, "--set", "seed=1", "--seeds", "0-1"], "--set: seed is given by --seeds too"),
        (["sweep", *PARITY, "--draw", "optimizer.lr=uniform(0,1)", "--set", "optimizer.lr=1"], "by --draw too"),
        (["sweep", *PARITY, "--grid", "data.folder=a", "--data-dir", "b"], "reads no files"),
        (["sweep", *PARITY, "--draw", "batch_size=uniform(16,64)"], "--draw batch_size="),
        (["sweep", *PARITY, "--probes", "norms:abc"], "a number of updates must follow the colon"),
        (["sweep", *PARITY, "--device", "meta"], "--device meta: allowed are auto, cpu"),
        (["sweep", "--setup", "parity_3_50", "--set", "optimizer=sgd"], "--set optimizer=sgd: the kind of optimizer"),
        (["sweep", "--setup", "parity_3_50", "--engine", "dask"], "needs --scheduler"),
        (["sweep", "--setup", "parity_3_50", "--data-dir", "x"], "reads no files"),
        (["sweep", "--config", "none.toml"], "none.toml: can't be read"),
    ],
)
def test_a_command_that_cannot_be_understood_is_explained(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("[grid]\nbatch_size = [1, 2]", ["--set", "batch_size=3"], "--set: batch_size is given by --config FILE: grid"),
        ("[grid]\nsteps = [1, 2]", ["--steps", "3"], "--steps: steps is given by --config FILE: grid"),
        ("steps = 3\n[draw]\nsteps = 'choice(1)'", [], "--config FILE: steps: steps is given by --config FILE: draw"),
        ("seeds = [1]\n[set]\nseed = 3", [], "--config FILE: set: seed is given by --config FILE: seeds"),
        ("seeds = 'a'", [], "--config FILE: seeds a: 'a' is neither"),
        ("[set]\nsteps = 'a'", [], "--config FILE: set steps=a: not a valid int"),
        ("[grid]\nbatch_size = ['a']", [], "--config FILE: grid batch_size=a: not a valid int"),
        ("[draw]\nbatch_size = 'choice(a)'", [], "--config FILE: draw batch_size=a: not a valid int"),
        ("[draw]\nbatch_size = 'chance(a)'", [], "--config FILE: draw batch_size=chance(a): unknown"),
        ("[[runs]]\nbatch_size = 'a'", [], "--config FILE: runs batch_size=a: not a valid int"),
        ("draws = 3", [], "--config FILE: draws needs a --draw"),
        ("draw_seed = 3", [], "--config FILE: draw_seed needs a --draw"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_name(text, more, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text(text)
    done = CliRunner().invoke(main, ["sweep", *PARITY, "--config", "FILE", *more])
    assert done.exit_code == 2
    assert f"Error: {message}" in done.stderr


def test_a_sweep_for_programs(tmp_path, monkeypatch):
    monkeypatch.setattr("trainers.sweep.run.open_engine", lambda *_, **__: nullcontext(ThreadPoolExecutor(1)))
    betas = "optimizer.betas=0.9,0.99;0.5,0.9"
    done = CliRunner().invoke(main, sweep(tmp_path, "--grid", betas, "--steps", "5", "--format", "json"))
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["optimizer.betas"] for row in rows] == [[0.9, 0.99], [0.5, 0.9]]
    assert {(row["state"], row["step"], row["steps"]) for row in rows} == {("finished", 5, 5)}
    assert all((tmp_path / row["file"]).exists() for row in rows)


def test_a_narrow_terminal_cuts_the_name_and_not_the_numbers():
    runs = {f"{'long' * 20}.h5": RunState({}, steps=1_000_000, state="running", step=123_456)}
    console = Console(width=50)
    with console.capture() as shown:
        console.print(*_running(Status(runs, 1.0, 1.0)))
    (_, line) = shown.get().splitlines()
    assert "…" in line
    assert line.split()[-2:] == ["123,456", "1,000,000"]


def test_the_command_line_comes_before_the_file(tmp_path, monkeypatch):
    asked = {}

    def remember(runs, out, **options):
        asked.update(options, runs=runs, out=out)
        raise KeyboardInterrupt

    monkeypatch.setattr("trainers.sweep.sweep", remember)
    file = tmp_path / "sweep.toml"
    file.write_text(
        'setup = "modular_division"\nsteps = 30\nseeds = [5]\ndraws = 3\n[set]\ndtype = "float64"\n'
        "[grid]\noptimizer.eps = [1e-8, 1e-7]\n[draw]\noptimizer.lr = 'uniform(0.1, 1)'\n"
    )
    options = ["--setup", "parity_3_50", "--seeds", "0-1", "--grid", "optimizer.eps=1e-6"]
    options += ["--engine", "slurm", "--slurm", "timeout_min=9"]
    done = CliRunner().invoke(main, ["sweep", "--config", str(file), *options, "--set", "loss_dtype=float32"])
    assert done.exit_code == 130
    CliRunner().invoke(main, ["sweep", "--config", str(file), "--set", "steps=7"])
    assert {run.steps for run in asked["runs"]} == {7}
    CliRunner().invoke(main, ["sweep", "--config", str(file), *options, "--set", "loss_dtype=float32"])
    runs = asked["runs"]
    assert [(run.name, run.seed, run.optimizer.eps) for run in runs] == [("parity_3_50", s, 1e-6) for s in (0, 1)] * 3
    assert {(run.steps, run.dtype, run.loss_dtype) for run in runs} == {(30, "float64", "float32")}
    assert len({run.optimizer.lr for run in runs}) == 3
    assert asked["slurm"] == {"timeout_min": 9}
