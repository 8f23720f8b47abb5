"""The library speaks of arguments, and the command line of options."""

import ast
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli._messages import ARGUMENT
from cli.main import VERBS, main

PROJECT = Path(__file__).parents[2]
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
OPTIONS_OF_OTHERS = {
    "slingshot_analysis/engines.py": {"--list-gpus"},
    "slingshot_analysis/recording/provenance.py": {"--always", "--dirty", "--abbrev", "--exclude"},
    "slingshot_analysis/trace/_file.py": {"--upgrade"},
}
"""Options of nvidia-smi, git and pip."""
ONLY_IN_PYTHON = {
    "axes", "checks", "clamped_layer", "deviations", "feature_layers", "indices", "label_smoothing", "largest_norm",
    "last_layer", "loss_function", "mirrors", "name", "on_warning", "output", "probe_inputs", "reduction", "rows",
    "scaler", "shift_labels", "size", "train_data", "train_loss", "val_data", "weight", "window",
}  # fmt: skip
"""Arguments that messages name, and for which the command line has no option."""


def strings(folder):
    """Return (file, text) of every string of a package that is no docstring."""
    for path in sorted((PROJECT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
                yield path.relative_to(PROJECT).as_posix(), node.value


@pytest.fixture(scope="module")
def library():
    return [pair for folder in ("slingshot_analysis", "trainers") for pair in strings(folder)]


def options_of(verb):
    command = main.get_command(click.Context(main), verb)
    return {option.name: option.opts[0] for option in command.params if isinstance(option, click.Option)}


def test_no_message_of_the_library_names_an_option(library):
    named = {(file, option) for file, text in library for option in OPTION.findall(text)}
    assert named == {(file, option) for file, options in OPTIONS_OF_OTHERS.items() for option in options}


def test_every_argument_that_a_message_names_is_an_option_of_some_verb_or_known_to_be_none(library):
    options = {name for verb in VERBS for name in options_of(verb)}
    named = {found[1] for _, text in library for found in ARGUMENT.finditer(text)}
    assert named - options <= ONLY_IN_PYTHON
    assert not ONLY_IN_PYTHON & options


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["record", "--setup", "quadratic", "--out", "run.h5"], "run.h5: exists; replace it with --overwrite"),
        (["record", "--setup", "quadratic", "--device", "gpu"], "--device gpu: allowed are auto, cpu"),
        (
            ["record", "--setup", "quadratic", "--overwrite", "--resume"],
            "--resume continues the run and --overwrite",
        ),
        (["record", "--setup", "quadratic", "--out", "run.h5", "--resume"], "choose another --out"),
        (["record", "--setup", "quadratic", "--set", "optimizer=sgd"], "--set optimizer=sgd: the kind of optimizer is"),
        (["record", "--setup", "quadratic", "--set", "optimizer=sgd"], "chosen with --optimizer sgd"),
        (["sweep", "--setup", "quadratic", "--set", "optimizer=sgd"], "the key optimizer of --grid"),
        (["sweep", "--setup", "quadratic", "--engine", "dask"], "--engine dask needs --scheduler, the address"),
        (["analyze", "log.csv", "--engine", "dask"], "--engine dask needs --scheduler, the address"),
        (["analyze", "notes.bin"], "its format is not known; name it with --input-format, one of"),
        (["inspect", "run.h5", "--map", "step=x"], "leave out --map"),
        (["evaluate", "log.csv"], "or give another --truth"),
    ],
)
def test_errors_name_the_options_of_the_verb(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.bin").write_bytes(bytes(range(256)))
    (tmp_path / "log.csv").write_text("iter,Loss/train\n" + "".join(f"{k},{9 - k}\n" for k in range(9)))
    assert (
        CliRunner().invoke(main, ["record", "--setup", "quadratic", "--steps", "2", "--out", "run.h5"]).exit_code == 0
    )
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not ARGUMENT.search(done.stderr.replace("optimizer='sgd'", "").replace("grid=", ""))


def test_remarks_on_a_log_name_options_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text("Loss/train,mystery\n" + "".join(f"{9 - k},7\n" for k in range(9)))
    for verb in ("inspect", "analyze"):
        assert "name the column of steps with --map" in CliRunner().invoke(main, [verb, "log.csv"]).stdout
    assert "not used; --map makes it a signal" in CliRunner().invoke(main, ["inspect", "log.csv"]).stdout
