"""Logs that others wrote, against labels: which verdict, and which spikes must be found."""

import json

import numpy as np
import pandas as pd
import pytest
from outside import outside

from slingshot_analysis.detectors import grokking_step
from slingshot_analysis.slingshots import assemble

COLUMNS = {"train_loss": "train_loss", "train_acc": "train_accuracy", "wn_hidden": "norm", "weight_norm": "norm"}


def signals(name):
    """Return the signals of a log as (step, value) pairs."""
    path = outside(f"logs/{name}")
    if path.suffix == ".jsonl":
        table = pd.DataFrame([row for row in map(json.loads, path.read_text().splitlines()) if "step" in row])
    elif path.suffix == ".json":
        history = json.loads(path.read_text())["history"]
        names = ["train_loss", "train_acc", "weight_norm"]
        table = pd.DataFrame({"step": history["eval_epochs"]} | {name: history[name] for name in names})
    else:
        table = pd.read_csv(path)
    found = {name: (table["step"], table[column]) for column, name in COLUMNS.items() if column in table}
    if found["train_accuracy"][1].max() > 1:
        found["train_accuracy"] = (table["step"], table["train_acc"] / 100)
    return found


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("PeterPonyu__muon-norm-cap-grokking/mech__adamw_sc1.0_wd0.0_s0.jsonl", "slingshots"),
        ("PeterPonyu__muon-norm-cap-grokking/s5_mech__adamw_sc1.0_wd0.01_s0.jsonl", "slingshots"),
        ("maozy-leo__Reproducing-Grokking-phenomena/Adam_No_WD__alpha_0.6_seed_0.csv", "slingshots"),
        ("PeterPonyu__muon-norm-cap-grokking/mech__sgdm_sc1.0_wd0.0_s0.jsonl", "none"),
        ("porth-bot__grokking-transformer/p97_frac0.30_wd0_seed0.csv", "spikes"),
        ("atgugu__grokking_experiments/p113_wd1.0_s42_lr0.01.metrics.json", "diverged"),
    ],
)
def test_verdict_and_spikes(name, verdict):
    result = assemble(**signals(name))
    assert result.verdict == verdict
    found = [event for event in result.slingshots if event.confidence >= 0.5]
    if verdict != "slingshots":
        assert found == []
        return
    label = json.loads(outside("logs/LABELS.json").read_text())[name]
    assert len(found) == len(label["must_find_spikes"])
    for event, spike in zip(found, label["must_find_spikes"], strict=True):
        assert abs(event.transition - spike["step"]) <= spike["tol"]
        if label["norm_archetype"] == "staircase_up":
            assert (event.tier, event.shape) == ("full", "staircase")


def test_accuracies_alone():
    path = outside("logs/LeoDreamer2004__Modular-Addition/accuracy-adam-0.5-2.txt")
    step, train, validation = np.loadtxt(path).T
    result = assemble(train_accuracy=(step, train))
    assert result.verdict == "undecided"
    assert grokking_step(step, validation, result.terminal_phase_start) == pytest.approx(2693, abs=50)
