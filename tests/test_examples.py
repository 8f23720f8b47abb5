"""The recorded runs in examples/data: small, whole, and with the slingshots that docs/experiments.md tells of."""

import json
import subprocess
import sys
from pathlib import Path

import jupytext
import nbclient
import numpy as np
import pytest

from slingshot_analysis import analyze, evaluate, open_trace

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "data"
NOTEBOOK = FOLDER.parent / "analyze_a_run.ipynb"
TRANSITIONS = {
    "cifar10_deep_linear_200": (31, 616, 19_682),
    "cifar10_fcn6_200": (20, 630, 12_273),
    "hypercube": (6, 606, 22_863),
    "modular_division": (6, 1_548, 24_778),
}
"""Number of slingshots, first and last transition."""
RESTLESS = [30_545, 32_567, 35_142, 37_345]
"""Loss spikes with misclassified samples at the restless end of the last run, whose norm of 465 does not grow."""


def test_a_trace_is_thinned_to_the_quantities_named(tmp_path):
    source, target = FOLDER / "hypercube.h5", tmp_path / "thin.h5"
    command = [sys.executable, "examples/thin_trace.py", source, target, "--every", "40", "--only"]
    subprocess.run([*command, "last_layer_norm,batch_loss,val_accuracy"], check=True, cwd=FOLDER.parents[1])
    thin, whole = open_trace(target), open_trace(source)
    assert set(thin) == {"last_layer_norm", "batch_loss", "val_accuracy"}
    assert thin.config == whole.config
    assert set(thin["batch_loss"].step) < set(whole["batch_loss"].step)


def test_they_are_small():
    assert sorted(path.stem for path in FOLDER.glob("*.h5")) == sorted(TRANSITIONS)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2 * 2**20
    assert NOTEBOOK.stat().st_size < 300_000


@pytest.mark.parametrize("name", TRANSITIONS)
def test_they_tell_where_they_come_from(name):
    trace = open_trace(FOLDER / f"{name}.h5")
    assert trace.finished
    assert trace.attributes["setup"] == name
    assert trace.attributes["command"].startswith(f"slingshot record --setup {name}")
    assert trace.attributes["seed"] == trace.config["seed"] == 0
    assert json.loads(trace.attributes["libraries"])["torch"]
    assert "rows on either side" in trace.attributes["thinned"]
    assert len(np.unique(np.diff(trace["batch_loss"].step))) > 1


@pytest.mark.parametrize("name", TRANSITIONS)
def test_slingshots(name):
    count, first, last = TRANSITIONS[name]
    found = analyze(FOLDER / f"{name}.h5")
    transitions = [event.transition for event in found.slingshots if event.confidence >= 0.5]
    assert found.verdict == "slingshots"
    assert (len(transitions), transitions[0], transitions[-1]) == (count, first, last)
    without_growth = [event.transition for event in found.spikes_without_norm_growth if event.confidence >= 0.5]
    assert without_growth == (RESTLESS if name == "modular_division" else [])


def test_division_groks_at_a_slingshot():
    found = analyze(FOLDER / "modular_division.h5")
    assert found.grokking_step == 26_500
    jump = max(found.accuracy_jumps, key=lambda each: each.after - each.before)
    assert (jump.step, jump.after > 0.98) == (25_500, True)
    assert min(abs(jump.step - event.transition) for event in found.slingshots) == 25_500 - 24_778
    assert found.association.p_value < 0.05


def test_the_detector_against_misclassified_samples():
    traces = [open_trace(path) for path in sorted(FOLDER.glob("*.h5"))]
    score = evaluate(traces, "misclassification", margin=400).pooled
    assert score.hits == score.n_true  # spikes without norm growth count as found: misclassification knows no norm
    assert score.n_found - score.hits <= 2


@pytest.mark.slow
def test_the_loop_of_ones_own_runs(tmp_path):
    script = FOLDER.parent / "record_own_loop.py"
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(open_trace(tmp_path / "my_run.h5")["batch_loss"]) == 2000


def test_the_notebook_is_that_of_its_text():
    text, shown = (jupytext.read(NOTEBOOK.with_suffix(suffix)) for suffix in (".py", ".ipynb"))
    assert [(cell.cell_type, cell.source) for cell in shown.cells] == [(c.cell_type, c.source) for c in text.cells]


@pytest.mark.slow
def test_the_notebook_shows_what_a_kernel_gives():
    notebook = jupytext.read(NOTEBOOK)
    before = [first_lines(cell) for cell in notebook.cells]
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    executed = nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    assert [first_lines(cell) for cell in executed.cells] == before
    assert sum(map(len, before)) == 9


def first_lines(cell):
    """Return (kinds, first line) of each output of a cell."""
    found = []
    for output in cell.get("outputs", []):
        data = output.get("data", {"text/plain": output.get("text", "")})
        found.append((sorted(data), "".join(data["text/plain"]).splitlines()[0]))
    return found
