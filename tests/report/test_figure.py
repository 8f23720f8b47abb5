"""The figure: what is drawn, and that nothing that matters is thinned away."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from slingshot_analysis import Axis, InputError, Signal, analyze, read_log
from slingshot_analysis.report import figure as figure_of_a_run
from slingshot_analysis.report import picture as pictures
from slingshot_analysis.report.figure import draw, envelope

STEP = np.arange(0, 20_000, 10)
LOSS = np.exp(-STEP / 400) + np.where(STEP >= 9000, np.exp((9000 - STEP) / 200), 0)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Draw signals and return the panels of the figure."""
    made = []

    class Kept(pictures.Picture):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(pictures, "Picture", Kept)

    def panels(signals, found=None):
        path = draw(found or analyze(signals), signals, tmp_path / "deep" / "run.png")
        assert path.read_bytes().startswith(b"\x89PNG")
        return {axes.get_ylabel(): axes for axes in made[-1].axes}

    return panels


def test_only_what_is_there_has_a_panel(drawn):
    assert set(drawn({"train_loss": Signal(STEP, LOSS)})) == {"loss"}
    assert set(drawn({"val_accuracy": Signal(STEP, np.full(len(STEP), 0.5))})) == {"accuracy"}


def test_the_norm_of_the_parameter_that_was_used_is_drawn(drawn):
    values = np.stack([np.linspace(1, 2, len(STEP)), np.linspace(5, 9, len(STEP))], axis=1)
    norm = Signal(STEP, values, "parameter_norm", axes=[Axis("parameter", ["fc.bias", "fc.weight"])])
    line, *_ = drawn({"parameter_norm": norm})["parameter norm"].lines
    assert line.get_ydata()[[0, -1]].tolist() == [5, 9]


def test_a_curve_is_broken_where_a_loss_is_zero_for_long(drawn):
    loss = np.where((STEP > 3000) & (STEP < 9000), 0.0, LOSS)
    axes = drawn({"train_loss": Signal(STEP, loss)})["loss"]
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert [(line.get_xdata()[0], line.get_xdata()[-1]) for line in curves] == [(0, 3000), (9000, 19_990)]


def test_axes_say_what_is_known_of_steps_and_losses(drawn, tmp_path):
    signals = {"train_loss": Signal(STEP, LOSS, unit="nat")}
    assert drawn(signals)["loss (nat)"].get_xlabel() == "step (optimizer updates)"
    for column in ("epoch", "global_step"):
        file = tmp_path / "log.csv"
        file.write_text(f"{column},train_loss\n" + "".join(f"{s},{v}\n" for s, v in zip(STEP, LOSS, strict=True)))
        assert drawn(read_log(file)[0])["loss (nat)"].get_xlabel() == column


def test_transitions_that_count_are_numbered_and_the_others_are_grey(drawn):
    signals = {"train_loss": Signal(STEP, LOSS)}
    found = analyze(signals)
    (event,) = found.slingshots
    at = {1000: 0.9, 5000: 0.2, 9000: 0.9, 9100: 0.9, 9200: 0.9, 9300: 0.9, 9900: 0.9}
    events = tuple(replace(event, transition=step, confidence=sure) for step, sure in at.items())
    axes = drawn(signals, replace(found, slingshots=events))["loss"]
    assert [(text.get_text(), text.xy[0]) for text in axes.texts] == [
        ("1", 1000), ("2", 9000), ("3", 9100), ("4", 9200), ("6", 9900)
    ]  # fmt: skip
    heights = [text.get_position()[1] for text in axes.texts]
    assert heights[0] == heights[1] == heights[4] > heights[2] > heights[3]
    grey = [line.get_xdata()[0] for line in axes.lines if line.get_color() == figure_of_a_run.UNSURE]
    assert grey == [5000]
    assert "6 slingshots" in axes.figure.get_suptitle()


def test_thinning_keeps_every_spike():
    rng = np.random.default_rng(0)
    value = rng.standard_normal(200_000)
    spikes = np.arange(50) * 4000 + rng.integers(0, 4000, 50)
    value[spikes] = 100
    step, thin = envelope(np.arange(200_000.0), value)
    assert set(spikes.tolist()) <= set(step[thin == 100].astype(int).tolist())
    assert len(step) <= 6000


def test_growth_is_drawn_beside_its_fit_of_c_log_t(drawn):
    norm = np.exp(np.interp(STEP, [0, 500, 8000, 9000, 20_000], [0, 1, 1.01, 1.5, 1.51]))
    signals = {"last_layer_norm": Signal(STEP, norm), "train_loss": Signal(STEP, LOSS)}
    found = analyze(signals)
    axes = drawn(signals, found)["last layer norm"]
    fits = [line for line in axes.lines if line.get_color() == figure_of_a_run.FIT]
    assert len(fits) == len(found.norm_growth) > 0
    for line, fit in zip(fits, found.norm_growth, strict=True):
        inside = (max(fit.start, 1) <= STEP) & (fit.end > STEP)
        slope, offset = np.polyfit(np.log(STEP[inside]), norm[inside], 1)
        assert line.get_ydata() == pytest.approx(offset + slope * np.log(line.get_xdata()))
    low, high = axes.get_ylim()
    assert low < norm.min() < norm.max() < high


def test_bursts_and_curvature_peaks_have_panels_of_their_own(drawn):
    change = 1e-4 * (1 + 50 * np.exp(-(((STEP - 9000) / 40) ** 2)))
    curvature = np.where(abs(STEP - 9000) < 100, 80.0, 10.0)
    signals = {
        "train_loss": Signal(STEP, LOSS),
        "feature_change": Signal(
            STEP, np.stack([np.ones(len(STEP)), change], axis=1), axes=[Axis("layer", ["a", "b"])]
        ),
        "update_sharpness": Signal(STEP, curvature),
    }
    panels = drawn(signals)
    assert set(panels) == {"loss", "feature change", "curvature"}
    marked = {name: panels[name].get_legend_handles_labels()[0][-1].get_xydata().tolist() for name in
              ("feature change", "curvature")}  # fmt: skip
    assert marked == {"feature change": [[9000, pytest.approx(51e-4)]], "curvature": [[8910, 80]]}


def test_any_signal_can_be_drawn_into_axes_of_ones_own():
    values = np.abs(np.sin(np.outer(STEP, np.arange(1, 10)))) + 1e-6
    lag = Signal(STEP, values, "moment_lag", "ratio", axes=[Axis("quantile", [f"q{k}" for k in range(9)])])
    signals = {"train_loss": Signal(STEP, LOSS), "moment_lag": lag, "batch_errors": (STEP, np.zeros(len(STEP)))}
    found = analyze(signals)
    figure = Figure()
    top, bottom = figure.subplots(2, 1)
    assert found.plot(signals, ["loss", "moment_lag"], axes=[top, bottom]) is figure
    assert (top.get_ylabel(), bottom.get_ylabel(), bottom.get_yscale()) == ("loss", "moment lag (ratio)", "log")
    assert [text.get_text() for text in bottom.get_legend().get_texts()] == [f"q{k}" for k in range(6)]
    assert "3 more are not drawn" in bottom.get_title(loc="left")
    assert found.plot({"batch_errors": (STEP, STEP)}, ["batch_errors"], axes=top).axes[0] is top  # bare arrays
    with pytest.raises(InputError, match="unknown panel 'los'; did you mean 'loss'"):
        found.plot(signals, ["los"])
    with pytest.raises(InputError, match="axes=: got 1; give 2 Axes"):
        found.plot(signals, ["loss", "moment_lag"], axes=top)


@pytest.mark.parametrize(("form", "head"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_formats_and_sizes(tmp_path, form, head):
    signals = {"train_loss": Signal(STEP, LOSS)}
    path = draw(analyze(signals), signals, tmp_path / f"run.{form}", size=(4, 3))
    assert path.read_bytes().startswith(head)
    if form == "svg":
        assert 'width="288pt" height="216pt"' in path.read_text()
