"""Text logs: pasted ones with known answers, those of llm.c and Megatron-LM, corrections by the user, refusals."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
from outside import outside

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers import Log, RawRun, read_log
from slingshot_analysis.readers._text.tables import header_above, table_row
from slingshot_analysis.readers.text import TextReader

MEGATRON = """\
using world size: 8
 iteration      100/  500000 | consumed samples:        51200 | elapsed time per iteration (ms): 4021.5 | \
learning rate: 1.500E-04 | global batch size:   512 | lm loss: 6.895523E+00 | loss scale: 1.0 | grad norm: 1.213 | \
number of skipped iterations:   0 | number of nan iterations:   0 |
-----------------------------------------------------------------------------------------------
 validation loss at iteration 100 | lm loss value: 2.925E+00 | lm loss PPL: 1.863E+01 |
-----------------------------------------------------------------------------------------------
 [2024-01-01 10:00:00] iteration      200/  500000 | consumed samples:       102400 | lm loss: NaN | grad norm: inf |
 validation loss at iteration 200 on validation set | lm loss value: 2.5E+00 | lm loss PPL: 1.2E+01 |
 validation loss at iteration 200 on test set | lm loss value: 2.6E+00 | lm loss PPL: 1.3E+01 |
"""

PASTED = {
    "hf_dicts.log": (0.25, 3.0),
    "epoch_batch_kv.log": (0, 550),
    "mnist_example.log": (0, 17600),
    "imagenet_meters.log": (0, 110),
    "keras_bar.log": (1, 6),
    "gpt2_pipes.log": (0, 11),
    "nanogpt.log": (0, 110),
    "speedrun_val_only.txt": (0, 80),
    "step_then_lines.log": (1, 12),
    "caffe.log": (0, 1100),
    "detectron.log": (19, 239),
    "fairseq_json.log": (200, 2400),
    "tf_estimator.log": (0, 1100),
    "table.md": (1, 12),
    "long_no_header.txt": (0, 11),
    "score.log": (0, 1100),
    "headings_runs.md": (0, 500),
    "double_bars.log": (10, 120),
    "notebook_keras.ipynb": (1, 12),
    "sanity_first.log": (0, 11),
}
"""For each pasted text log the first and last step."""

MEANT = {
    "batch_loss": ("batch_loss", "train_loss"),
    "task_loss": ("train_loss",),
    "batch_accuracy": ("train_accuracy",),
}
"""Signals that stand for what an answer names: the only training loss of a log is ``train_loss``."""


def read(folder: Path, text: str | bytes) -> RawRun:
    path = folder / "main.log"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    assert TextReader().recognizes(path, path.read_bytes()[: 2**16])
    (run,) = TextReader().read(path)
    return run


def points(run: RawRun) -> dict[str, list[tuple[float, float]]]:
    return {
        name: list(zip(column.step.tolist(), column.values.tolist(), strict=True))
        for name, column in run.columns.items()
        if column.step is not None
    }


@pytest.mark.parametrize("name", PASTED)
def test_pasted_logs_have_the_right_answer(name: str) -> None:
    answer = json.loads(outside("pasted/answers.json").read_text())[name]["answer"]
    runs = read_log(outside(f"pasted/{name}"))
    assert len(runs) == answer["runs"]
    steps = [step for signal in runs[0].names for step in runs[0][signal].step.tolist()]
    assert (min(steps), max(steps)) == PASTED[name]
    asked = {signal: value for signal, value in answer.items() if isinstance(value, list)}
    assert asked
    for signal, (first, last, count) in asked.items():
        found = next(runs[0][meant] for meant in MEANT.get(signal, (signal,)) if meant in runs[0].names)
        assert found.value[[0, -1]].tolist() == pytest.approx([first, last], abs=1e-9), signal
        assert len(found) == count, signal


def test_two_losses_of_which_none_is_that_of_training_are_named() -> None:
    (run,) = read_log(outside("pasted/rl_fixed.txt"))
    assert run.names == ()
    (run,) = read_log(outside("pasted/rl_fixed.txt"), map={"train_loss": "Critic_Loss"})
    assert run["train_loss"].value[[0, -1]].tolist() == [2.8, 0.4898]
    assert run["train_loss"].step.tolist() == list(range(0, 600, 50))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ticks.txt", "holds no loss; what repeats is called 'time', 'sec/tick'"),
        ("rewards.txt", "holds no loss; what repeats is called 'reward', 'eps'"),
        ("config_only.log", "a configuration or a note, not a log"),
    ],
)
def test_pasted_text_without_a_loss_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read_log(outside(f"pasted/negative/{name}"))


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("megatron_plain.log", r"iteration +(\d+)/.* lm loss: (\S+)"),
        ("megatron_preamble.log", r"iteration +(\d+)/.* lm loss: (\S+)"),
        ("megatron_timestamp.log", r"iteration +(\d+)/.* lm loss: (\S+)"),
        ("nanogpt.log", r"iter (\d+): loss ([\d.]+)"),
        ("fairseq_train.log", r'"loss": "(?P<loss>[\d.e+-]+)".*"num_updates": "(?P<step>\d+)"'),
        ("torchtune.txt", r"Step (\d+) \| loss:(\S+)"),
        ("composer.txt", r"\[batch=(\d+)/9000\]:\n.*\n\t Train loss/train/total: (\S+)"),
    ],
)
def test_logs_of_strangers(name: str, pattern: str) -> None:
    path = outside(f"strangers/{name}")
    found = [
        (float(match.groupdict().get("step", match[1])), float(match.groupdict().get("loss", match[2])))
        for match in re.finditer(pattern, path.read_text())
    ]
    (run,) = read_log(path)
    signal = run["batch_loss" if "batch_loss" in run.names else "train_loss"]
    assert len(found) > 300 - 1
    assert list(zip(signal.step.tolist(), signal.value.tolist(), strict=True)) == found


def test_a_real_log_of_llm_c() -> None:
    path = outside("logs/KellerJordan__modded-nanogpt/main.log")
    expected: dict[str, list[tuple[float, float]]] = {"tel": [], "trl": [], "lr": [], "grad_norm": []}
    for line in path.read_text().splitlines():
        words = dict(word.split(":") for word in line.split())
        step = float(words.pop("s"))
        for short, value in words.items():
            expected[{"norm": "grad_norm"}.get(short, short)].append((step, float(value)))
    assert TextReader().recognizes(path, path.read_bytes()[: 2**16])
    (raw,) = TextReader().read(path)
    assert points(raw) == expected
    (run,) = read_log(path)
    assert (len(run["train_loss"]), len(run["val_loss"]), len(run["gradient_norm"])) == (19560, 80, 19560)


def test_a_restart_of_llm_c_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    text = "s:0 eval:0.25\ns:0 trl:4.5 lr:0.1 norm:2\ns:1 trl:3.5 lr:0.1 norm:1\ns:0 trl:4.4 lr:0.1 norm:2.5\n"
    for content in (text, gzip.compress(text.encode())):
        found = points(read(tmp_path, content))
        assert found["trl"] == [(0, 4.5), (1, 3.5), (0, 4.4)]
        assert found["grad_norm"] == [(0, 2), (1, 1), (0, 2.5)]


def test_megatron(tmp_path: Path) -> None:
    run = read(tmp_path, MEGATRON)
    found = points(run)
    assert repr(found.pop("lm loss")) == "[(100.0, 6.895523), (200.0, nan)]"
    assert {
        name: found[name] for name in ("consumed samples", "grad norm", "val/lm loss value", "test/lm loss value")
    } == {
        "consumed samples": [(100, 51200), (200, 102400)],
        "grad norm": [(100, 1.213), (200, float("inf"))],
        "val/lm loss value": [(100, 2.925), (200, 2.5)],
        "test/lm loss value": [(200, 2.6)],
    }
    assert run.attributes == {"train_iters": 500000}
    (log,) = read_log(tmp_path / "main.log")
    assert log["val_loss"].value.tolist() == [2.925, 2.5]


def test_a_cut_end_loses_nothing_else(tmp_path: Path) -> None:
    text = "".join(f"s:{k} trl:{4.5 - k} lr:0.1 norm:2\n" for k in range(3)) + "s:3 trl:3.5 lr:"
    assert points(read(tmp_path, text))["trl"] == [(0, 4.5), (1, 3.5), (2, 2.5), (3, 3.5)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"nothing here\n", "no line with numbers repeats"),
        (b"s:0 trl:oops\n", "no line with numbers repeats"),
        (b"\x7fELF\x02\x01\0\0", "binary file"),
        (b"<html>s:0 trl:1</html>", "web page"),
        (b"took 3 s\ntook 4 s\n", "holds no loss; what repeats is called 'took'"),
    ],
)
def test_what_is_no_log_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "main.log"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        TextReader().read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("main.log", b""),
        ("main.log", b"step,loss\n0,1\n1,2\n2,1\n"),
        ("main.log", b"\x7fELF\0\0"),
        ("main.log", b'{"step": 1, "loss": 2}\n{"step": 2, "loss": 1}\n'),
        ("main.log", b'[\n{"step": 1, "loss": 2},\n{"st'),
        ("main.log", b'{\n"step": [1, 2],\n"loss": [2.5,\n2.0'),
        ("main.csv", b"step 1 loss 2\nstep 2 loss 1\n"),
        ("main.txt", b"step   train_loss   seed\n1   2.5   0\n2   2.0   0\n1   2.4   1\n2   2.1   1\n"),
        ("main.txt", b"step\ttrain_loss\tval_loss\n1\t2.5\t\n2\t\t2.0\n3\t2.4\t\n"),
        ("run.jsonl", b"step 1 loss 2\n"),
    ],
)
def test_what_is_left_to_other_readers(name: str, head: bytes) -> None:
    assert not TextReader().recognizes(Path(name), head)


@pytest.mark.parametrize(
    "head", [b"[INFO] step 1 loss 2\n", b"{'loss': 2.5, 'step': 1}\n", b"iter 1 loss 2\niter 2 loss 1\n"]
)
def test_what_is_text(head: bytes) -> None:
    assert TextReader().recognizes(Path("main.log"), head)


STEPS = "".join(f"it {k} of 90 | a {k / 10} | b {5 - k / 10} ({k}) | seen {7 * k}\n" for k in range(10))


def test_a_line_is_given_with_names_in_braces(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text(STEPS)
    with pytest.raises(InputError, match="holds no loss; what repeats is called 'a', 'b'"):
        read_log(path)
    for line in (
        "it {step} of {} | {} | b {loss} (",
        "{step} of 90 | a {} b {loss}",
        ["none {a}", "it {step} of {} b {loss}"],
    ):
        if isinstance(line, list):
            with pytest.raises(InputError, match=r"no line fits 'none \{a\}'; a line of the file is 'it 0 of 90"):
                read_log(path, line=line)
            continue
        (run,) = read_log(path, line=line)
        assert run["train_loss"].step.tolist() == list(range(10))
        assert run["train_loss"].value.tolist() == pytest.approx([5 - k / 10 for k in range(10)])


def test_names_that_the_table_does_not_know_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text(STEPS)
    (run,) = read_log(path, map={"train_loss": "b", "step": "seen"})
    assert run["train_loss"].step.tolist() == [7 * k for k in range(10)]
    with pytest.raises(InputError, match=r"run\.txt.*number for step 'y'"):
        read_log(path, map={"train_loss": "b", "step": "y"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("step loss", "has no {name}"),
        ("step {} loss {}", "has no {name}"),
        ("{loss} {loss}", "has a name twice"),
        ("{step}{loss}", "right after each other"),
        ("loss {loss", "has no {name}"),
        ("step {step} loss {loss and", "without its partner"),
    ],
)
def test_a_line_that_is_no_template_is_refused(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "run.txt"
    path.write_text(STEPS)
    with pytest.raises(InputError, match=re.escape(message)):
        read_log(path, line=line)


def test_a_line_is_for_text_only(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("step,loss\n1,2\n")
    with pytest.raises(InputError, match="is for text logs"):
        read_log(path, line="{loss}", format="csv")


def test_the_taken_lines_are_told(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("hello\n" + "".join(f"[01:02:0{k}] step {k} | loss {5 - k} | {k}s\n" for k in range(5)) + "bye\n")
    (run,) = read_log(path)
    assert isinstance(run, Log)
    (line,) = run.templates
    assert (line.text, line.number, line.count) == ("step {step} | loss {loss} | {}s", 2, 5)
    assert line.example == "[01:02:00] step 0 | loss 5 | 0s"
    assert line.columns == ("loss",)
    assert "lines of other text left out: 2" in run.notes


LEVELS = [0.9, 0.7, 0.5, 0.4, 0.3, 0.2]


def lines(form: str) -> str:
    """Return a line for each level, with `k` from 0, `level`, and `rise` from 0 to 1."""
    return "".join(form.format(k=k, level=level, rise=k / 5) + "\n" for k, level in enumerate(LEVELS))


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ("1{k} loss {level}", 10),
        ("10{k}|10:00:0{k}|loss {level}", 100),
        ("0{k}/05 10:00:00 10{k} loss {level}", 100),
    ],
)
def test_a_date_and_a_time_before_the_message_are_no_steps(tmp_path: Path, form: str, first: int) -> None:
    assert points(read(tmp_path, lines(form)))["loss"] == [(first + k, level) for k, level in enumerate(LEVELS)]


def test_a_score_is_the_loss_where_a_counter_stands_beside_it(tmp_path: Path) -> None:
    assert points(read(tmp_path, lines("step {k} score {level} speed 3.1")))["loss"] == list(enumerate(LEVELS))
    for text in (lines("score {level}"), "step 7 score 0.5\n" + lines("step {k}: speed {level}")):
        path = tmp_path / "main.log"
        path.write_text(text)
        with pytest.raises(InputError, match="holds no loss"):
            TextReader().read(path)


@pytest.mark.parametrize(
    ("form", "name"),
    [("{rise}", "val/accuracy"), ("{k}1.5%", "val/accuracy"), ("{level}", "val/loss"), ("1.{k}", "val/loss")],
)
def test_a_bare_split_is_an_accuracy_where_it_rises_within_one(tmp_path: Path, form: str, name: str) -> None:
    assert set(read(tmp_path, lines("epoch {k} loss {level} val " + form)).columns) == {"loss", name}


def test_a_single_line_counts_where_others_give_the_same_loss(tmp_path: Path) -> None:
    run = read(tmp_path, "step 1 loss 0.5\nstep 2 loss 0.4\nstep 3: loss 0.3\n")
    assert points(run) == {"loss": [(1, 0.5), (2, 0.4), (3, 0.3)]}
    assert run.notes == ["lines of other text left out: 1"]


def test_an_evaluation_stands_below_its_heading_where_the_counter_restarts(tmp_path: Path) -> None:
    form = "step {0} - loss: 0.{1}\nEval begin\nstep 1 - loss: 0.{2}\nTrain\n"
    run = read(tmp_path, form.format(1, 9, 8) + form.format(2, 7, 6))
    assert points(run) == {"loss": [(1, 0.9), (2, 0.7)], "eval/loss": [(1, 0.8), (2, 0.6)]}


def test_one_epoch_is_enough_for_an_axis_of_epochs(tmp_path: Path) -> None:
    run = read(tmp_path, "epoch 3 train: loss 0.5\nepoch 3 val: loss 0.4\n")
    assert points(run) == {"train/loss": [(3, 0.5)], "val/loss": [(3, 0.4)]}


def test_a_validation_before_the_first_heading_moves_no_later_one(tmp_path: Path) -> None:
    run = read(tmp_path, "val_loss 0.9\n" + lines("Epoch {k}\nloss {level}\nval_loss {rise}") + "Epoch 6\nloss 0.1\n")
    assert points(run)["val_loss"] == [(0, 0.9), *((k, k / 5) for k in range(6))]


def test_losses_of_two_kinds_of_lines_are_told_apart_by_the_words_before_them(tmp_path: Path) -> None:
    run = read(tmp_path, lines("step {k} teacher: loss {level}\nstep {k} student: loss 1.{k}"))
    assert list(run.columns) == ["loss", "step student/loss"]


def test_lines_of_training_that_repeat_two_validations_add_none(tmp_path: Path) -> None:
    form = "step {0} | loss train: 0.{0}, val: 0.{1}\n"
    text = "step 1: val loss 0.8\n" + form.format(1, 8) + form.format(2, 8)
    text += "step 3: val loss 0.6\n" + form.format(3, 6) + form.format(4, 6)
    assert points(read(tmp_path, text))["val loss"] == [(1, 0.8), (3, 0.6)]


def test_a_header_may_have_one_cell_that_is_no_name() -> None:
    row = table_row("\0 \0 \0", ["1", "2.5", "7"])
    assert row is not None
    assert header_above(["epoch loss 2"], row) == "epoch loss 2"
    assert header_above(["epoch 1 2"], row) == ""


def test_values_that_are_not_finite_are_values(tmp_path: Path) -> None:
    words = ["2.5", "nan", "NaN", "inf", "-inf", "1e-3", "Infinity"]
    path = tmp_path / "run.log"
    path.write_text("".join(f"INFO step {k}: loss={word}, info 3\n" for k, word in enumerate(words)))
    (run,) = TextReader().read(path)
    np.testing.assert_array_equal(run.columns["loss"].values, [2.5, np.nan, np.nan, np.inf, -np.inf, 1e-3, np.inf])


def test_thousands_decimal_commas_and_units(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    losses = ["2,5", "2,25", "2,125", "2,0", "1,75", "1,5", "1,25"]
    perplexities = ["950", "1.2k", "3k", "1M", "900", "12", "1"]
    rows = zip(range(500, 4000, 500), losses, perplexities, strict=True)
    path.write_text("".join(f"step {k:,}: loss {loss}, ppl {ppl}\n" for k, loss, ppl in rows))
    (run,) = TextReader().read(path)
    assert run.columns["loss"].step is not None
    assert run.columns["loss"].step.tolist() == list(range(500, 4000, 500))
    assert run.columns["loss"].values.tolist() == [2.5, 2.25, 2.125, 2.0, 1.75, 1.5, 1.25]
    assert run.columns["ppl"].values.tolist() == [950, 1200, 3000, 1e6, 900, 12, 1]


def test_of_several_processes_the_first_is_read(tmp_path: Path) -> None:
    for form in ("[rank{r}] step {k} loss {v}", "[Rank {r}] step {k} loss {v}", "rank {r}: step {k} loss {v}"):
        path = tmp_path / "run.log"
        path.write_text("".join(form.format(r=r, k=k, v=5 - k + r / 10) + "\n" for k in range(6) for r in range(4)))
        (run,) = read_log(path)
        assert run["train_loss"].value.tolist() == [5 - k for k in range(6)]
        assert any("other processes" in note for note in run.notes)


def test_a_bar_for_the_whole_run_is_read_with_all_its_states(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(b"".join(
        f"\r {k:3d}%|{'#' * (k // 10):10s}| {k}/100 [00:{k // 2:02d}<00:10, 2.0it/s, loss={5 - k / 100:.2f}]".encode()
        for k in range(0, 101, 5)
    ))  # fmt: skip
    (run,) = read_log(path)
    assert run["train_loss"].step.tolist() == list(range(0, 101, 5))


def test_many_kinds_of_lines_and_long_ones_are_read_in_time_that_grows_with_their_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = ["".join(map(chr, 97 + rng.integers(0, 26, 12))) for _ in range(20000)]
    path = tmp_path / "run.log"
    lines = [f"{word}: {k}" for k, word in enumerate(words)]
    lines += [f"step {k} loss {5 - k / 100}" for k in range(100)]
    lines += ["1,2," * 100_000, "(" * 100_000, "=" * 100_000 + "1", "a: " * 50_000 + "1", "[" * 3000 + "1", "1 " * 1500]
    path.write_text("\n".join(lines))
    (run,) = read_log(path)
    assert run["train_loss"].step.tolist() == list(range(100))
    assert any("very many kinds of lines" in note for note in run.notes)


@pytest.mark.parametrize("name", ["run.ipynb", "run.txt"])
def test_notebooks(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    outputs = [{"output_type": "stream", "text": ["step 1 loss 2.5\nstep 2 l", "oss 2.0\n"]},
               {"output_type": "stream", "text": "step 3 loss 1.5\n"}]  # fmt: skip
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "outputs": outputs}], "nbformat": 4}))
    (run,) = read_log(path, format="text")
    assert run["train_loss"].value.tolist() == [2.5, 2.0, 1.5]
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "outputs": []}], "nbformat": 4}))
    with pytest.raises(InputError, match="have no output"):
        read_log(path, format="text")
    path.write_text('{"cells": [')
    with pytest.raises(InputError, match="can't be read as a notebook"):
        read_log(path, format="text")


def test_a_line_is_taken_from_an_open_file_too(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text(STEPS)
    with path.open("rb") as file:
        (run,) = read_log(file, line="it {step} of {} b {loss}")
    assert run["train_loss"].step.tolist() == list(range(10))
    with pytest.raises(InputError, match="line= is for text logs"):
        read_log({"step": [1, 2], "loss": [2.0, 1.0]}, line="{loss}")
