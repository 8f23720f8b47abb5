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
    assert json.loads(done.stdout) == [{"run": "run", "added": [9000], "removed": [12_000]}]
    assert json.loads(slingshot("label", "three.csv", "--format", "json").stdout)[0]["added"] == []


def test_labels_beside_a_run_are_left_out_of_its_evaluation(folder):
    slingshot("label", "run.csv", "--add", "9000")
    done = slingshot("evaluate", "run.csv", "run.csv.labels.json")
    assert "holds the labels of a run" in done.stderr
