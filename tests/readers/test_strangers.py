"""Logs in the shapes that others write: each is read right, or refused with what to do."""

import pytest
from outside import outside

from slingshot_analysis import InputError, analyze
from slingshot_analysis.readers import read_log

UPDATES, EPOCHS = (0.0, 9000.0), (0.0, 300.0)

READ = {
    "hf_predict_without_step.json": (
        UPDATES,
        {"train_loss": "loss", "val_loss": "eval_loss", "val_accuracy": "eval_accuracy"},
    ),
    "header_grows.csv": (
        UPDATES,
        {"train_loss": "train_loss", "total_norm": "weight_norm", "val_accuracy": "val_accuracy"},
    ),
    "lightning_flicker.csv": (
        UPDATES,
        {"train_loss": "train_loss_step", "val_loss": "val_loss", "val_accuracy": "val_acc"},
    ),
    "dvclive": (UPDATES, {"train_loss": "train/loss", "total_norm": "weight_norm"}),
    "tb_keras": (
        EPOCHS,
        {
            "train_loss": "train/epoch_loss",
            "val_loss": "validation/epoch_loss",
            "train_accuracy": "train/epoch_accuracy",
            "val_accuracy": "validation/epoch_accuracy",
        },
    ),
    "tb_restart": (UPDATES, {"train_loss": "train/loss", "last_layer_norm": "norm/last_layer"}),
    "wandb_export.csv": (UPDATES, {"train_loss": "train/loss", "total_norm": "weight_norm"}),
    "aim_export.csv": (UPDATES, {"train_loss": "train/loss", "total_norm": "weight_norm"}),
    "mlflow_history.json": (UPDATES, {"train_loss": "train_loss", "total_norm": "weight_norm"}),
    "utf16.csv": (UPDATES, {"train_loss": "train_loss", "total_norm": "weight_norm"}),
    "steps_as_float_sci.csv": (UPDATES, {"train_loss": "train_loss", "total_norm": "weight_norm"}),
    "accum_repeat_steps.csv": (UPDATES, {"train_loss": "train_loss", "total_norm": "weight_norm"}),
    "thousand_units.csv": (EPOCHS, {"train_loss": "train_loss", "val_accuracy": "val_acc"}),
    "tensor_repr.csv": (UPDATES, {"train_loss": "train_loss", "total_norm": "weight_norm"}),
    "control.csv": (UPDATES, {"train_loss": "train_loss", "total_norm": "weight_norm", "val_accuracy": "val_acc"}),
    "nan_inf.jsonl": (UPDATES, {"train_loss": "train_loss", "total_norm": "weight_norm"}),
    "unembedding_parameter_norm.csv": (
        UPDATES,
        {"last_layer_norm": "unembedding_parameter_norm", "representation_norm": "hidden_parameter_norm"},
    ),
    "detectron2_total_loss.json": (UPDATES, {"train_loss": "total_loss"}),
    "plural_accs.npz": (
        EPOCHS,
        {"train_loss": "train_losses", "train_accuracy": "train_accs", "val_accuracy": "val_accs"},
    ),
    "sb3_progress.csv": ((0.0, 900_000.0), {"train_loss": "train/loss"}),
    "mmengine_scalars.json": (UPDATES, {"train_loss": "loss", "val_accuracy": "accuracy/top1"}),
}
"""Files of one run: first and last step of the training loss or norm, and the column of each signal."""


def read(name):
    (run,) = read_log(outside("strangers") / name)
    return run


@pytest.mark.parametrize("name", READ)
def test_each_signal_is_the_column_that_it_should_be(name):
    run = read(name)
    span, signals = READ[name]
    assert {signal: run[signal].name for signal in signals if signal in run} == signals
    first = run[next(iter(signals))]
    assert (first.step[0], first.step[-1]) == span
    assert len(first) == 301
    if "train_loss" in signals:
        assert run["train_loss"].value[0] == pytest.approx(3.0189, abs=1e-4)
    if "val_accuracy" in signals:
        assert run["val_accuracy"].value[-1] == pytest.approx(0.9)


def test_what_was_handled_is_said():
    def notes(name):
        run = read(name)
        return " ".join([*run.notes, *(column.remark for column in run.columns)])

    assert "entries without a step left out: 11, with epoch, predict_loss" in notes("hf_predict_without_step.json")
    assert "the header changes in line 152" in notes("header_grows.csv")
    assert "10; they take the step of the row before" in notes("lightning_flicker.csv")
    assert "bounds of the values beside them: 4" in notes("wandb_export.csv")
    assert "NaN or infinite at steps 1,500, 4,500, 4,530" in notes("nan_inf.jsonl")
    assert "17 rows that a restart repeats" in notes("tb_restart")


def test_values_that_are_not_finite_are_kept_and_reported():
    run = read("nan_inf.jsonl")
    assert run["train_loss"].value[[50, 150, 151]].tolist() == pytest.approx(
        [float("nan"), float("inf"), float("inf")], nan_ok=True
    )
    found = analyze(run)
    assert found.verdict == "slingshots"
    assert [s.transition for s in found.slingshots if s.tier == "full"] == [3000, 6000]
    assert any("NaN or infinite at steps 1,500, 4,500, 4,530" in note for note in found.notes)


def test_norms_named_after_layers_are_one_signal_of_which_the_last_is_used():
    run = read("long_weights_l2.csv")
    assert run["parameter_norm"].axes[0].labels == ("layers.0.weight", "layers.2.weight")
    assert "parameter_norm" in analyze(run).signals


def test_a_bare_norm_is_that_of_the_parameters_where_it_is_smooth():
    for run in read_log(outside("strangers") / "nested_history.json"):
        assert run["total_norm"].name == "norm"
        assert "does not say of what" in next(column.remark for column in run.columns if column.column == "norm")


def test_a_file_that_goes_on_from_the_start_is_two_runs():
    first, second = read_log(outside("strangers") / "keras_append_restarts.csv")
    assert (len(first["train_loss"]), len(second["train_loss"])) == (150, 151)
    assert any("read as 2 runs" in note for note in first.notes)


@pytest.mark.parametrize(
    ("name", "column"),
    [("neptune_series.csv", "value"), ("tensorboard_download.csv", "Value"), ("tensorboard_download.json", "value")],
)
def test_one_series_without_a_name_says_how_to_name_it(name, column):
    assert not read(name).names
    assert any(f"map=, such as train_loss={column}" in note for note in read(name).notes)
    (run,) = read_log(outside("strangers") / name, map={"train_loss": column})
    assert (len(run["train_loss"]), run["train_loss"].step[-1]) == (301, 9000)
    assert run["train_loss"].value[0] == pytest.approx(3.0189, abs=1e-4)


@pytest.mark.parametrize("name", ["history.pt", "history.pkl", "history_dict.npy"])
def test_a_pickle_is_refused_and_how_to_export_it_is_said(name):
    with pytest.raises(InputError, match=rf"{name}: .*(pickle|Python objects).*(export|save it again)"):
        read_log(outside("strangers") / name)


PASTED = {
    "mmcv.log.json": {"train_loss": (10, 120, 2.8, 0.4898), "val_accuracy": (40, 120, 0.33, 0.81)},
    "total_loss.json": {"train_loss": (19, 239, 2.8, 0.4898)},
    "sb3_progress.csv": {"train_loss": (2048, 24576, 2.8, 0.4898)},
    "trainer_log.jsonl": {"train_loss": (10, 120, 2.8, 0.4898)},
    "dev_and_test.tsv": {"train_loss": (0, 11, 2.8, 0.4898), "val_loss": (0, 11, 2.91, 0.5998)},
    "losses_no_step.tsv": {"train_loss": (0, 11, 2.8, 0.4898)},
    "allennlp": {
        "train_loss": (0, 5, 2.8, 1.0034),
        "val_loss": (0, 5, 2.91, 1.1134),
        "val_accuracy": (0, 5, 0.15, 0.45),
    },
}
"""First and last step, first and last value of each signal."""


@pytest.mark.parametrize("name", PASTED)
def test_tables_and_records_that_people_paste(name):
    (run,) = read_log(outside("pasted") / name)
    for signal, (start, stop, first, last) in PASTED[name].items():
        found = run[signal]
        assert (found.step[0], found.step[-1]) == (start, stop)
        assert (found.value[0], found.value[-1]) == (pytest.approx(first), pytest.approx(last))


def test_parts_of_a_loss_and_losses_of_two_players_are_said():
    (run,) = read_log(outside("pasted") / "yolo_results.csv")
    assert "one of 3 parts of a loss" in next(c.remark for c in run.columns if c.signal == "train_loss")
    (run,) = read_log(outside("pasted") / "stats.jsonl")
    assert "train_loss" not in run
    assert any("Loss/G/loss, Loss/D/loss" in note for note in run.notes)
