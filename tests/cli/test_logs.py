"""The verbs on others' logs: inspect, analyze, label and evaluate, from a folder with a CSV in it."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    step = np.arange(0, 20_000, 20)
    loss = np.exp(-step / 400) + 1e-9
    loss[step >= 9000] += np.exp(-(step[step >= 9000] - 9000) / 200)
    accuracy = np.where(step < 9050, 51.0, 93.0)
    rows = [f"{s},{v},{a},7" for s, v, a in zip(step, loss, accuracy, strict=True)]
    (tmp_path / "run.csv").write_text("\n".join(["iter,Loss/train,Acc/test,mystery", *rows]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def slingshot(*words, status=0):
    done = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done.output


def test_inspect_shows_how_columns_were_understood(folder):
    shown = slingshot("inspect", "run.csv")
    assert "Loss/train" in shown
    assert "in percent: divided by 100" in shown
    assert "mystery" in shown
    (run,) = json.loads(slingshot("inspect", "run.csv", "--format", "json", "--map", "val_loss=mystery"))
    assert {row["column"]: row["signal"] for row in run["columns"]} == {
        "iter": "step",
        "Loss/train": "train_loss",
        "Acc/test": "val_accuracy",
        "mystery": "val_loss",
    }


def test_inspect_shows_the_lines_of_a_text_and_takes_others_on_request(folder):
    (folder / "train.log").write_text(
        "".join(f"it {k} of 90: loss {5 - k / 10} aux {k}\n" for k in range(10)) + "bye\n"
    )
    shown = slingshot("inspect", "train.log")
    assert "10 lines like it {it} of {}: loss {loss} aux {aux}" in shown
    assert "  line 1: it 0 of 90: loss 5.0 aux 0" in shown
    assert "lines of other text left out: 1" in shown
    (run,) = json.loads(slingshot("inspect", "train.log", "--format", "json", "--step", "aux"))
    assert run["lines"] == [
        {
            "text": "it {it} of {}: loss {loss} aux {aux}",
            "example": "it 0 of 90: loss 5.0 aux 0",
            "number": 1,
            "count": 10,
            "columns": ["loss", "aux"],
        }
    ]
    (run,) = json.loads(
        slingshot("inspect", "train.log", "--format", "json", "--line", "of {step}: loss {} aux {val_loss}")
    )
    assert {row["column"]: row["signal"] for row in run["columns"]} == {"val_loss": "val_loss"}
    done = CliRunner().invoke(main, ["inspect", "train.log", "--line", "nothing {loss}"])
    assert done.exit_code == 2
    assert "no line fits 'nothing {loss}'; a line of the file is 'it 0 of 90: loss 5.0 aux 0'" in done.output


def test_inspect_shows_lines_as_they_are(folder):
    (folder / "train.log").write_text("".join(f"app:train:{k} [bold]loss {5 - k / 10}\n" for k in range(10)))
    assert "  line 1: app:train:0 [bold]loss 5.0" in slingshot("inspect", "train.log")


@pytest.mark.parametrize("form", ["text", "json"])
def test_inspect_shows_the_good_files_and_tells_of_the_others(folder, form):
    (folder / "bad.csv").write_text("step,loss\n")
    (folder / "run.csv.labels.json").write_text('{"format": "slingshot-labels", "version": 1, "runs": {}}')
    files = ["bad.csv", "run.csv.labels.json", "run.csv", "none.csv"]
    done = CliRunner().invoke(main, ["inspect", *files, "--format", form], catch_exceptions=False)
    assert done.exit_code == 2
    assert "Loss/train" in done.stdout
    lines = done.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Note", "Error", "Error"]
    assert all(file in line for file, line in zip([files[1], files[0], files[3]], lines, strict=True))
    slingshot("inspect", *files[1:3])


def test_analyze_reads_it_and_says_what_it_did(folder):
    shown = slingshot("analyze", "run.csv")
    assert "9,000" in shown
    assert "divided by 100" in shown
    shutil.copy("run.csv", "again.csv")
    document = json.loads(slingshot("analyze", "run.csv", "again.csv", "--format", "json"))
    (event,) = document["runs"][0]["slingshots"]
    assert (event["transition"], event["tier"], event["interval"]) == (9000, "loss_only", [8980, 9000])
    assert document["across_runs"]["comparison"]["association"]["jumps"] == 2


@pytest.mark.parametrize(
    ("verdicts", "status"), [("slingshots", 1), ("diverged, slingshots", 1), ("diverged,unstable", 0)]
)
def test_a_verdict_sets_the_exit_status(folder, verdicts, status):
    assert "verdict: slingshots" in slingshot("analyze", "run.csv", "--fail-on", verdicts, status=status)


def test_a_file_that_can_not_be_read_outweighs_a_verdict(folder):
    (folder / "bad.csv").write_text("")
    slingshot("analyze", "run.csv", "bad.csv", "--fail-on", "slingshots", status=2)


@pytest.mark.parametrize("given", ["diverge", "", "diverged,"])
def test_an_unknown_verdict_is_an_error_that_names_the_allowed_ones(folder, given):
    shown = slingshot("analyze", "run.csv", "--fail-on", given, status=2)
    assert "--fail-on: unknown verdict" in shown
    assert "Allowed: diverged, none, slingshots, spikes, undecided, unstable" in shown
    assert "verdict: slingshots" not in shown


def test_labels_change_what_is_found_and_score_the_detector(folder):
    assert "run.csv.labels.json" in slingshot("label", "run.csv", "--add", "15000", "--remove", "9000")
    assert "added [15000], removed [9000]" in slingshot("label", "run.csv")
    assert "15,000" in slingshot("analyze", "run.csv")
    (row, _) = json.loads(slingshot("evaluate", "run.csv", "--format", "json"))
    assert (row["true"], row["found"], row["hits"]) == (1, 1, 0)
    slingshot("label", "run.csv", "--add", "9000", "--remove", "15000")
    (row, _) = json.loads(slingshot("evaluate", "run.csv", "--format", "json"))
    assert (row["true"], row["found"], row["hits"], row["f1"]) == (1, 1, 1, 1.0)


def test_evaluate_takes_any_truth_and_any_detector(folder):
    (folder / "truth.json").write_text('{"run": [9000, 12000]}')
    (folder / "mine.py").write_text("def find(run):\n    return [8990, 12010, 17000]\n")
    slingshot("evaluate", "run.csv", "--truth", "truth.json", "--detector", "mine:nothing", status=2)
    import sys

    sys.path.insert(0, str(folder))
    try:
        words = ["--truth", "truth.json", "--detector", "mine:find", "--format", "json"]
        (row, _) = json.loads(slingshot("evaluate", "run.csv", *words))
    finally:
        sys.path.remove(str(folder))
    assert (row["true"], row["found"], row["hits"], row["median_error"]) == (2, 3, 2, 10)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inspect", "nothing.csv"], "nothing.csv: no such file"),
        (["analyze", "run.csv", "--map", "val_accuracy"], "give SIGNAL=COLUMN"),
        (["analyze", "run.csv", "--map", "val_accuracy=Acc/tst"], "did you mean 'Acc/test'"),
        (["analyze", "run.csv", "--input-format", "jsn"], "did you mean 'json'"),
        (["analyze", "run.csv", "--names", "lab.toml"], "lab.toml"),
        (["evaluate", "run.csv"], "label some with"),
        (["evaluate", "run.csv", "--truth", "truth.json"], "truth.json"),
        (["evaluate", "run.csv", "--detector", "nonsense"], "package.module:function"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(folder, words, message):
    shown = slingshot(*words, status=2)
    assert message in shown
    assert "Traceback" not in shown
