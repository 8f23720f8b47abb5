"""The figure: what is drawn, and that nothing that matters is thinned away."""

import numpy as np
import pytest

from slingshot_analysis import Axis, Signal, analyze
from slingshot_analysis.report import figure as figures
from slingshot_analysis.report.figure import draw, envelope

STEP = np.arange(0, 20_000, 10)
LOSS = np.exp(-STEP / 400) + np.where(STEP >= 9000, np.exp((9000 - STEP) / 200), 0)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw signals and return the panels of the figure."""
    made = []

    class Kept(figures.Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(figures, "Figure", Kept)

    def panels(signals):
        path = draw(analyze(signals), signals, tmp_path / "deep" / "run.png")
        assert path.read_bytes().startswith(b"\x89PNG")
        return {axes.get_ylabel(): axes for axes in made[-1].axes}

    return panels


def test_only_what_is_there_has_a_panel(drawn):
    assert set(drawn({"train_loss": Signal(STEP, LOSS)})) == {"loss (nat)"}
    assert set(drawn({"val_accuracy": Signal(STEP, np.full(len(STEP), 0.5))})) == {"accuracy"}


def test_the_norm_of_the_parameter_that_was_used_is_drawn(drawn):
    values = np.stack([np.linspace(1, 2, len(STEP)), np.linspace(5, 9, len(STEP))], axis=1)
    norm = Signal(STEP, values, "parameter_norm", axes=[Axis("parameter", ["fc.bias", "fc.weight"])])
    (line,) = drawn({"parameter_norm": norm})["parameter norm"].lines
    assert line.get_ydata()[[0, -1]].tolist() == [5, 9]


def test_a_curve_is_broken_where_a_loss_is_zero_for_long(drawn):
    loss = np.where((STEP > 3000) & (STEP < 9000), 0.0, LOSS)
    axes = drawn({"train_loss": Signal(STEP, loss)})["loss (nat)"]
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert [(line.get_xdata()[0], line.get_xdata()[-1]) for line in curves] == [(0, 3000), (9000, 19_990)]


def test_thinning_keeps_every_spike():
    rng = np.random.default_rng(0)
    value = rng.standard_normal(200_000)
    spikes = np.arange(50) * 4000 + rng.integers(0, 4000, 50)
    value[spikes] = 100
    step, thin = envelope(np.arange(200_000.0), value)
    assert set(spikes.tolist()) <= set(step[thin == 100].astype(int).tolist())
    assert len(step) <= 6000
