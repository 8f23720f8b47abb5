"""The gallery of broken runs: whole, small, and read as the logs that they are."""

import json
from pathlib import Path

import numpy as np
import pytest

from slingshot_analysis import read_log
from slingshot_analysis.configuration import configuration

HERE = Path(__file__).parent
FOLDER = HERE / "gallery"
RUNS = json.loads((HERE / "gallery.json").read_text())["runs"]
BREAKAGES = {
    "epsilon too small",
    "beta2 too large",
    "no warm-up",
    "step size raised",
    "poisoned batch",
    "half precision in the loss",
    "moments lost at a resume",
    "exploding initialisation",
}
SIGNALS = {"train_loss", "gradient_norm", "update_norm", "last_layer_norm", "total_norm", "val_loss"}
COLUMNS = {"lr", "first_moment_norm", "second_moment_norm", "softmax_collapse", "zero_gradient_fraction"}


def runs_of(kind):
    return [run for run in RUNS if run["file"].rpartition("-s")[0] == kind]


def test_the_manifest_names_each_file_and_no_other():
    assert [run["file"] for run in RUNS] == sorted(path.name for path in FOLDER.iterdir())
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3 * 2**20


def test_there_are_three_seeds_of_each_breakage_and_of_healthy_runs_of_both_networks():
    kinds = {run["file"].rpartition("-s")[0]: run["broken"] for run in RUNS}
    assert {broken for broken in kinds.values() if broken} == BREAKAGES
    assert {"parity", "lm"} <= {kind.partition("-")[0] for kind, broken in kinds.items() if broken is None}
    assert all(len({run["seed"] for run in runs_of(kind)}) == len(runs_of(kind)) == 3 for kind in kinds)


@pytest.mark.parametrize("entry", RUNS, ids=lambda entry: entry["file"].partition(".")[0])
def test_a_run_is_read_with_its_signals_and_its_configuration(entry):
    (run,) = read_log(FOLDER / entry["file"])
    assert set(run.names) >= SIGNALS
    assert {column.column for column in run.columns} >= COLUMNS
    known = configuration(run)
    assert known["seed"] == entry["seed"]
    assert {"optimizer.lr", "optimizer.beta2", "optimizer.eps", "loss_dtype"} <= set(known)
    text = json.dumps(known)
    assert not any(broken in text for broken in BREAKAGES)
    loss = run["train_loss"]
    assert entry["at"] is None or 0 <= entry["at"] < loss.step[-1] + 1
    assert len(loss) >= 800
    assert np.isfinite(loss.value[0])


def test_a_restart_repeats_steps_in_one_seed():
    repeats = {}
    for entry in runs_of("lm-moments"):
        (run,) = read_log(FOLDER / entry["file"])
        repeats[entry["seed"]] = "repeats" in next(c.remark for c in run.columns if c.signal == "train_loss")
    assert repeats == {0: False, 1: False, 2: True}
