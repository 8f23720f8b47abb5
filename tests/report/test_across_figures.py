"""Figures of many runs: which are drawn, and what stands in them."""

import numpy as np
import pytest
from made_runs import found

from slingshot_analysis import InputError, Signal
from slingshot_analysis.many_runs import runs_table
from slingshot_analysis.report.across import draw_across_runs

STEP = np.arange(0, 1000, 10)


@pytest.fixture
def figures(monkeypatch):
    """Return the figures that are drawn, by the name of their file."""
    drawn = {}

    def keep(figure, path, **_):
        drawn[path.stem] = figure

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", keep)
    return drawn


def curves_of(run):
    level = 1.0 + run.config.get("seed", 0)
    return {
        "norm": Signal(STEP, np.full(len(STEP), level), "last_layer_norm"),
        "loss": Signal(STEP, level * np.exp(-STEP / 100), "batch_loss"),
        "val_accuracy": Signal(STEP, np.full(len(STEP), 0.5), "val_accuracy"),
    }


def draw(runs, folder, against=()):
    paths = draw_across_runs(runs_table(runs), [curves_of(run) for run in runs], folder, against)
    return [path.stem for path in paths]


SWEEP = [
    found(f"{eps}{seed}", [400] * slingshots, optimizer__eps=eps, seed=seed, grokking_step=grokked)
    for eps, seed, slingshots, grokked in [
        (1e-8, 0, 2, 500),
        (1e-8, 1, 1, None),
        (1e-8, 2, 1, 600),
        (0.0, 0, 3, 500),
        (1e-6, 0, 0, None),
        (1e-6, 1, 0, 700),
    ]
]


def test_one_number_that_varies_gives_a_dose_response(figures, tmp_path):
    assert draw(SWEEP, tmp_path) == ["overlay", "contingency", "dose-optimizer.eps"]
    share, number, accuracy = figures["dose-optimizer.eps"].axes
    assert share.get_xscale() == "symlog"
    line = share.lines[0]
    assert line.get_xdata().tolist() == [0, 1e-8, 1e-6]
    assert line.get_ydata().tolist() == [1, 1, 0]
    assert number.lines[0].get_ydata().tolist() == [3, pytest.approx(4 / 3), 0]
    assert sorted(number.lines[1].get_ydata().tolist()) == [0, 0, 1, 1, 2, 3]
    assert accuracy.lines[0].get_ydata().tolist() == pytest.approx([0.6, 0.6, 0.5])


def test_curves_of_a_configuration_stand_together(figures, tmp_path):
    draw(SWEEP, tmp_path)
    grid = figures["overlay"].axes
    assert [axes.get_title() for axes in grid[:3]] == ["eps=0\n1 run", "eps=1e-08\n3 runs", "eps=1e-06\n2 runs"]
    norm = grid[1]
    *single, median = [line for line in norm.lines if len(line.get_xdata()) > 2]
    assert [line.get_ydata()[0] for line in single] == [1, 2, 3]
    assert median.get_ydata() == pytest.approx(2)
    assert sum(len(line.get_xdata()) == 2 for line in norm.lines) == 3  # first transitions


def test_many_configurations_go_on_in_further_pictures(figures, tmp_path):
    runs = [found(f"{n}", data__n=n, data__word=f"w{n}") for n in range(7)]
    assert draw(runs, tmp_path, ["data.n"]) == ["overlay", "overlay-2", "contingency", "dose-data.n"]
    assert len(figures["overlay-2"].axes) == 2 * 3


def test_the_table_of_four_cells(figures, tmp_path):
    draw([*SWEEP, found("u", verdict="undecided", optimizer__eps=1e-6)], tmp_path)
    table, bars = figures["contingency"].axes
    assert [text.get_text() for text in table.texts[:4]] == ["3", "1", "1", "1"]
    assert "grokked with slingshots: 3 of 4" in table.texts[4].get_text()
    assert "1 undecided left out" in table.texts[4].get_text()
    assert [label.get_text() for label in bars.get_yticklabels()] == ["eps=0", "eps=1e-08", "eps=1e-06"]
    widths = {c.get_label(): [bar.get_width() for bar in c] for c in bars.containers}
    assert widths == {
        "slingshots and grokking": [1, 2, 0],
        "slingshots only": [0, 1, 0],
        "grokking only": [0, 0, 1],
        "neither": [0, 0, 1],
        "undecided": [0, 0, 1],
    }


def test_two_betas_give_a_heatmap(figures, tmp_path):
    pairs = [(0.5, 0.9), (0.5, 0.95), (0.5, 0.99), (0.9, 0.9), (0.9, 0.95)]
    runs = [
        found(f"{one}{two}{seed}", [400] * round(10 * one) * seed, o__beta1=one, o__beta2=two, seed=seed)
        for one, two in pairs
        for seed in (0, 1)
    ]
    assert draw(runs, tmp_path) == ["overlay", "contingency", "heatmap-o.beta1-o.beta2"]
    slingshots, accuracy = figures["heatmap-o.beta1-o.beta2"].axes
    assert [text.get_text() for text in slingshots.texts] == ["2.5", "2.5", "4.5", "2.5", "4.5"]
    assert [text.get_text() for text in accuracy.texts] == ["0.55"] * 5
    assert [label.get_text() for label in slingshots.get_yticklabels()] == ["0.99", "0.95", "0.9"]
    assert slingshots.images[0].get_array().mask.tolist() == [[False, True], [False, False], [False, False]]


def test_numbers_that_vary_one_at_a_time_have_a_dose_response_each(figures, tmp_path):
    runs = [found("a", lr=1, eps=1), found("b", lr=2, eps=1), found("c", lr=3, eps=1), found("d", lr=1, eps=2),
            found("e", lr=1, eps=3), found("f", lr=1, eps=4)]  # fmt: skip
    assert draw(runs, tmp_path)[-2:] == ["dose-lr", "dose-eps"]
    assert [line.get_xdata().tolist() for line in figures["dose-lr"].axes[0].lines] == [[1, 2, 3]]
    assert draw(runs, tmp_path, ["eps,lr"])[-1] == "heatmap-eps-lr"


def test_a_number_that_no_two_runs_alike_in_all_else_differ_in_has_no_dose_response(figures, tmp_path):
    runs = [found("a", lr=1, n=5), found("b", lr=2, n=6), found("c", lr=2, n=7)]
    assert draw(runs, tmp_path)[-1] == "dose-n"
    assert draw(runs[:2], tmp_path)[-1] == "contingency"
    assert draw(runs, tmp_path, ["lr"])[-1] == "dose-lr"


def test_a_dose_response_says_which_runs_it_shows_and_shifts_only_what_shares_a_value(figures, tmp_path):
    runs = [found(f"{n}{lr}", lr=lr, n=n) for n in range(8) for lr in (1, 2 + n / 10)] + [found("single", lr=1, n=9)]
    draw(runs, tmp_path, ["lr"])
    title = figures["dose-lr"].get_suptitle()
    assert title.startswith("12 of 17 runs: the 6 largest configurations with two values of lr or more\n")
    draw([found(f"{n}{lr}", lr=lr, n=n) for n in (0, 1) for lr in (1 + 10 * n, 2 + 10 * n)], tmp_path, ["lr"])
    axes = figures["dose-lr"].axes[0]
    assert figures["dose-lr"].get_suptitle().startswith("4 of 4 runs\n")
    for line in axes.lines:
        at = line.get_transform().transform(line.get_xydata())
        assert at == pytest.approx(axes.transData.transform(line.get_xydata()))


def test_a_heatmap_says_over_what_it_pools(figures, tmp_path):
    pairs = [(a, b) for a in (0.5, 0.9) for b in (0.9, 0.99)]
    runs = [found(f"{a}{b}{lr}", o__beta1=a, o__beta2=b, o__lr=lr, width=8 * a) for a, b in pairs for lr in (1, 2)]
    draw([*runs, found("foreign")], tmp_path, ["o.beta1,o.beta2"])
    assert figures["heatmap-o.beta1-o.beta2"].get_suptitle() == "8 runs, 2 in a cell, pooled over lr"


def test_long_labels_are_cut(figures, tmp_path):
    keys = {f"a_key_with_a_long_name_{n}": n for n in range(12)}
    draw([found("a", **keys), found("b", **{key: value + 1 for key, value in keys.items()})], tmp_path)
    labels = [label.get_text() for label in figures["contingency"].axes[1].get_yticklabels()]
    assert max(label.count("\n") for label in labels) == 2
    assert any(label.endswith(" …") for label in labels)


def test_runs_without_configuration_and_without_curves(figures, tmp_path):
    runs = runs_table([found("a"), found("b", [300])])
    assert [path.stem for path in draw_across_runs(runs, [{}, {}], tmp_path)] == ["contingency"]


@pytest.mark.parametrize(
    ("words", "error"),
    [("optimizer.lr", "differs between these runs"), ("seed", "unknown"), ("a,b,c", "KEY,KEY for a heatmap")],
)
def test_what_can_not_be_drawn_against(words, error, tmp_path):
    with pytest.raises(InputError, match=error):
        draw(SWEEP, tmp_path, [words])
