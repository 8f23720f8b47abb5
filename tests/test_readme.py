"""The Python of the README and of the documentation runs as it stands, and what a recorder writes is listed."""

import re
import subprocess
import sys

import pytest
from documented import DOCS, code


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("numpy", "none"),
        ("arrays", r"10000 100[56]0 0\.1"),
        ("loop", "none"),
        ("log", r"(?s)Log log\n.*train_loss.*\n1\n"),
    ],
)
def test_the_code_runs_and_prints_what_it_should(tmp_path, name, output):
    done = subprocess.run([sys.executable, "-c", code(name)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.match(output, done.stdout), done.stdout


def test_every_quantity_of_a_trace_is_listed(tmp_path):
    from slingshot_analysis import open_trace
    from trainers.overrides import override_all
    from trainers.recorded_run import record
    from trainers.setups import find_setup

    trace = open_trace(record(override_all(find_setup("parity_3_50"), ["steps=2"]), tmp_path))
    listed = set(re.findall(r"`(\w+)`", (DOCS / "recording.md").read_text(encoding="utf-8")))
    assert set(trace) <= listed
