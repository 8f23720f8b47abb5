"""Files that are damaged, or made to do harm: one line or a right result, in little time, from every verb."""

import re
import warnings

import hostile_files
import numpy as np
import pytest
from click.testing import CliRunner
from hostile_files import ESCAPES, HOSTILE
from made_runs import write_staircase
from outside import outside

from cli.main import main
from slingshot_analysis import InputError
from slingshot_analysis.readers import read_log

RAW = re.compile(r"\((Attribute|Index|Key|Name|Type|Unicode\w*|ZeroDivision|Assertion)Error: ")
"""The text of an exception that no reader expected."""

NO_LABELS = "runs has known events"
"""What `evaluate` says of a run that it read."""

VERBS = ("analyze", "inspect", "label", "evaluate")

HANDED_OVER = {
    "attr_none.h5": "left out: every_1/gradient_norm",
    "h5_head_111.h5": "configuration left out",
    "h5_zero4k_148.h5": "is damaged",
    "h5_zero4k_4.h5": "val_accuracy.*are blank",
    "huge.npy": "declares 8,000,000,000,000 bytes",
    "loss_big.csv": "",
    "runs.csv": "",
    "step_e308.csv": "",
    "sur.jsonl": "",
    "trace_a1.h5": "configuration left out: .*nested too deep",
    "trace_a11.h5": "left out: axes/",
    "trace_a13.h5": r"left out: ext \(a link to elsewhere\)",
    "trace_a8.h5": "attributes that can't be read were left out: 'setup'",
    "tracetb.h5": "declares 1,000,000,000,000 numbers",
}
"""What is said of each file, if it is damaged."""


def run_verb(verb, path):
    """Return exit status and output of a verb, which writes no escape, no warning and no traceback."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = CliRunner().invoke(main, [verb, str(path)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    assert "\x1b" not in done.output
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize("name", HANDED_OVER)
def test_each_file_that_was_handed_over(name):
    path = outside(f"hostile/{name}")
    for verb in VERBS:
        status, output = run_verb(verb, path)
        assert status in (0, 2)
        if verb in ("analyze", "inspect"):
            assert re.search(HANDED_OVER[name], output), output
    if not HANDED_OVER[name]:
        assert run_verb("analyze", path)[0] == 0


def check_each_verb(path):
    for verb in VERBS:
        status, output = run_verb(verb, path)
        assert status in (0, 2)
        assert RAW.search(output) is None, output
        if status == 2:
            assert path.name in output or NO_LABELS in output
            assert "Error:" in output


@pytest.mark.parametrize("name", HOSTILE)
def test_each_kind_gives_a_result_or_one_line(tmp_path, monkeypatch, name):
    monkeypatch.setenv("SLINGSHOT_MOST_MEGABYTES", "64")
    check_each_verb(HOSTILE[name](tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_each_kind_at_full_size(tmp_path, monkeypatch, name):
    monkeypatch.setattr(hostile_files, "SCALE", 20)
    check_each_verb(HOSTILE[name](tmp_path))


@pytest.mark.parametrize("name", ["external storage", "external storage without end", "virtual dataset", "links"])
def test_nothing_is_read_from_outside_the_file(tmp_path, name):
    (run,) = read_log(HOSTILE[name](tmp_path))
    assert run.names == ("train_loss",)
    assert any("val_accuracy (" in note for note in run.notes)


def test_names_are_printable(tmp_path):
    (run,) = read_log(HOSTILE["names in json"](tmp_path))
    names = [column.column for column in run.columns]
    assert len(names) == len(set(names)) == 11
    assert all(name.isprintable() and len(name) <= 200 for name in names)
    assert f"train_loss{ESCAPES}".encode("unicode_escape").decode() in names


def test_the_limit_can_be_raised_and_is_named(tmp_path, monkeypatch):
    path = HOSTILE["long cell"](tmp_path)
    monkeypatch.setenv("SLINGSHOT_MOST_MEGABYTES", "1")
    with pytest.raises(InputError, match=r"holds 5 MB, more than the 1 MB that are read; .*SLINGSHOT_MOST_MEGABYTES"):
        read_log(path)
    monkeypatch.setenv("SLINGSHOT_MOST_MEGABYTES", "6")
    assert len(read_log(path)) == 1
    monkeypatch.setenv("SLINGSHOT_MOST_MEGABYTES", "x")
    with pytest.raises(InputError, match="SLINGSHOT_MOST_MEGABYTES=x: give a positive number"):
        read_log(path)


@pytest.mark.parametrize("damage", ["zeros", "bits"])
def test_a_trace_that_is_damaged_anywhere_is_read_or_refused(tmp_path, damage):
    whole = write_staircase(tmp_path / "whole.h5").read_bytes()
    random = np.random.default_rng(0)
    for number in range(12):
        data = bytearray(whole)
        if damage == "zeros":
            page = int(random.integers(len(data) // 4096)) * 4096
            data[page : page + 4096] = bytes(4096)
        else:
            for place in random.integers(0, len(data), 20):
                data[place] ^= 1 << int(random.integers(8))
        path = tmp_path / f"{number}.h5"
        path.write_bytes(data)
        status, output = run_verb("analyze", path)
        assert status == 0 or re.search(rf"Error: {path}: .+", output)
