"""The figures of the paper: each is drawn from recorded runs, and lacks nothing that it should show."""

import dataclasses

import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from cli.main import main
from slingshot_analysis import InputError, Slingshot, analyze, open_trace
from slingshot_analysis.report.paper import FIGURES, PaperRun, draw_figure, shows
from trainers.overrides import override_all
from trainers.recorded_run import record
from trainers.setups import find_setup

PROBES = "light,evaluation:50,feature_change:10,cosine_distance:50,effective_step_quantiles:50,hessian:100"
EVENT = Slingshot(20, 150, (149, 150), 250, 1.0, 2.0, "full", "staircase", (), 1.0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two short runs of parity with a made-up slingshot, of two values of ε."""
    found = []
    for eps in (1e-8, 1e-6):
        fields = ["steps=300", "data.val=64", "data.train=64", f"optimizer.eps={eps}"]
        setup = override_all(find_setup("parity_3_50"), fields)
        probes = f"{PROBES},update_sharpness:100"
        path = record(setup, tmp_path_factory.mktemp("figures"), probes=probes, flight_recorder=False)
        found.append(PaperRun(open_trace(path), dataclasses.replace(analyze(path), slingshots=(EVENT,))))
    return found


@pytest.fixture(scope="module")
def quadratics(tmp_path_factory):
    found = []
    for norm in (1.0, 4.0):
        setup = override_all(find_setup("quadratic"), ["steps=50", f"model.spectral_norm={norm}"])
        path = record(setup, tmp_path_factory.mktemp("quadratics"))
        found.append(PaperRun(open_trace(path), analyze(path)))
    return found


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn(name, runs, quadratics):
    figure = draw_figure(name, quadratics if name == "contraction" else runs)
    assert isinstance(figure, Figure)
    assert any(axes.lines or axes.patches for axes in figure.axes)
    assert any(axes.get_xlabel() or axes.get_ylabel() for axes in figure.axes)


def test_transitions_are_marked_and_counted(runs):
    titles = [axes.get_title() for axes in draw_figure("accuracy_at_transitions", runs).axes]
    assert titles[0] == "2 transitions of 2 runs"
    epsilon = draw_figure("epsilon", runs)
    assert [axes.get_title() for axes in epsilon.axes if axes.get_title()] == [
        "ε = 1e-08\n1 slingshots",
        "ε = 1e-06\n1 slingshots",
    ]


def test_what_a_run_lacks_is_said(quadratics, runs):
    with pytest.raises(InputError, match="has no feature_change, which the figure shows"):
        draw_figure("features", quadratics)
    with pytest.raises(InputError, match=r"differ in none of model\.width"):
        draw_figure("cycles", runs[:1])
    with pytest.raises(InputError, match="did you mean 'features'"):
        draw_figure("feature", runs)
    with pytest.raises(InputError, match="got no run to draw"):
        draw_figure("features", [])


def test_the_command_writes_each_format(quadratics, tmp_path):
    files = [str(run.trace.path) for run in quadratics]
    done = CliRunner().invoke(main, ["figure", "contraction", *files, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert {path.name for path in tmp_path.iterdir()} == {"contraction.png", "contraction.pdf", "contraction.svg"}
    assert (tmp_path / "contraction.pdf").read_bytes().startswith(b"%PDF")


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_drawn(runs, tmp_path):
    missing = str(tmp_path / "missing.h5")
    arguments = ["figure", "training", missing, str(runs[0].trace.path), "--formats", "png", "--out", str(tmp_path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "missing.h5" in done.output
    assert (tmp_path / "training.png").exists()


def test_the_figures_are_listed():
    listed = CliRunner().invoke(main, ["figure", "--list"]).stdout
    assert all(f"{name} " in listed and shows(name) in listed for name in FIGURES)
