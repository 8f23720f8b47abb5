"""docs/claims.md says what the results of the claims say, and its figures can be drawn without training."""

import importlib.util
import json
from pathlib import Path

import pytest

from slingshot_analysis import analyze, open_trace
from slingshot_analysis.report.paper import PaperRun, draw_figure
from trainers.claims import CLAIMS

PROJECT = Path(__file__).parents[1]
TRACES = PROJECT / "examples" / "claims"
RESULTS = {path.stem.removesuffix("-small"): path for path in (PROJECT / "docs" / "claims").glob("*-small.json")}


@pytest.fixture(scope="module")
def writer():
    spec = importlib.util.spec_from_file_location("claims_page", PROJECT / "benchmarks" / "claims_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_results(writer):
    assert writer.PAGE.read_text(encoding="utf-8") == writer.page()


def test_every_claim_has_a_row_and_its_verdict(writer):
    table = writer.PAGE.read_text(encoding="utf-8").partition(writer.BEGIN)[2].partition(writer.END)[0]
    rows = [line.split(" | ") for line in table.strip().splitlines()[2:]]
    assert [row[0].split("**")[1] for row in rows] == list(CLAIMS)
    for name, row in zip(CLAIMS, rows, strict=True):
        verdict = json.loads(RESULTS[name].read_text())["verdict"] if name in RESULTS else "not decided"
        assert row[2] == f"**{verdict}**"


def test_results_belong_to_claims_and_rest_on_runs():
    assert set(RESULTS) <= set(CLAIMS)
    for path in RESULTS.values():
        result = json.loads(path.read_text())
        assert result["runs"] > 0
        assert result["versions"]["torch"]
        assert path.with_name(f"{result['claim']}.png").exists()


def test_the_thinned_traces_are_small():
    assert sum(path.stat().st_size for path in TRACES.rglob("*.h5")) < 20_000_000


@pytest.mark.parametrize("name", RESULTS)
def test_a_figure_is_drawn_again_without_training(name):
    """Two of the traces are enough for a test."""
    claim = CLAIMS[name]
    files = [file for sweep in claim.sweeps["small"] for file in sorted((TRACES / sweep).glob("*.h5"))]
    assert files
    runs = [PaperRun(open_trace(file), analyze(file)) for file in files[:2]]
    figure = draw_figure(claim.draws, runs)
    assert any(axes.lines or axes.patches or axes.images for axes in figure.axes)
