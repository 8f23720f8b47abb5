"""``slingshot analyze`` on many files: other processes, tables, figures across runs, and what is printed."""

import json
import shutil

import pandas as pd
import pytest
from click.testing import CliRunner
from made_runs import write_staircase

from cli.main import main
from slingshot_analysis.many_runs import titles_of_files


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Write four traces: two seeds at each of two values of ε, of which only the smaller slingshots."""
    monkeypatch.chdir(tmp_path)
    for eps in (1e-8, 1e-6):
        for seed in (0, 1):
            config = {"optimizer": {"eps": eps, "betas": [0.9, 0.98]}, "seed": seed}
            at = 6000 + 500 * seed if eps == 1e-8 else None
            write_staircase(tmp_path / f"s{seed}-{eps:g}.h5", at, attributes={"config": config, "setup": "made"})
    return sorted(path.name for path in tmp_path.glob("*.h5"))


def slingshot(*words, status=0):
    done = CliRunner().invoke(main, ["analyze", *words], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done


def test_two_jobs_give_what_one_gives(sweep, tmp_path):
    (tmp_path / "bad.h5").write_text("no trace")
    files = [sweep[0], "bad.h5", sweep[1], "missing.h5"]
    one = slingshot(*files, "--format", "json", status=2)
    two = slingshot(*files, "--format", "json", "--jobs", "2", "--plot", "figures", status=2)
    assert two.stdout == one.stdout
    assert [run["name"] for run in json.loads(two.stdout)["runs"]] == [name.removesuffix(".h5") for name in sweep[:2]]
    errors = [line for line in two.stderr.splitlines() if line.startswith("Error: ")]
    assert ["bad.h5" in errors[0], "missing.h5" in errors[1], len(errors)] == [True, True, 2]
    drawn = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert drawn == [name.replace(".h5", ".png") for name in sweep[:2]]


def test_the_title_of_a_picture_says_what_differs_between_the_runs(sweep, tmp_path):
    (tmp_path / "log.csv").write_text("step,train_loss\n" + "".join(f"{k},{1 / (k + 1)}\n" for k in range(100)))
    titles = ["seed 0, eps 1e-06", "seed 0, eps 1e-08", "seed 1, eps 1e-06", "seed 1, eps 1e-08"]
    assert titles_of_files([*sweep, "log.csv", "missing.h5"]) == dict(zip(sweep, titles, strict=True))
    assert titles_of_files(sweep[:1]) == {}
    slingshot(*sweep[:2], "log.csv", "--plot", "figures", "--plot-format", "svg")
    drawn = [path.read_text() for path in sorted((tmp_path / "figures").glob("*.svg"))]
    titles = ("<!-- log: ", "<!-- eps 1e-06: ", "<!-- eps 1e-08: ")
    assert all(title in text for title, text in zip(titles, drawn, strict=True))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_has_a_row_for_each_run(sweep, ending):
    assert f"table: deep/runs.{ending}" in slingshot(*sweep, "--table", f"deep/runs.{ending}").stdout
    table = pd.read_csv(f"deep/runs.{ending}") if ending == "csv" else pd.read_parquet(f"deep/runs.{ending}")
    assert table["name"].tolist() == ["s0-1e-06", "s0-1e-08", "s1-1e-06", "s1-1e-08"]
    assert table["verdict"].tolist() == ["none", "slingshots"] * 2
    assert table["first_transition"].dropna().tolist() == [6000, 6500]
    assert table["optimizer.eps"].tolist() == [1e-6, 1e-8] * 2
    assert set(table["optimizer.beta2"]) == {0.98}
    assert table["best_val_accuracy_after"].dropna().tolist() == pytest.approx([0.9, 0.9], abs=0.002)


def test_text_shows_what_varies_and_each_configuration(sweep):
    shown = slingshot(*sweep).stdout
    (head,) = [line for line in shown.splitlines() if line.startswith("run ")]
    assert head.split()[:4] == ["run", "eps", "seed", "verdict"]
    rows = [line.split() for line in shown.splitlines() if line.startswith("eps=")]
    assert [row[:3] for row in rows] == [["eps=1e-08", "2", "2"], ["eps=1e-06", "2", "0"]]
    assert "setup" not in shown


def test_of_many_runs_only_the_tables_are_printed(sweep):
    copies = [shutil.copy(file, f"{number}-{file}") for number in range(5) for file in sweep]
    shown = slingshot(*sweep, *copies).stdout
    assert "verdict: " not in shown
    assert "24 runs: 12 with slingshots" in shown
    assert sum(line.split()[:1] == [f"{number}-s1-1e-06"] for line in shown.splitlines() for number in range(5)) == 5


def test_figures_across_runs(sweep, tmp_path):
    shown = slingshot(*sweep, "--plot-across", "across").stdout
    names = ["overlay", "contingency", "dose-optimizer.eps"]
    assert [line.removeprefix("picture: ") for line in shown.splitlines() if line.startswith("picture: ")] == [
        f"across/{name}.png" for name in names
    ]
    assert all((tmp_path / "across" / f"{name}.png").stat().st_size > 10_000 for name in names)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--table", "runs.xlsx"], "ends in .csv or .parquet"),
        (["--against", "optimizer.eps"], "works only with --plot-across"),
        (["--plot-across", "x", "--against", "a,b,c"], "--against a,b,c: give one KEY"),
        (["--plot-across", "x", "--against", "optimizer.lr"], "differs between these runs"),
        (["--engine", "dask"], "--scheduler"),
        (["--engine", "slurm", "--slurm", "timeout_min"], "KEY=VALUE"),
        (["--jobs", "0"], "--jobs"),
        (["--scheduler", "tcp://10.0.0.1:8786"], "--scheduler: works only with --engine dask"),
        (["--engine", "dask", "--slurm", "timeout_min=5"], "--slurm: works only with --engine slurm"),
        (["--option", "penalty=0"], "option penalty: got 0.0"),
        (["--plot", "s0-1e-06.h5/x"], "s0-1e-06.h5/x: pictures can't be written (Not a directory)"),
        (["--plot-across", "s0-1e-06.h5/x"], "s0-1e-06.h5/x: pictures can't be written (Not a directory)"),
    ],
)
def test_what_can_not_be_done(sweep, words, error):
    assert error in slingshot(*sweep, *words, status=2).output


def test_a_folder_that_pictures_can_not_go_into_is_refused_before_any_work(sweep):
    done = slingshot(*sweep, "--plot", "s0-1e-06.h5/x", status=2)
    assert done.stdout == ""
