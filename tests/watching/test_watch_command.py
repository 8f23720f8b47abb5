import json
import os
import signal
from io import StringIO
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from made_runs import write_staircase
from rich.console import Console

from cli.main import main
from slingshot_analysis import read_log
from slingshot_analysis.watching import CommandRunner, Event, Watcher, runs_view


@pytest.fixture
def between_looks(monkeypatch, without_pauses):
    """Give a function that arranges what happens in place of the pause after each look."""

    def arrange(*actions):
        waiting = iter(actions)
        monkeypatch.setattr("cli.watch.time", SimpleNamespace(sleep=lambda seconds: next(waiting)()))

    return arrange


def run(*words, status=0):
    done = CliRunner().invoke(main, ["watch", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done


def test_a_finished_run_gives_its_final_state_at_once(tmp_path):
    done = run(write_staircase(tmp_path / "staircase.h5", attributes={"config": {"steps": 10_000}}))
    assert "staircase  9,990 of 10,000 steps · finished" in done.stdout
    assert "1 slingshot so far, at 6,000" in done.stdout


def test_once_for_programs(growing_log):
    path, grow = growing_log
    grow(8_000)
    (found,) = json.loads(run(path, "--once", "--format", "json", "--steps", 10_000).stdout)
    assert (found["run"], found["step"], found["steps"], found["ended"]) == ("run", 7_990, 10_000, "")
    assert found["slingshots"] == [6_000]


def test_a_missing_file(tmp_path):
    assert "missing.h5: no such file" in run(tmp_path / "missing.h5", status=2).stderr


def test_a_command_of_the_users_gets_each_event(growing_log, tmp_path, between_looks):
    path, grow = growing_log
    grow(5_900)
    path = path.rename(tmp_path / "$(touch hacked); touch hacked #.csv")
    between_looks(lambda: grow(7_000, path), lambda: os.utime(path, (0, 0)))
    log = tmp_path / "events"
    command = f'echo "$SLINGSHOT_EVENT $SLINGSHOT_STEP $SLINGSHOT_RUN" >> {log}'
    printed = run(path, "--format", "json", "--on-event", command).stdout
    lines = log.read_text().splitlines()
    assert lines[0] == "transition 6000 $(touch hacked); touch hacked #"
    assert lines[-1].startswith("ended 6990")
    assert len(lines) == printed.count('"kind"')
    assert not (tmp_path / "hacked").exists()


def test_a_command_that_fails_is_told_of():
    command = CommandRunner("exit 3")
    command.add(Event("ended", "a", "a.csv", 1, 1, "over"))
    assert command.finish() == 3


def test_ctrl_c_stops_the_watch_alone(growing_log, between_looks):
    path, grow = growing_log
    grow(5_000)
    between_looks(lambda: signal.raise_signal(signal.SIGINT))
    error = run(path, "--web", status=130).stderr
    assert error.startswith("page: http://127.0.0.1:")
    assert error.endswith("\nStopped watching; the runs go on.\n")


@pytest.mark.usefixtures("without_pauses")
def test_many_runs_fit_the_terminal(tmp_path):
    for number in range(6):
        write_staircase(tmp_path / f"[bold]{number:02}.h5", stride=100)
    watcher = Watcher(tmp_path, read_log)
    watcher.look()
    console = Console(width=80, height=15, file=StringIO())
    console.print(runs_view(watcher.states, 15))
    text = console.file.getvalue()
    assert len(text.splitlines()) <= 15
    assert "[bold]00" in text
    assert "and 2 more runs" in text
