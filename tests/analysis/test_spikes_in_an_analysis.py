"""What an analysis says about loss spikes: verdict, what is not finite, remarks, text and table."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from slingshot_analysis import analyze, read_log, runs_table
from slingshot_analysis.report.figure import draw
from slingshot_analysis.report.text import print_analyses
from slingshot_analysis.signal import Signal
from tests.outside import outside

ROW = np.arange(2000)


def noise(deviation, seed=0):
    return np.random.default_rng(seed).normal(0, deviation, len(ROW))


def printed(*analyses):
    console = Console(file=io.StringIO(), width=150)
    print_analyses(analyses, console)
    return console.file.getvalue()


LOSSES = {
    "none": 2 + noise(0.02),
    "spikes": 2 + noise(0.02) + np.where(ROW >= 900, np.exp(-np.maximum(ROW - 900, 0) / 20), 0),
    "diverged": np.where(ROW >= 900, np.nan, 2 + noise(0.02)),
}


@pytest.mark.parametrize("verdict", LOSSES)
def test_verdicts(verdict):
    assert analyze({"train_loss": (ROW, LOSSES[verdict])}).verdict == verdict


def test_a_slow_rise_for_good_is_a_divergence_without_a_spike():
    found = analyze(
        {"train_loss": (ROW, 3 + 7 * np.exp(-ROW / 100) + 4 / (1 + np.exp((900 - ROW) / 50)) + noise(0.03))}
    )
    assert (found.verdict, found.loss_spikes) == ("diverged", ())


def test_a_loss_of_0_where_the_gradient_norm_is_nan_is_not_finite():
    late = ROW >= 1200
    run = {
        "train_loss": (ROW, np.where(late, 0.0, LOSSES["none"])),
        "gradient_norm": (ROW, np.where(late, np.nan, 1.0)),
    }
    found = analyze(run)
    assert found.verdict == "diverged"
    assert [(spike.start, spike.outcome) for spike in found.loss_spikes] == [(1200, "not finite")]
    assert [(part.signal, part.start, part.end) for part in found.not_finite] == [
        ("train_loss", 1200, None),
        ("gradient_norm", 1200, None),
    ]
    assert any("losses of exactly 0 are not finite" in note for note in found.notes)
    assert json.loads(found.to_json())["loss_spikes"][0]["height"] is None


def test_a_gradient_norm_that_spikes_alone_is_a_remark():
    norm = np.exp(noise(0.2))
    norm[[500, 1300]] = 9.0
    found = analyze({"train_loss": (ROW, LOSSES["none"]), "gradient_norm": (ROW, norm)})
    assert (found.verdict, found.loss_spikes) == ("none", ())
    assert [spike.start for spike in found.gradient_spikes] == [500, 1300]
    assert any("gradient norm spikes 2 times" in note for note in found.notes)


def test_two_levels_are_a_remark():
    found = analyze({"train_loss": (ROW, 0.1 + 0.4 * (ROW // 70 % 3 == 1) + noise(0.02))})
    assert found.loss_spikes == ()
    assert any("two levels" in note for note in found.notes)


@pytest.mark.parametrize(("end", "verdict"), [(0.5, "none"), (np.nan, "diverged")], ids=["upper level", "not finite"])
def test_two_levels_that_end_at_the_upper_one_have_not_diverged(end, verdict):
    loss = 0.1 + 0.4 * (ROW // 70 % 3 == 1) + noise(0.02)
    loss[-200:] = end + noise(0.02)[-200:]
    assert analyze({"train_loss": (ROW, loss)}).verdict == verdict


def test_a_running_mean_is_a_remark_that_comes_first():
    batch = (1 + np.exp(-ROW / 700) + noise(0.4)).reshape(-1, 100)
    mean = (np.cumsum(batch, axis=1) / np.arange(1, 101)).ravel()
    found = analyze({"train_loss": (ROW, mean)})
    assert (found.verdict, found.loss_spikes) == ("none", ())
    assert "begins afresh every 100 rows" in json.loads(found.to_json())["notes"][0]
    assert "begins afresh every 100 rows" in printed(found)


def test_a_pretraining_log_is_told_with_steps_sizes_and_recovery(tmp_path):
    (run,) = read_log(outside("strangers/llm_pretraining_spikes.csv"))
    found = analyze(run)
    assert (found.verdict, found.slingshots) == ("spikes", ())
    assert [spike.start for spike in found.loss_spikes] == [15_000, 27_000, 41_000]
    assert [spike.outcome for spike in found.loss_spikes] == ["recovered"] * 3
    text = printed(found)
    assert all(step in text for step in ("15,000", "27,000", "41,000"))
    assert text.count("recovered") == 4
    keys = set(json.loads(found.to_json())["loss_spikes"][0])
    assert {"start", "peak", "end", "height", "deviations", "recovery_steps", "residual", "outcome"} <= keys
    row = runs_table([found]).iloc[0]
    assert (row["loss_spikes"], row["spike_score"]) == (3, found.spike_score)
    assert draw(found, run, tmp_path / "spikes.png").stat().st_size > 10_000


def test_single_values_that_are_not_finite_are_told_and_are_no_events():
    found = analyze(read_log(outside("strangers/nan_inf.jsonl"))[0])
    assert found.verdict == "slingshots"
    assert [(part.start, part.end, part.values) for part in found.not_finite] == [(1500, 1530, 1), (4500, 4560, 2)]
    assert [event.transition for event in found.certain] == [3000, 6000]
    assert [spike.start for spike in found.loss_spikes] == [3000, 6000]
    assert "not finite: train_loss from 1,500 up to 1,530 (1 value)" in printed(found)


def test_a_picture_marks_every_outcome(tmp_path):
    loss = np.where(ROW >= 1500, np.nan, LOSSES["spikes"])
    run = {"train_loss": Signal(ROW, loss), "gradient_norm": Signal(ROW, np.exp(noise(0.2)))}
    assert draw(analyze(run), run, tmp_path / "run.png").is_file()
