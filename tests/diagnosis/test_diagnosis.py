"""Diagnoses of the gallery, of healthy runs, and of evidence made by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from slingshot_analysis import analyze, read_log
from slingshot_analysis.analysis._causes import other_signals
from slingshot_analysis.canonical import Samples
from slingshot_analysis.diagnosis import Cause, Evidence, Sign, diagnose
from slingshot_analysis.diagnosis.causes import learning_rate_step, low_precision, no_warmup
from slingshot_analysis.events import LossSpike, NotFinite

HERE = Path(__file__).parent
RUNS = json.loads((HERE / "gallery.json").read_text())["runs"]
NAMES = {
    "epsilon too small": "vanishing gradients",
    "beta2 too large": "second-moment lag",
    "no warm-up": "no warm-up",
    "step size raised": "learning-rate step",
    "poisoned batch": "bad batch",
    "half precision in the loss": "low precision",
    "moments lost at a resume": "lost moments",
    "exploding initialisation": "initialisation",
}
NOTHING_TO_SEE = {"lm-no-warmup-s0.jsonl.gz", "lm-no-warmup-s1.jsonl.gz"}
"""Broken runs whose loss neither spikes nor starts too high: the log can't tell."""
STEP = np.arange(1000.0)


def spike(start=500, peak=501, end=520, outcome="recovered"):
    return LossSpike(start, peak, end, 2.0, 2.0, 20.0, end - start, 0.0, outcome)


def evidence(**given):
    loss = given.pop("loss", np.full(1000, 2.5))
    return Evidence(loss=Samples(STEP, loss), **({"signals": {}, "spikes": [spike()], "span": (0.0, 999.0)} | given))


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run["file"].partition(".")[0])
def test_the_broken_thing_is_among_the_first_two_candidates_and_no_other_is_decided(run):
    found = analyze(HERE / "gallery" / run["file"]).diagnosis
    named = [cause.name for cause in found.causes]
    if run["broken"] is None or run["file"] in NOTHING_TO_SEE:
        assert not named
        assert not found.decided
        return
    right = NAMES[run["broken"]]
    assert right in named[:2]
    assert not found.decided or named[0] == right


def test_nothing_is_decided_where_nothing_speaks_for_a_cause():
    found = diagnose(evidence(loss=np.full(1000, 2.5), spikes=[spike(end=700)]))
    assert (found.decided, found.causes) == (False, ())
    assert {"learning rate", "update norm"} <= {check.signal for check in found.unchecked}


def test_a_cause_is_decided_only_ahead_of_the_next():
    rate = Samples(STEP, np.where(STEP < 498, 1e-3, 4e-3))
    ratio = Samples(STEP, np.where((STEP > 480) & (STEP < 500), 2.0, 0.5))
    alone = diagnose(evidence(signals={"lr": rate}))
    assert (alone.decided, alone.causes[0].name) == (True, "learning-rate step")
    both = diagnose(evidence(signals={"lr": rate, "preconditioned_ratio": ratio}, spikes=[spike(outcome="diverged")]))
    assert [cause.name for cause in both.causes] == ["learning-rate step", "large step"]
    assert not both.decided


@pytest.mark.parametrize("rise", [300, 505, 900])
def test_only_a_rise_of_the_learning_rate_at_the_spike_counts(rise):
    rate = Samples(STEP, np.where(rise > STEP, 1e-3, 4e-3))
    cause = learning_rate_step.judge(evidence(signals={"learning_rate": rate}))
    assert (cause.grade == "likely") == (rise == 505)


def test_a_warm_up_is_no_step():
    rate = Samples(STEP, np.minimum(STEP / 600, 1) * 1e-3)
    assert learning_rate_step.judge(evidence(signals={"lr": rate})).score < 0
    early = no_warmup.judge(evidence(signals={"lr": rate}, spikes=[spike(30, 31, 50)]))
    assert early.grade == "unlikely"
    assert "warmed up" in early.speaks_against[0]


@pytest.mark.parametrize(("bits", "name"), [(8, "bfloat16"), (11, "float16")])
def test_a_loss_in_half_precision_is_seen_by_its_values(bits, name):
    loss = np.random.default_rng(0).normal(2.7, 0.2, 1000)
    spacing = 2.0 ** (np.floor(np.log2(loss)) - bits + 1)
    rounded = np.array([float(f"{value:.5g}") for value in np.round(loss / spacing) * spacing])
    assert low_precision.coarse_grid(rounded) == name
    assert low_precision.coarse_grid(np.round(loss, 3)) is None
    assert low_precision.coarse_grid(loss) is None


def test_a_loss_that_becomes_nan_at_once_speaks_for_low_precision_and_one_that_rises_before_does_not():
    values = np.random.default_rng(0).normal(2.5, 0.05, 1000)
    lost = [NotFinite("train_loss", 700, None, 300)]
    sudden = np.where(STEP < 700, values, np.nan)
    rising = np.where(STEP < 700, values + np.maximum(STEP - 600, 0) / 20, np.nan)
    scores = [low_precision.judge(evidence(loss=loss, spikes=[], not_finite=lost)).score for loss in (sudden, rising)]
    assert scores[0] >= 2 > scores[1]


def test_grades_follow_the_sum_of_the_signs():
    def grade(*weights):
        return Cause("one", "one cause", tuple(Sign(str(weight), weight) for weight in weights)).grade

    assert [grade(5.0), grade(5.0, -2.0), grade(2.0, -1.0), grade()] == ["likely", "possible", "unlikely", "unlikely"]
    cause = Cause("one", "one cause", (Sign("weak", 1.0), Sign("strong", 3.0), Sign("no", -0.5)))
    assert (cause.speaks_for, cause.speaks_against) == (("strong", "weak"), ("no",))


def test_the_diagnosis_stands_in_the_json_with_its_sources():
    found = analyze(HERE / "gallery" / "lm-step-s0.jsonl.gz").to_dict()["diagnosis"]
    assert found["decided"]
    assert found["causes"][0]["name"] == "learning-rate step"
    assert all(remedy["source"].startswith("arXiv:") for remedy in found["causes"][0]["remedies"])


def test_every_column_counts_but_the_loss_itself_and_counters(tmp_path):
    path = tmp_path / "run.csv"
    names = "step,loss,perplexity,step_size,effective_step,beta,epoch,tokens,elapsed_time,eta,global_step,odd"
    path.write_text("\n".join([names, *(f"{k},2.5,9,1e-3,0.1,0.99,{k},{k},{k},{k},{k},{k % 7}" for k in range(50))]))
    (run,) = read_log(path)
    assert set(other_signals(run, {})) == {"step_size", "effective_step", "beta", "odd"}
    assert run.others["odd"].value[:8].tolist() == [0, 1, 2, 3, 4, 5, 6, 0]
    assert Evidence(None, {"step_size": Samples(STEP, STEP)}).names("learning rate") == ["step_size"]


def test_a_restart_of_the_log_where_the_loss_rises_speaks_for_lost_moments(tmp_path):
    path = tmp_path / "run.csv"
    random = np.random.default_rng(0)
    steps = [*range(600), *range(560, 1000)]
    loss = 2.5 + random.normal(0, 0.01, len(steps))
    loss[600:640] += np.linspace(1.0, 0.0, 40)
    path.write_text("\n".join(["step,loss", *(f"{k},{value}" for k, value in zip(steps, loss, strict=True))]))
    (run,) = read_log(path)
    assert run.restarts == (560,)
    (cause,) = analyze(run).diagnosis.causes
    assert (cause.name, cause.speaks_for) == ("lost moments", ("the log goes back to 560, where the loss rises",))
