"""What all verbs share: help that opens with examples, completion, --quiet and --verbose, colours, interruptions."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner
from made_runs import write_staircase

from cli import _completion
from cli.main import VERBS, main
from slingshot_analysis import Options, open_trace
from trainers.setups import SETUPS

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def verb_of(name):
    return main.get_command(None, name)


@pytest.mark.parametrize("name", VERBS)
def test_help_opens_with_two_examples(name):
    verb = verb_of(name)
    assert len(verb.examples) >= 2
    text = CliRunner().invoke(main, [name, "--help"]).stdout
    usage, examples = text.split("\n\n")[:2]
    assert usage.startswith("Usage: ")
    assert examples.splitlines() == ["Examples:", *(f"  slingshot {example}" for example in verb.examples)]


@pytest.mark.parametrize("name", VERBS)
def test_the_examples_parse(name):
    verb = verb_of(name)
    for example, arguments in zip(verb.examples, verb.example_arguments(), strict=True):
        assert example.split()[0] == name
        verb.make_context(name, arguments)


def test_the_settings_of_the_detectors_are_listed_with_their_defaults():
    text = CliRunner().invoke(main, ["analyze", "--help"]).stdout
    for name, value in vars(Options()).items():
        assert f"{name}={value:g}" in text
    assert "Minimum rise of the loss at a slingshot." in text


def test_the_shell_completes_verbs_and_files():
    shell = BashComplete(main, {}, "slingshot", "_SLINGSHOT_COMPLETE")
    assert [item.value for item in shell.get_completions([], "w")] == ["watch"]
    for verb in ("analyze", "watch", "report", "export"):
        (item,) = shell.get_completions([verb], "runs/a")
        assert (item.type, item.value) == ("file", "runs/a")  # the shell then lists files


def test_the_documented_command_gives_the_completion_of_the_shell():
    code = "from cli.main import main; main(prog_name='slingshot')"
    environment = os.environ | {"_SLINGSHOT_COMPLETE": "bash_source"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "complete -o nosort" in done.stdout
    assert '"$(_SLINGSHOT_COMPLETE=bash_source slingshot)"' in PAGE.read_text()


def test_names_are_completed(tmp_path, monkeypatch):
    monkeypatch.setenv("SLINGSHOT_CACHE", str(tmp_path))
    assert _completion.complete_setups(None, None, "par") == [name for name in SETUPS if name.startswith("par")] != []
    assert _completion.complete_probes(None, None, "light,hess")[0].startswith("light,hessian")
    assert "stability" in _completion.complete_probes(None, None, "")
    assert "parity_epsilon" in _completion.complete_sweeps(None, None, "parity")
    assert _completion.complete_sweeps(None, None, "my")[0].type == "file"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words, status=0):
        done = CliRunner().invoke(main, list(map(str, words)), catch_exceptions=False)
        assert done.exit_code == status, done.output
        return done

    return run


def test_quiet_and_verbose(run, tmp_path):
    write_staircase(tmp_path / "a.h5", stride=100)
    (tmp_path / "a.labels.json").write_text(json.dumps({"format": "slingshot-labels", "version": 2, "runs": {}}))
    words = "analyze", "a.h5", "a.labels.json"
    assert "Note: left out" in run(*words).stderr
    assert run(*words, "--quiet").stderr == ""
    assert "analyzing: 2 of 2" in run(*words, "--verbose").stderr
    assert "Traceback" not in run("label", "missing.h5", status=2).stderr
    assert "Traceback" in run("label", "missing.h5", "--verbose", status=2).stderr


def test_a_program_gets_no_colours(run, tmp_path, monkeypatch):
    write_staircase(tmp_path / "a.h5", stride=100)
    command = [sys.executable, "-c", "from cli.main import main; main()", "analyze", "a.h5"]
    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "\x1b" not in plain.stdout + plain.stderr
    environment = os.environ | {"NO_COLOR": "1", "FORCE_COLOR": "1"}
    forced = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "\x1b[3" not in forced.stdout


def test_an_interrupted_run_says_what_is_kept(run, tmp_path, monkeypatch):
    def interrupt(self, step, recorder):
        self.recorder = recorder
        if step == 700:
            raise KeyboardInterrupt

    monkeypatch.setattr("cli.record.Progress.__call__", interrupt)
    words = "record", "--setup", "parity_3_50", "--out", "a.h5"
    error = run(*words, status=130).stderr
    last = open_trace(tmp_path / "a.h5").steps[1]
    assert last >= 699
    assert f"a.h5 keeps the rows up to step {last}; `slingshot analyze` reads it." in error
    monkeypatch.setattr("trainers.recorded_run.start", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    assert "Stopped before anything was recorded." in run(*words, "--overwrite", status=130).stderr


def test_an_interrupted_analysis_says_what_it_shows(run, tmp_path, monkeypatch):
    write_staircase(tmp_path / "a.h5", stride=100)

    def interrupt(results, total, what):
        yield next(iter(results))
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.analyze.track", interrupt)
    done = run("analyze", "a.h5", "b.h5", status=130)
    assert "stopped after 1 of 2 files" in done.stderr
    assert "verdict" in done.stdout
    monkeypatch.setattr("cli.export.track", interrupt)
    done = run("export", "a.h5", "--to", "csv", "-o", "tables", status=130)
    assert "stopped; 1 is written whole" in done.stderr
    assert (tmp_path / "tables" / "a.csv").exists()
