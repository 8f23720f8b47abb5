"""What the commands load before they work, the names that they offer, and what they keep."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cli import _cache, _choices
from cli.main import main
from trainers.losses import LOSSES
from trainers.optimizers import OPTIMIZERS
from trainers.setup import AUTOCAST, DTYPES


def loaded_by(*arguments):
    """Return the top-level packages that a command has loaded at its end."""
    code = (
        "import sys\nfrom cli.main import main\n"
        f"try:\n    main({list(arguments)!r})\nexcept SystemExit:\n    pass\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("verb", ["record", "sweep"])
def test_help_loads_nothing_large(verb):
    assert not loaded_by(verb, "--help") & {"torch", "pandas", "scipy", "numpy", "h5py", "rich"}


def test_a_small_table_is_analyzed_without_pandas(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,train_loss,weight_norm\n" + "".join(f"{k},{2 / (1 + k)},{10 + k}\n" for k in range(200)))
    assert not loaded_by("analyze", str(path)) & {"torch", "pandas", "scipy", "matplotlib"}


def test_options_offer_what_the_trainers_know():
    assert tuple(DTYPES) == _choices.DTYPES
    assert tuple(AUTOCAST) == _choices.AUTOCAST
    assert tuple(LOSSES) == _choices.LOSSES
    assert tuple(OPTIMIZERS) == _choices.OPTIMIZERS


def test_what_was_found_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("SLINGSHOT_CACHE", str(tmp_path / "cache"))
    asked = []

    def find():
        asked.append(len(asked))
        return [{"number": len(asked)}]

    assert _cache.kept("x", ("cli",), find) == _cache.kept("x", ("cli",), find) == [{"number": 1}]
    assert _cache.kept("x", ("cli",), find, anew=True) == [{"number": 2}]
    assert _cache.kept("x", ("cli", "trainers"), find) == [{"number": 3}]
    for file in (tmp_path / "cache").iterdir():
        file.write_text("damaged")
    assert _cache.kept("x", ("cli",), find) == [{"number": 4}]


def test_a_cache_that_cannot_be_written_hinders_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SLINGSHOT_CACHE", str(tmp_path / "file" / "cache"))
    assert _cache.kept("x", ("cli",), lambda: 1) == 1


def test_probes_are_the_same_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SLINGSHOT_CACHE", str(tmp_path))
    first, second = (CliRunner().invoke(main, ["probes", "--format", "json"]).output for _ in range(2))
    assert first == second
    assert {"name", "quantities", "every", "bundles", "cost", "source"} <= set(json.loads(first)[0])
