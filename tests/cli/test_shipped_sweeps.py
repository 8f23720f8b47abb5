"""The sweeps that come with the package: each is read and planned, and together they show every figure."""

import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from click.testing import CliRunner

from cli._sweep_plan import Options, plan
from cli.main import main
from slingshot_analysis import InputError
from trainers.setups import SETUPS
from trainers.sweep import SweepConfig, plan_file, read_config, shipped_sweeps

NAMES = shipped_sweeps()
RUNS = {name: plan(read_config(name), Options(name)) for name in NAMES}

DATASETS = {
    "addition": [0.5, 0.6, 0.7],
    "cube_plus": [0.5, 0.6, 0.7, 0.8],
    "division": [0.5, 0.6, 0.7],
    "even_add_else_subtract": [0.7],
    "multiplication": [0.5, 0.6],
    "square_plus": [0.7, 0.8],
    "subtraction": [0.6, 0.7, 0.8],
}
"""Appendix B.3: shares of the equations for training, by operation."""

PAIRS = [(operation, share) for operation, shares in DATASETS.items() for share in shares]


def numbers(figures):
    """Return the figures of a text such as "2-4, 50" as a set of numbers, and what is no figure as it is."""
    found = set()
    for part in figures.split(", "):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        found |= set(range(int(match[1]), int(match[2] or match[1]) + 1)) if match else {part}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_has_a_title_figures_and_runs_of_the_papers_length(name):
    file = read_config(name)
    assert file.title
    shown = set().union(*(numbers(SETUPS[run.name].figures) for run in RUNS[name]))
    assert numbers(file.figures) <= shown | {"none"}
    assert all(run.steps == (file.steps or SETUPS[run.name].steps) for run in RUNS[name])


@pytest.mark.parametrize("name", SETUPS)
def test_every_figure_of_a_setup_has_a_sweep(name):
    shown = [read_config(sweep).figures for sweep in NAMES if any(run.name == name for run in RUNS[sweep])]
    figures = numbers(SETUPS[name].figures.partition(";")[0])
    assert figures - {"none"} <= set().union(*map(numbers, shown))


def test_the_18_data_sets():
    runs = RUNS["datasets"]
    assert [(run.data.operation, run.data.train_share) for run in runs] == PAIRS
    assert len(runs) == len(set(range(26, 44)))
    assert all(run == _with_share(SETUPS[run.name], run.data.train_share) for run in runs)
    of_each_epsilon = Counter(
        (run.optimizer.eps, run.data.operation, run.data.train_share) for run in RUNS["datasets_epsilon"]
    )
    assert of_each_epsilon == Counter((eps, *pair) for eps in (1e-8, 1e-7, 1e-5) for pair in PAIRS)
    assert {type(run.optimizer).__name__ for run in RUNS["datasets_epsilon"]} == {"AdamW"}


def _with_share(setup, share):
    return replace(setup, data=replace(setup.data, train_share=share))


def test_each_data_set_has_the_figure_of_its_place():
    place = {pair: 26 + i for i, pair in enumerate(PAIRS)}
    for operation, shares in DATASETS.items():
        own = numbers(SETUPS[f"modular_{operation}"].figures)
        assert {figure for figure in own if isinstance(figure, int) and 26 <= figure <= 43} == {
            place[operation, share] for share in shares
        }


def test_grids_have_the_values_of_the_paper():
    assert [run.optimizer.lr for run in RUNS["sgd"]] == [0.001, 0.01, 0.1]
    assert {run.optimizer.weight_decay for run in RUNS["weight_decay"]} == {0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0}
    assert {run.model.temperature for run in RUNS["normalized"]} == {0.1, 0.25, 0.5, 0.75, 1.0}
    assert (0.0, 0.0) in {run.optimizer.betas for run in RUNS["hypercube_betas"]}
    images = {(run.data.train, run.optimizer.warmup) for run in RUNS["cifar10_vit"] if run.name == "cifar10_vit"}
    assert images == {(train, train // 512) for train in (10_000, 20_000, 30_000, 40_000, 50_000)}


@pytest.mark.parametrize("name", NAMES)
def test_its_probes_are_known(name):
    known = json.loads(CliRunner().invoke(main, ["probes", "--format", "json"]).stdout)
    names = {row["name"] for row in known} | {"light", "standard", "full"}
    for probe in (read_config(name).probes or "light").split(","):
        assert probe.partition(":")[0] in names


@pytest.mark.parametrize("name", NAMES)
def test_a_file_alone_asks_for_the_same_runs(name):
    assert plan_file(read_config(name)) == RUNS[name]


def test_they_are_listed():
    done = CliRunner().invoke(main, ["sweep", "--list", "--format", "json"])
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert list(rows) == NAMES
    assert (rows["datasets"]["runs"], rows["datasets"]["updates"]) == (18, 18 * 500_000)
    table = CliRunner().invoke(main, ["sweep", "--list"]).stdout
    assert all(name in table for name in NAMES)


def test_a_name_runs_a_sweep_with_its_probes(tmp_path, monkeypatch):
    asked = {}

    def remember(runs, out, **options):
        asked.update(options, runs=runs)
        raise KeyboardInterrupt

    monkeypatch.setattr("trainers.sweep.sweep", remember)
    CliRunner().invoke(main, ["sweep", "--config", "curvature", "--steps", "9", "--out", str(tmp_path)])
    assert asked["probes"] == ["light", "update_sharpness"]
    assert [run.data.operation for run in asked["runs"]] == ["addition", "subtraction", "multiplication", "division"]
    assert {run.steps for run in asked["runs"]} == {9}
    CliRunner().invoke(main, ["sweep", "--config", "curvature", "--probes", "norms", "--out", str(tmp_path)])
    assert asked["probes"] == ["norms"]


def test_setups_of_runs_stand_beside_those_of_the_grid():
    file = SweepConfig(
        setup=["modular_addition", "s5_sandwich"],
        grid={"optimizer.eps": [1e-8, 1e-7]},
        runs=[{"setup": "parity_3_50", "batch_size": 16}, {"batch_size": 256}, {"setup": "s5_sandwich", "steps": 3}],
        seeds="4-5",
    )
    runs = plan(file, Options())
    assert plan_file(file) == runs
    assert Counter(run.name for run in runs) == {"modular_addition": 6, "s5_sandwich": 8, "parity_3_50": 2}
    assert {run.batch_size for run in runs if run.name == "parity_3_50"} == {16}
    assert {run.optimizer.eps for run in runs if run.name == "parity_3_50"} == {1e-8}
    assert {run.seed for run in runs} == {4, 5}


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        (SweepConfig(runs=[{"setup": "parity_3_50"}, {"batch_size": 3}]), Options(), "--setup is missing"),
        (SweepConfig(runs=[{"setup": "parity_3_5"}]), Options(), "did you mean 'parity_3_50'"),
        (
            SweepConfig(runs=[{"setup": "parity_3_50"}]),
            Options(grid=("batch_size=1,2",)),
            "each run names its setup, so there is none for a grid",
        ),
    ],
)
def test_what_cannot_be_planned_is_explained(file, options, message):
    with pytest.raises(InputError, match=message):
        plan(file, options)
