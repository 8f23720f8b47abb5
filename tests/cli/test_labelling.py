"""``slingshot label`` and ``slingshot evaluate``, from a folder with logs of several runs in it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import main

STEP = np.arange(0, 20_000, 20)


def loss(at):
    return np.exp(-STEP / 400) + 1e-9 + np.where(at <= STEP, np.exp((at - STEP) / 200), 0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, at in [("run", 9000), ("a/metrics", 9000), ("b/metrics", 12_000)]:
        path = tmp_path / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("step,train_loss\n" + "".join(f"{s},{v}\n" for s, v in zip(STEP, loss(at), strict=True)))
    three = [f"{s},{v},{run}\n" for run, at in [("x", 9000), ("y", 12_000), ("z", 15_000)]
             for s, v in zip(STEP, loss(at), strict=True)]  # fmt: skip
    (tmp_path / "three.csv").write_text("step,train_loss,run\n" + "".join(three))
    (tmp_path / "bad.csv").write_text("")
    (tmp_path / "one.csv").write_text("step,train_loss\n5,1.0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def slingshot(*words, status=0):
    done = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done


def scores(*words, status=0):
    done = slingshot("evaluate", *words, "--format", "json", status=status)
    return {row.pop("run"): row for row in json.loads(done.stdout)}


def test_a_label_is_taken_back(folder):
    slingshot("label", "run.csv", "--add", "15000", "--remove", "9000")
    assert "added [], removed [9000]" in slingshot("label", "run.csv", "--forget", "15000").stdout
    assert "label some" in slingshot("evaluate", "three.csv", status=2).stderr
    slingshot("label", "run.csv", "--forget", "9000")
    assert json.loads((folder / "run.csv.labels.json").read_text())["runs"] == {}
    assert "label some" in slingshot("evaluate", "run.csv", status=2).stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--add", "999999999"], "run.csv: step 999999999 lies outside the run; give one from 0 to 19980"),
        (["--add=-5"], "step -5 lies outside"),
        (["--remove", "20000"], "step 20000 lies outside"),
        (["--add", "500", "--remove", "500"], "step 500: is to be added, removed or forgotten; give it once"),
        (["--forget", "500"], "step 500: has no label to forget; labelled are none"),
    ],
)
def test_labels_that_can_not_be(folder, words, message):
    assert message in slingshot("label", "run.csv", *words, status=2).stderr
    assert not (folder / "run.csv.labels.json").exists()


def test_runs_of_the_same_name_are_all_scored(folder):
    for file in ("a/metrics.csv", "b/metrics.csv"):
        slingshot("label", file, "--remove", "9000")
    found = scores("a/metrics.csv", "b/metrics.csv")
    assert [(name, row["true"], row["found"]) for name, row in found.items()] == [
        ("a/metrics.csv: metrics", 0, 1),
        ("b/metrics.csv: metrics", 1, 1),
        ("all", 1, 2),
    ]


def test_of_a_file_only_the_labelled_runs_are_scored(folder):
    slingshot("label", "three.csv", "--run", "three, run y", "--add", "12000")
    assert list(scores("three.csv")) == ["three, run y", "all"]


def test_a_bad_file_is_reported_and_the_others_are_scored(folder):
    (folder / "truth.json").write_text('{"run": [9000], "bad": [1], "one": [5], "rum": [7]}')
    done = slingshot("evaluate", "bad.csv", "run.csv", "one.csv", "--truth", "truth.json", "--format", "json", status=2)
    assert [row["run"] for row in json.loads(done.stdout)] == ["run", "all"]
    errors = done.stderr.splitlines()
    assert len(errors) == 4
    assert "bad.csv" in errors[0]
    assert "unknown run 'bad'" in errors[1]
    assert "unknown run 'rum'; did you mean 'run'" in errors[2]
    assert "one.csv: all rows stand at step 5" in errors[3]


def test_a_truth_by_name_needs_one_run_of_that_name(folder):
    (folder / "truth.json").write_text('{"metrics": [9000]}')
    words = ["evaluate", "a/metrics.csv", "b/metrics.csv", "--truth", "truth.json"]
    assert "several runs are named 'metrics' (a/metrics.csv, b/metrics.csv)" in slingshot(*words, status=2).stderr


def test_a_row_of_scores_is_one_line_in_a_pipe(folder):
    name = "a_long_name_of_a_run_with_all_that_was_set_in_it=0.001,wd=1"
    (folder / "run.csv").rename(folder / f"{name}.csv")
    slingshot("label", f"{name}.csv", "--add", "9000")
    shown = slingshot("evaluate", f"{name}.csv").stdout.splitlines()
    assert len(shown) == 3
    assert shown[1].startswith(name)


def test_labels_as_json(folder):
    done = slingshot("label", "run.csv", "--add", "9000", "--remove", "12000", "--format", "json")
    none = {"added_spikes": [], "removed_spikes": [], "added_climbs": [], "removed_climbs": []}
    assert json.loads(done.stdout) == [{"run": "run", "added": [9000], "removed": [12_000], **none}]
    assert json.loads(slingshot("label", "three.csv", "--format", "json").stdout)[0]["added"] == []


def test_labels_beside_a_run_are_left_out_of_its_evaluation(folder):
    slingshot("label", "run.csv", "--add", "9000")
    done = slingshot("evaluate", "run.csv", "run.csv.labels.json")
    assert "holds the labels of a run" in done.stderr


def lasting(at, outcome):
    """Return a loss of 2.5 with noise that rises at a step and stays, or returns."""
    noise = np.random.default_rng(0).normal(0, 0.02, len(STEP))
    height = 1.5 if outcome == "diverged" else 1.5 * np.exp(-np.maximum(STEP - at, 0) / 200)
    return 2.5 + noise + np.where(at <= STEP, height, 0)


@pytest.fixture
def spiky(folder):
    accuracy = np.where(STEP <= 6000, 0.2, 0.8)
    rows = zip(STEP, lasting(9000, "recovered"), accuracy, strict=True)
    text = "step,train_loss,val_acc\n" + "".join(f"{s},{loss},{a}\n" for s, loss, a in rows)
    (folder / "spiky.csv").write_text(text)
    return folder


def analysis(*words):
    return json.loads(slingshot("analyze", *words, "--format", "json").stdout)["runs"][0]


def test_loss_spikes_and_climbs_are_corrected_by_hand(spiky):
    found = analysis("spiky.csv")
    assert [(one["start"], one["outcome"]) for one in found["loss_spikes"]] == [(9000, "recovered")]
    assert [one["onset"] for one in found["accuracy_climbs"]] == [6000]
    done = slingshot("label", "spiky.csv", "--add-spike", "9060=lingering", "--add-spike=15000=not-finite",
                     "--remove-climb", "6040", "--add-climb", "12000")  # fmt: skip
    assert done.stdout.splitlines()[-1] == (
        "spiky: added [], removed []; loss spikes added [9060 (lingering), 15000 (not finite)], removed []; "
        "climbs added [12000], removed [6040]"
    )
    found = analysis("spiky.csv")
    assert [(one["start"], one["outcome"]) for one in found["loss_spikes"]] == [
        (9000, "lingering"),
        (15_000, "not finite"),
    ]
    assert [(one["onset"], one["before"], one["after"]) for one in found["accuracy_climbs"]] == [(12_000, 0.8, 0.8)]
    assert "labels by hand of loss spikes: added [9060, 15000], removed []" in found["notes"]


def test_a_removed_spike_changes_the_verdict_and_the_label_is_taken_back(spiky):
    assert analysis("spiky.csv")["verdict"] == "spikes"
    slingshot("label", "spiky.csv", "--remove-spike", "9000")
    found = analysis("spiky.csv")
    assert (found["verdict"], found["loss_spikes"], found["diagnosis"]["causes"]) == ("none", [], [])
    slingshot("label", "spiky.csv", "--forget", "9000")
    assert analysis("spiky.csv")["verdict"] == "spikes"


def test_an_added_spike_is_measured_in_the_loss(spiky):
    (detected,) = analysis("spiky.csv")["loss_spikes"]
    slingshot("label", "spiky.csv", "--add-spike", "4000")
    added, other = analysis("spiky.csv")["loss_spikes"]
    assert other == detected
    assert (added["start"], added["outcome"]) == (4000, "recovered")
    assert added["height"] < 0.1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--add-spike", "500=lost"], "--add-spike 500=lost: unknown outcome 'lost'"),
        (["--add-spike", "soon"], "--add-spike soon: give STEP or STEP=OUTCOME, such as 700=lingering"),
        (["--add-spike", "50000"], "step 50000 lies outside the run"),
        (["--add-spike", "500", "--add-spike", "500=diverged"], "loss spike 500: is given twice"),
        (["--add-spike", "500", "--remove-spike", "500"], "loss spike 500: is to be added, removed or forgotten"),
        (["--remove-climb", "500", "--forget", "500"], "step 500: has no label to forget; labelled are none"),
        (["--add-climb", "500"], "run.csv: run 'run' has no validation accuracy, so that no climb can be added"),
    ],
)
def test_labels_of_spikes_and_climbs_that_can_not_be(folder, words, message):
    assert message in slingshot("label", "run.csv", *words, status=2).stderr
    assert not (folder / "run.csv.labels.json").exists()


def test_each_kind_of_event_is_scored_where_some_are_labelled(spiky):
    slingshot("label", "spiky.csv", "--add-spike", "9000=lingering", "--add-spike", "4000")
    slingshot("label", "run.csv", "--add", "9000")
    done = slingshot("evaluate", "spiky.csv", "run.csv", "--format", "json")
    rows = {(row["run"], row["events"]): row for row in json.loads(done.stdout)}
    assert [run for run, kind in rows if kind == "slingshots"] == ["run", "all"]
    assert [run for run, kind in rows if kind == "loss_spikes"] == ["spiky", "all"]
    assert len(rows) == 4
    spikes = rows["spiky", "loss_spikes"]
    assert (spikes["true"], spikes["found"], spikes["hits"], spikes["right_outcomes"]) == (2, 1, 1, 0)
    done = slingshot("evaluate", "spiky.csv", "--verbose")
    assert ("loss_spikes" in done.stdout, "scoring: 1 of 1" in done.stderr) == (True, True)


def test_a_truth_may_hold_all_kinds_of_events(spiky):
    truth = {
        "slingshots": [],
        "loss_spikes": [{"start": 9020, "outcome": "recovered"}, 4000],
        "accuracy_climbs": [6000],
    }
    (spiky / "truth.json").write_text(json.dumps({"spiky": truth}))
    done = slingshot("evaluate", "spiky.csv", "--truth", "truth.json", "--format", "json")
    rows = {row["events"]: row for row in json.loads(done.stdout) if row["run"] == "all"}
    assert [(kind, row["recall"], row["precision"]) for kind, row in rows.items()] == [
        ("slingshots", None, None),
        ("loss_spikes", 0.5, 1.0),
        ("accuracy_climbs", 1.0, 1.0),
    ]
    assert (rows["loss_spikes"]["median_error"], rows["loss_spikes"]["right_outcomes"]) == (20, 1)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ({"spikes": [5]}, "truth.json: run 'run': unknown kind of event 'spikes'"),
        ({"loss_spikes": [{"start": 5, "outcome": "gone"}]}, "truth.json: run 'run': unknown outcome 'gone'"),
        ({"loss_spikes": [{"at": 5}]}, "truth.json: give JSON such as"),
    ],
)
def test_a_truth_that_can_not_be(folder, truth, message):
    (folder / "truth.json").write_text(json.dumps({"run": truth}))
    assert message in slingshot("evaluate", "run.csv", "--truth", "truth.json", status=2).stderr
