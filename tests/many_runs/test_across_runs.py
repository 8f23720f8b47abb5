"""Tables of many runs: rows, configurations, doses, cells and curves against hand-made runs."""

import numpy as np
import pandas as pd
import pytest
from made_runs import found, staircase, write_staircase
from scipy import stats

from slingshot_analysis import Axis, InputError, Signal, analyze
from slingshot_analysis.configuration import configuration
from slingshot_analysis.many_runs import (
    RESULTS,
    band,
    by_configuration,
    cells,
    configuration_keys,
    dose_response,
    labels_of,
    numeric_keys,
    runs_table,
    thin_curves,
    write_table,
)
from slingshot_analysis.many_runs.curves import POINTS, thin
from slingshot_analysis.readers import Log

SWEEP = [
    found(f"{eps:g}-{seed}", transitions, optimizer__eps=eps, seed=seed, setup="made", grokking_step=grokked)
    for eps, seed, transitions, grokked in [
        (1e-8, 0, [8000, 9000], 8200),
        (1e-8, 1, [6000], None),
        (1e-6, 0, [], None),
        (1e-6, 1, [], 4000),
        (1e-8, 2, [7000], 7100),
        (1e-6, 2, [], None),
    ]
]


def test_configuration_of_a_trace(tmp_path):
    config = {
        "kind": "Setup",
        "name": "made",
        "title": "words",
        "optimizer": {"kind": "Adam", "betas": [0.9, 0.98], "eps": 1e-8, "clip": None},
        "model": {"widths": [8, 4], "linear": False},
        "seed": 3,
        "loss_dtype": "same",
    }
    attributes = {"config": config, "setup": "made", "seed": 3, "loss_dtype": "float32", "lab": 7, "command": "x"}
    run = analyze(write_staircase(tmp_path / "run.h5", attributes=attributes))
    assert run.config == {
        "setup": "made",
        "optimizer.kind": "Adam",
        "optimizer.beta1": 0.9,
        "optimizer.beta2": 0.98,
        "optimizer.eps": 1e-8,
        "model.widths": "[8, 4]",
        "model.linear": False,
        "seed": 3,
        "loss_dtype": "same",
        "lab": 7,
    }
    assert (run.best_val_accuracy_before, run.best_val_accuracy_after) == pytest.approx((0.5, 0.9), abs=0.002)
    assert run.final_val_accuracy == pytest.approx(0.9, abs=0.002)


def test_configuration_of_a_log_and_of_none(tmp_path):
    log = Log(tmp_path / "run", "run", {}, attributes={"lr": "1e-3", "layers": "2", "opt": "adam", "run_id": "8a"})
    assert configuration(log) == {"lr": 0.001, "layers": 2, "opt": "adam"}
    results = {"final_loss": 0.1, "model.final_gini": 0.5, "acc_per_seed": 1, "total_flos": 1e9, "global_step": 7}
    results |= {"final_val_accuracy": 1, "final_train_loss_mean": 1, "final_step": 5}
    settings = {"final_dropout": 0.1, "final_layer_norm": 1, "final_logit_softcapping": 30, "final_loss_weight": 0.5}
    given = {"final_lr": np.float32(1e-5), "lr": np.float32(0.001)} | settings | results
    assert configuration(Log(tmp_path / "run", "run", {}, attributes=given)) == {
        "final_lr": 1e-5,
        "lr": 0.001,
        **settings,
    }
    step = np.arange(0, 1000, 10)
    plain = analyze({"val_accuracy": Signal(step, np.where(step < 500, 0.2, np.nan))})
    assert plain.config == {}
    assert (plain.best_val_accuracy_before, plain.best_val_accuracy_after) == (0.2, None)
    assert plain.final_val_accuracy == 0.2


def test_a_damaged_configuration_is_noted_and_the_run_analyzed(tmp_path):
    run = analyze(write_staircase(tmp_path / "run.h5", attributes={"config": "{"}))
    assert run.config == {}
    assert run.verdict == "slingshots"
    assert any(note.startswith("configuration left out") and "not JSON" in note for note in run.notes)


def test_an_evaluation_at_the_transition_counts_as_after():
    step, norm, loss = staircase(9000, steps=20_000)
    accuracy = Signal([0, 8000, 9000, 19_990], [0.1, 0.3, 0.8, 0.7])
    run = analyze({"last_layer_norm": Signal(step, norm), "batch_loss": Signal(step, loss), "val_accuracy": accuracy})
    assert [slingshot.transition for slingshot in run.slingshots] == [9000]
    assert (run.best_val_accuracy_before, run.best_val_accuracy_after, run.final_val_accuracy) == (0.3, 0.8, 0.7)


def test_one_row_for_each_run():
    table = runs_table([*SWEEP, found("foreign", accuracy=(None, None)), found("odd", name="taken", optimizer__eps=0)])
    assert list(table.columns) == [*RESULTS, "optimizer.eps", "seed", "setup", "config.name"]
    assert table["name"].tolist() == [run.name for run in SWEEP] + ["foreign", "odd"]
    assert table["slingshots"].tolist() == [2, 1, 0, 0, 1, 0, 0, 0]
    assert table["first_transition"].tolist()[:2] == [8000, 6000]
    assert table["best_val_accuracy"].tolist()[:3] == [0.6, 0.6, 0.5]
    assert np.isnan(table["best_val_accuracy"][6])
    assert table["optimizer.eps"].dtype == float
    assert table["optimizer.eps"].tolist()[-1] == 0
    assert (table["seed"].dtype, table["seed"].isna().sum()) == ("Int64", 2)
    assert table["config.name"].dropna().tolist() == ["taken"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables_come_back_as_they_were(tmp_path, ending):
    mixed = [found("a", [7], lr=1 / 3, flag=True, mix=1, seed=0), found("b", lr=1, flag=None, mix="x", seed=1)]
    table = runs_table([*mixed, found("c")])
    path = write_table(table, tmp_path / "deep" / f"runs.{ending}")
    back = pd.read_csv(path, dtype={"flag": "boolean"}) if ending == "csv" else pd.read_parquet(path)
    pd.testing.assert_frame_equal(back, table, check_dtype=False, check_exact=True)
    assert ending == "csv" or back["first_transition"].dtype == back["seed"].dtype == "Int64"
    assert table["mix"].tolist()[:2] == ["1", "x"]


def test_tables_that_can_not_be_written(tmp_path, monkeypatch):
    table = runs_table(SWEEP)
    with pytest.raises(InputError, match=r"ends in \.csv or \.parquet"):
        write_table(table, tmp_path / "runs.xlsx")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="can't be written"):
        write_table(table, tmp_path / "file" / "runs.csv")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"slingshot-analysis\[parquet\]"):
        write_table(table, tmp_path / "runs.parquet")


def test_configurations_differ_in_all_but_seeds():
    table = runs_table(SWEEP)
    assert configuration_keys(table) == numeric_keys(table) == ["optimizer.eps"]
    assert labels_of(table) == ["eps=1e-08", "eps=1e-08", "eps=1e-06", "eps=1e-06", "eps=1e-08", "eps=1e-06"]
    assert set(labels_of(runs_table(SWEEP[:2]))) == {"one configuration"}
    assert labels_of(runs_table([found("a"), found("b")])) == ["no configuration recorded"] * 2


def test_a_run_without_configuration_is_called_so_and_changes_no_other_label():
    table = runs_table([*SWEEP[:3], found("foreign")])
    assert labels_of(table) == ["eps=1e-08", "eps=1e-08", "eps=1e-06", "no configuration recorded"]
    assert configuration_keys(table) == ["optimizer.eps"]
    several = runs_table([found("a", setup="x", lr=1), found("b", setup="y", lr=1), found("foreign")])
    assert labels_of(several) == ["x", "y", "no configuration recorded"]


def test_many_differences_are_told_from_what_most_runs_are():
    keys = {"lr": 1, "eps": 2, "n": 3, "k": 4}
    others = [found(key, **(keys | {key: 9})) for key in keys]
    assert labels_of(runs_table([found("a", **keys), *others])) == ["as most runs", "lr=9", "eps=9", "n=9", "k=9"]


def test_runs_of_several_setups_are_told_apart_within_theirs():
    runs = [
        found("a", setup="x", data__n=5, optimizer__lr=1),
        found("b", setup="x", data__n=5, optimizer__lr=2),
        found("c", setup="y", model__n=3, optimizer__lr=2),
    ]
    assert labels_of(runs_table(runs)) == ["x, lr=1", "x, lr=2", "y"]


def test_counts_by_configuration_are_those_of_figure_4():
    undecided = found("u", verdict="undecided", grokking_step=5, optimizer__eps=1e-8, seed=9, setup="made")
    table = by_configuration(runs_table([*SWEEP, undecided])).set_index("optimizer.eps")
    assert table.index.tolist() == [1e-8, 1e-6]
    cells_of = ["runs", "both", "slingshot_only", "grokked_only", "neither", "undecided"]
    assert table[cells_of].to_numpy().tolist() == [[4, 2, 1, 0, 0, 1], [3, 0, 0, 1, 2, 0]]
    wilson = stats.binomtest(3, 3).proportion_ci(method="wilson")
    assert table.loc[1e-8, ["share", "share_low", "share_high"]].tolist() == [1, wilson.low, wilson.high]
    assert table.loc[1e-8, "first_transition"] == 7000
    assert np.isnan(table.loc[1e-6, "first_transition"])


def test_dose_response():
    more = [found(f"m{seed}", [5000] * seed, optimizer__eps=1e-8, seed=seed, setup="made") for seed in (3, 4)]
    table = dose_response(runs_table([*SWEEP, *more]), "optimizer.eps")
    assert table["optimizer.eps"].tolist() == [1e-8, 1e-6]
    assert table["share"].tolist() == [1, 0]
    assert table["share_low"][0] == pytest.approx(stats.binomtest(5, 5).proportion_ci(method="wilson").low)
    assert table["slingshots"].tolist() == [pytest.approx((2 + 1 + 1 + 3 + 4) / 5), 0]
    reference = stats.bootstrap(
        ([2, 1, 1, 3, 4],), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert table.loc[0, ["slingshots_low", "slingshots_high"]].tolist() == pytest.approx(list(reference), abs=0.25)
    assert np.isnan(table["slingshots_low"][1])
    with pytest.raises(InputError, match=r"did you mean 'optimizer\.eps'"):
        dose_response(runs_table(SWEEP), "optimizer.ep")


def test_dose_response_keeps_other_configurations_apart():
    runs = [found(f"{eps}{lr}", [9000] * lr, optimizer__eps=eps, lr=lr) for eps in (1e-8, 1e-6) for lr in (1, 2)]
    table = dose_response(runs_table(runs), "optimizer.eps")
    assert table["others"].tolist() == ["lr=1", "lr=2", "lr=1", "lr=2"]
    assert table["slingshots"].tolist() == [1, 2, 1, 2]


def test_cells_of_two_numbers():
    runs = [found(f"{a}{b}{seed}", [9000] * seed, b1=a, b2=b, seed=seed) for a, b in [(0, 1), (0, 2), (5, 1)]
            for seed in (0, 1, 2)]  # fmt: skip
    table = cells(runs_table(runs), "b1", "b2")
    assert table[["b1", "b2", "runs", "slingshots"]].to_numpy().tolist() == [[0, 1, 3, 1], [0, 2, 3, 1], [5, 1, 3, 1]]
    assert table["share"].tolist() == pytest.approx([2 / 3] * 3)


def test_thinned_curves_are_short_and_keep_spikes():
    step = np.arange(100_000)
    loss = np.full(len(step), 1e-6)
    loss[77_777] = 3.0
    loss[500] = np.nan
    curves = thin_curves(
        {
            "batch_loss": Signal(step, loss),
            "train_loss": Signal(step, loss),
            "total_norm": Signal(step, step / 2.0),
            "val_accuracy": Signal([5, 0], [0.5, 0.1]),
        }
    )
    assert {name: curve.name for name, curve in curves.items()} == {
        "norm": "total_norm", "loss": "batch_loss", "val_accuracy": "val_accuracy"
    }  # fmt: skip
    assert max(len(curve) for curve in curves.values()) == POINTS
    assert curves["loss"].value.max() == 3.0
    assert curves["norm"].value[:2] == pytest.approx([249 / 4, 250 / 2 + 249 / 4], abs=0.5)
    assert curves["val_accuracy"].step.tolist() == [0, 5]


def test_of_the_norms_of_parameters_that_of_the_last_weight_is_thinned():
    norms = Signal(
        [0, 1], [[1.0, 5.0, 9.0], [2.0, 6.0, 9.0]], axes=[Axis("parameter", ["0.weight", "2.weight", "2.bias"])]
    )
    curve = thin_curves({"parameter_norm": norms})["norm"]
    assert (curve.name, curve.value.tolist()) == ("parameter_norm", [5, 6])


def test_thinning_by_means_agrees_with_pandas():
    step = np.arange(4000)
    value = np.random.default_rng(0).standard_normal(4000)
    expected = pd.Series(value).groupby(step // 400).mean()
    assert thin(step, value, points=10)[1] == pytest.approx(expected.to_numpy(), abs=0.01)


def test_a_band_is_median_and_quartiles_of_the_runs_that_go_so_far():
    curves = [Signal([0, 100], [level, level]) for level in (1.0, 2.0, 4.0)] + [Signal([0, 50], [8.0, 8.0])]
    joined = band(curves, points=5)
    assert joined.step.tolist() == [0, 25, 50, 75, 100]
    assert joined.median.tolist() == [3, 3, 3, 2, 2]
    assert joined.low.tolist() == [np.quantile([1, 2, 4, 8], 0.25)] * 3 + [1.5] * 2
    logarithmic = band([Signal([0, 1, 2], [1.0, 0.0, 100.0])], logarithmic=True, points=3)
    assert logarithmic.median == pytest.approx([1, 10, 100])
    assert len(band([Signal([0], [0.0])], logarithmic=True).step) == 0
