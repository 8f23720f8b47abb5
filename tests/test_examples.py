"""The recorded runs in examples/data: small, whole, and with the slingshots that docs/experiments.md tells of."""

import ast
import json
import subprocess
import sys
from pathlib import Path

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


def test_the_loop_of_ones_own_runs(tmp_path):
    script = FOLDER.parent / "record_own_loop.py"
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(open_trace(tmp_path / "my_run.h5")["batch_loss"]) == 2000


def code_cells():
    return [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_shows_what_its_cells_give(monkeypatch, capsys):
    monkeypatch.chdir(NOTEBOOK.parent)
    names = {}
    for cell in code_cells():
        *statements, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(statements, []), NOTEBOOK.name, "exec"), names)
        (output,) = cell["outputs"]
        if output["output_type"] == "stream":
            exec(compile(ast.Module([last], []), NOTEBOOK.name, "exec"), names)
            assert "".join(output["text"]).splitlines()[0] == capsys.readouterr().out.splitlines()[0]
        else:
            shown = eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)
            assert "".join(output["data"]["text/plain"]).splitlines()[0] == repr(shown).splitlines()[0]
            assert {"text/html", "image/png"} & set(output["data"])


@pytest.mark.slow
def test_the_notebook_runs_in_a_kernel(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    executed = nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    kinds = [{*output.get("data", {})} for cell in executed.cells for output in cell.get("outputs", [])]
    assert sum("text/html" in kind for kind in kinds) == 7
    assert sum("image/png" in kind for kind in kinds) == 1
