"""How the columns of a log become signals, and how every oddity is told."""

import numpy as np
import pytest
from made_runs import write_staircase

from slingshot_analysis import InputError
from slingshot_analysis.readers import Column, Names, RawRun, built_in_names, read_log
from slingshot_analysis.readers._names import parameter_of
from slingshot_analysis.readers._understand import _guessed, understand

NAN = float("nan")


def logs(tmp_path, columns, chosen=None, name="", names=None):
    raw = RawRun(name, {n: c if isinstance(c, Column) else Column(np.array(c, float)) for n, c in columns.items()})
    file = tmp_path / "run.csv"
    file.touch()
    return understand(file, raw, names or built_in_names(), chosen or {})


def log(tmp_path, columns, **more):
    (only,) = logs(tmp_path, columns, **more)
    return only


def remark(run, column):
    return next(c.remark for c in run.columns if c.column == column)


@pytest.mark.parametrize(
    ("column", "signal"),
    [
        ("Loss/train", "train_loss"),
        ("train/loss", "train_loss"),
        ("training loss", "train_loss"),
        ("loss", "train_loss"),
        ("lm loss", "train_loss"),
        ("Accuracy/test", "val_accuracy"),
        ("eval_accuracy", "val_accuracy"),
        ("eval_g0_loss", "val_loss"),
        ("valid.acc", "val_accuracy"),
        ("acc", "train_accuracy"),
        ("lm_head_norm", "last_layer_norm"),
        ("weight_norm", "total_norm"),
        ("grad norm", "gradient_norm"),
        ("train_losses", "train_loss"),
        ("val_accs", "val_accuracy"),
        ("val_loss/dataloader_idx_0", "val_loss"),
        ("validation/main/accuracy", "val_accuracy"),
        ("main/loss", "train_loss"),
        ("DEV_LOSS", "val_loss"),
        ("total_loss", "train_loss"),
        ("W_out_norm", "last_layer_norm"),
        ("unembedding_parameter_norm", "last_layer_norm"),
        ("hidden_parameter_norm", "representation_norm"),
        ("sharpness", "hessian_top_eigenvalue"),
    ],
)
def test_names_that_logs_use(column, signal):
    assert built_in_names().assign([column]) == {signal: column}


def test_a_loss_on_one_of_several_tasks_is_not_that_of_the_batch():
    assert built_in_names().assign(["train_loss", "train_loss_+"]) == {"train_loss": "train_loss"}


def test_validation_comes_before_development_and_that_before_test():
    columns = ["TEST_LOSS", "DEV_LOSS", "VALID_LOSS"]
    assert built_in_names().assign(columns)["val_loss"] == "VALID_LOSS"
    assert built_in_names().assign(columns[:2])["val_loss"] == "DEV_LOSS"


@pytest.mark.parametrize("column", ["time/total_timesteps", "current_steps", "Progress/kimg", "iter"])
def test_what_counts_updates_or_samples_comes_before_epochs(column):
    assert built_in_names().step_of(["epoch", column]) == column


@pytest.mark.parametrize(
    ("column", "parameter"),
    [
        ("W_E_norm", "W_E"),
        ("fc1_norm", "fc1"),
        ("general/weights_l2/layers.3.weight", "layers.3.weight"),
        ("norm/blocks.0.mlp", "blocks.0.mlp"),
        ("grad_norm/fc1", None),
        ("general/grad_l2_norm/layers.3.weight", None),
        ("layer_norm", None),
    ],
)
def test_norms_that_are_named_after_their_layer(column, parameter):
    assert parameter_of(column) == parameter


def test_a_bare_norm_that_is_noisy_is_the_gradient_s(tmp_path):
    noise = np.exp(np.random.default_rng(0).normal(0, 1, 50))
    run = log(tmp_path, {"step": range(50), "norm": noise})
    assert run.names == ("gradient_norm",)
    assert "too noisy for weights" in remark(run, "norm")


def test_an_accuracy_without_a_side_on_rows_of_its_own_is_that_of_validation(tmp_path):
    rare = np.arange(20) % 5 == 0
    loss = Column(np.where(rare, NAN, 1.0), missing=rare)
    accuracy = Column(np.where(rare, 0.5, NAN), missing=~rare)
    run = log(tmp_path, {"step": range(20), "loss": loss, "acc": accuracy})
    assert run["val_accuracy"].name == "acc"
    assert "taken for validation" in remark(run, "acc")
    assert log(tmp_path, {"step": range(20), "loss": loss, "acc": loss})["train_accuracy"].name == "acc"


def test_nan_is_a_value_and_an_empty_cell_is_none(tmp_path):
    column = Column(np.array([3.0, NAN, NAN, 1.0]), missing=np.array([False, True, False, False]))
    run = log(tmp_path, {"step": [0, 10, 20, 30], "loss": column})
    assert run["train_loss"].step.tolist() == [0, 20, 30]
    assert remark(run, "loss") == "NaN or infinite at step 20"


def test_the_loss_of_the_whole_set_comes_before_that_of_the_batches():
    found = built_in_names().assign(["train_loss", "full_train_loss"])
    assert found == {"train_loss": "full_train_loss", "batch_loss": "train_loss"}
    assert built_in_names().assign(["train_loss"]) == {"train_loss": "train_loss"}


def test_a_table_of_a_lab_comes_first(tmp_path):
    file = tmp_path / "lab.toml"
    file.write_text('[signals]\nval_accuracy = ["held out correct"]\n[step]\nnames = ["tick"]\n')
    names = Names.read(file).before(built_in_names())
    columns = {"tick": [0, 5, 9], "step": [0, 1, 2], "Held-Out-Correct": [0.1, 0.2, 0.3], "val_acc": [0.5, 0.5, 0.5]}
    run = log(tmp_path, columns, names=names)
    assert run["val_accuracy"].name == "Held-Out-Correct"
    assert run["val_accuracy"].step.tolist() == [0, 5, 9]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("signals = 3", "lab.toml"),
        ("[signals]\nval_acuracy = ['x']", "did you mean 'val_accuracy'"),
        ("[signals]\nval_accuracy = 'x'", "val_accuracy: give a list of names"),
        ("[signals]\nval_accuracy = ['x', 1]", "val_accuracy: give a list of names"),
        ("[nonsense]\n", "unknown table"),
        ("[", "is not TOML"),
    ],
)
def test_a_wrong_table_says_what_is_wrong(tmp_path, text, words):
    file = tmp_path / "lab.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        Names.read(file)


def test_percent_becomes_a_fraction_and_says_so(tmp_path):
    run = log(tmp_path, {"step": [0, 1, 2], "val_acc": [1.0, 50.0, 99.5], "train_acc": [0.5, 1.0, 1.0]})
    assert run["val_accuracy"].value.tolist() == [0.01, 0.5, 0.995]
    assert run["train_accuracy"].value.tolist() == [0.5, 1.0, 1.0]
    assert "percent" in remark(run, "val_acc")
    assert remark(run, "train_acc") == ""


def test_an_error_rate_becomes_an_accuracy(tmp_path):
    run = log(tmp_path, {"step": [0, 1], "err": [0.25, 0.0]}, chosen={"val_accuracy": "err"})
    assert run["val_accuracy"].value.tolist() == [0.75, 1.0]


def test_values_on_different_rows_and_empty_columns(tmp_path):
    columns = {
        "step": [0, 0, 1, 1],
        "train_loss": [3.0, NAN, 2.0, NAN],
        "val_loss": [NAN, 4.0, NAN, 5.0],
        "val_acc": [NAN] * 4,
    }
    run = log(tmp_path, columns)
    assert run["train_loss"].step.tolist() == [0, 1]
    assert run["val_loss"].value.tolist() == [4.0, 5.0]
    assert "val_accuracy" not in run
    assert remark(run, "val_acc") == "empty"


def test_a_restart_takes_over_the_rows_that_it_repeats(tmp_path):
    run = log(tmp_path, {"step": [0, 10, 20, 30, 20, 30, 40], "loss": [5, 4, 3, 2, 3.5, 2.5, 1]})
    assert run["train_loss"].step.tolist() == [0, 10, 20, 30, 40]
    assert run["train_loss"].value.tolist() == [5, 4, 3.5, 2.5, 1]
    assert "go back once: 2 rows" in remark(run, "loss")


ORDERS = {
    "newest first": np.arange(60)[::-1],
    "neighbours swapped": np.arange(60) ^ 1,
    "shuffled": np.random.default_rng(0).permutation(60),
    "one late": np.r_[0:20, 21:24, 20, 24:60],
    "one late at the end": np.r_[0:20, 21:60, 20],
    "as they end": np.argsort(np.arange(60) + np.random.default_rng(1).uniform(0, 2.5, 60)),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_rows_out_of_order_are_sorted(tmp_path, order):
    step, loss = 10.0 * order, 1 / (1.0 + order)
    val = np.where(order % 5 == 0, loss, NAN)
    run = log(tmp_path, {"step": step, "loss": loss, "val_loss": val, "batch_loss": Column(loss, step)})
    for signal, every in (("train_loss", 1), ("val_loss", 5), ("batch_loss", 1)):
        assert run[signal].step.tolist() == list(range(0, 600, 10 * every))
        assert run[signal].value.tolist() == [1 / (1 + row) for row in range(0, 60, every)]
    assert run.notes == ("rows were out of order: sorted by step",)
    assert remark(run, "batch_loss") == run.notes[0]
    assert remark(run, "loss") == ""


@pytest.mark.parametrize("unit", [1, 0.5, 10])
def test_steps_sorted_as_text_are_sorted(tmp_path, unit):
    step = sorted((unit * k for k in range(2000)), key=str)
    run = log(tmp_path, {"step": step, "loss": step})
    assert run["train_loss"].value.tolist() == run["train_loss"].step.tolist() == [unit * k for k in range(2000)]
    assert run.notes == ("rows were out of order: sorted by step",)


@pytest.mark.parametrize("again", [45, 65, 75, 85])
@pytest.mark.parametrize("unit", [1, 0.01])
def test_a_restart_between_the_logged_steps_is_not_mixed_with_what_went_before(tmp_path, again, unit):
    step = unit * np.array([*range(0, 100, 10), *range(again, 200, 10)])
    run = log(tmp_path, {"step": step, "loss": range(len(step))})
    expected = unit * np.array([*range(0, again, 10), *range(again, 200, 10)])
    assert run["train_loss"].step.tolist() == expected.tolist()


def test_several_restarts_between_the_logged_steps(tmp_path):
    step = [*range(0, 1000, 100), *range(850, 2000, 100), *range(1900, 3000, 100)]
    run = log(tmp_path, {"step": step, "loss": range(len(step))})
    assert run["train_loss"].step.tolist() == [*range(0, 801, 100), *range(850, 1851, 100), *range(1900, 3000, 100)]


def test_rows_appended_twice_are_read_once(tmp_path):
    run = log(tmp_path, {"step": [0, 10, 0, 10], "loss": [5, 4, 5, 4]})
    assert run["train_loss"].value.tolist() == [5, 4]
    assert any("2 times over" in note for note in run.notes)
    repeated = log(tmp_path, {"step": [0, 10, 10, 20], "loss": [5, 4, 4, 3]})
    assert repeated["train_loss"].step.tolist() == [0, 10, 20]
    assert "1 repeated rows" in remark(repeated, "loss")


def test_a_file_of_runs_one_after_the_other_is_split(tmp_path):
    first, second = logs(tmp_path, {"step": [0, 10, 20, 0, 10], "loss": [5, 4, 3, 6, 2]})
    assert [first.name, second.name] == ["run, run 1", "run, run 2"]
    assert second["train_loss"].value.tolist() == [6, 2]


def test_losses_that_are_zero_rounded_or_averaged_are_told(tmp_path):
    values = np.round(np.geomspace(3, 1e-5, 30), 4)
    run = log(tmp_path, {"step": range(30), "train_epoch_loss": values})
    words = remark(run, "train_epoch_loss")
    assert f"{(values == 0).sum()} losses are exactly 0" in words
    assert "rounded to 0.0001" in words
    assert "averaged" in words


def test_without_a_step_column_rows_are_counted_and_epochs_are_named(tmp_path):
    run = log(tmp_path, {"loss": [3, 2, 1]})
    assert run["train_loss"].step.tolist() == [0, 1, 2]
    assert any("no column counts steps" in note for note in run.notes)
    assert any("counts epochs" in note for note in log(tmp_path, {"epoch": [0, 1], "loss": [3, 2]}).notes)


def test_steps_of_their_own_win_over_the_table(tmp_path):
    own = Column(np.array([3.0, 1.0]), np.array([100.0, 200.0]))
    assert log(tmp_path, {"loss": own})["train_loss"].step.tolist() == [100, 200]


def test_norms_of_single_parameters_become_one_signal(tmp_path):
    run = log(tmp_path, {"step": [0, 1], "paramnorm_fc1.weight": [1, 2], "paramnorm_fc1.bias": [3, 4]})
    assert run["parameter_norm"].select(parameter="fc1.bias").value.tolist() == [3, 4]


def test_what_the_user_chooses_wins_and_must_be_there(tmp_path):
    columns = {"step": [0, 1], "n": [5, 9], "train_loss": [3, 2], "other": [7, 8]}
    run = log(tmp_path, columns, chosen={"train_loss": "other", "step": "n"})
    assert run["train_loss"].value.tolist() == [7, 8]
    assert run["train_loss"].step.tolist() == [5, 9]
    with pytest.raises(InputError, match="did you mean 'other'"):
        log(tmp_path, columns, chosen={"train_loss": "othr"})
    with pytest.raises(InputError, match="unknown signal 'train_los'; did you mean 'train_loss'"):
        log(tmp_path, columns, chosen={"train_los": "other"})


def test_a_file_without_a_header_is_guessed_and_says_so(tmp_path):
    file = tmp_path / "acc.txt"
    file.write_text("".join(f"{k} {min(1, 0.3 * k)} {min(1, 0.1 * k)}\n" for k in range(12)))
    (run,) = read_log(file)
    assert run["train_accuracy"].value[2] == pytest.approx(0.6)
    assert run["val_accuracy"].value[2] == pytest.approx(0.2)
    assert any("no header" in note for note in run.notes)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "format"), (None, "no such file")],
)
def test_files_that_are_no_logs(tmp_path, content, words):
    file = tmp_path / "log.bin"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_log(file)


def test_an_unknown_format_names_the_known_ones(tmp_path):
    file = tmp_path / "log.csv"
    file.write_text("step,loss\n0,1\n")
    with pytest.raises(InputError, match="did you mean 'csv'"):
        read_log(file, format="cvs")


def test_a_trace_needs_no_map(tmp_path):
    file = write_staircase(tmp_path / "run.h5")
    assert "last_layer_norm" in read_log(file)[0]
    with pytest.raises(InputError, match=r"run\.h5: is a trace.*leave out map="):
        read_log(file, map={"train_loss": "batch_loss"})


def test_an_accuracy_beside_losses_of_both_sides_is_of_validation(tmp_path):
    columns = {"epoch": [0, 1, 2], "train_loss": [3, 2, 1], "valid_loss": [4, 3, 2], "accuracy": [0.2, 0.5, 0.7]}
    run = log(tmp_path, columns)
    assert run["val_accuracy"].value.tolist() == [0.2, 0.5, 0.7]
    assert "train_accuracy" not in run.names
    assert "beside losses of training and validation" in remark(run, "accuracy")
    keras = log(tmp_path, {"loss": [3, 2, 1], "val_loss": [4, 3, 2], "accuracy": [0.2, 0.5, 0.7]})
    assert "train_accuracy" in keras.names


def test_losses_in_parts_are_named_with_an_example(tmp_path):
    run = log(tmp_path, {"step": [0, 1, 2], "box_loss": [3, 2, 1], "cls_loss": [4, 3, 2]})
    (note,) = [note for note in run.notes if "no column is the loss" in note]
    assert note.endswith("such as train_loss=box_loss; several are not summed")


def test_the_first_of_columns_without_names_is_the_axis_only_if_it_increases():
    falls, rises = np.array([3.0, 1, 2]), np.array([1.0, 2, 3])
    assert _guessed({"column 1": falls, "column 2": rises})[0] is None
    assert _guessed({"column 1": rises, "column 2": falls})[0] == "column 1"
    assert _guessed({}) == (None, {})


@pytest.mark.parametrize("times", [2, 3, 4])
def test_steps_that_start_afresh_begin_a_run_and_rows_that_repeat_do_not(tmp_path, times):
    step = [0, 1, 2] * times
    runs = logs(tmp_path, {"step": step, "loss": np.arange(3.0 * times)})
    assert [run["train_loss"].value[0] for run in runs] == [3 * k for k in range(times)]
    assert sum("start afresh" in note for note in runs[0].notes) == 1
    (once,) = logs(tmp_path, {"step": step, "loss": [3.0, 2, 1] * times})
    assert once["train_loss"].value.tolist() == [3, 2, 1]
    assert not any("start afresh" in note for note in once.notes)
    assert any(f"same rows {times} times over" in note for note in once.notes)
