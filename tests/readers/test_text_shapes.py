"""Lines in the shapes that well-known trainers print, with own numbers, and the curves in them."""

# ruff: noqa: E501 - lines of logs are long

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from slingshot_analysis.readers import read_log
from slingshot_analysis.readers._text import scan

LOSS = [2.8, 2.267, 1.846, 1.506, 1.228, 1.003, 0.83, 0.706, 0.623, 0.568, 0.528, 0.49]
VAL = [round(loss + 0.11, 3) for loss in LOSS]
ACC = [round(0.2 + 0.06 * k, 2) for k in range(12)]
VAL_ACC = [round(0.15 + 0.05 * k, 2) for k in range(12)]

TWELVE = range(12)
TENS = range(10, 130, 10)
IN_EPOCHS = [50 * (k % 3) + 150 * (k // 3) for k in TWELVE]


def each(line: Callable[[int], str]) -> str:
    """Return the lines of twelve values."""
    return "".join(line(k) for k in TWELVE)


SHAPES: dict[str, tuple[str, dict[str, tuple[list[float], list[float]]]]] = {}


def shape(text: str, steps: range | list[int], *signals: str, **others: tuple[list[float], list[float]]) -> None:
    """Note a text with twelve values of some signals at the same steps, and others with steps of their own."""
    values = {"train_loss": LOSS, "val_loss": VAL, "train_accuracy": ACC, "val_accuracy": VAL_ACC, "batch_loss": LOSS}
    known = {name: (list(map(float, steps)), values[name]) for name in signals}
    SHAPES[text.strip().split("\n")[0][:60]] = (text, known | others)


shape(  # an image classifier with a pass over the test set in each epoch, whose last line has the mean in brackets
    "".join(
        f"Train: {k // 3} [{50 * (k % 3):>4d}/150 ({33 * (k % 3):>3d}%)]  Loss: {LOSS[k]} (9.9)  Time: 0.320s,  400.32/s  "
        f"(0.470s,  272.39/s)  LR: 1.000e-05  Data: 0.217 (0.047)\n"
        + (
            "".join(
                f"Test: [{j:>4d}/30]  Time: 3.856 (0.732)  Loss:   6.615 ( {VAL[k] + 30 - j})  Acc@1:   12.000 "
                f"(  {100 * VAL_ACC[k] - 30 + j:.1f})\n"
                for j in (0, 15, 30)
            )
            if k % 3 == 2
            else ""
        )
        for k in TWELVE
    ),
    IN_EPOCHS,
    "train_loss",
    val_loss=([100.0, 250.0, 400.0, 550.0], VAL[2::3]),
    val_accuracy=([100.0, 250.0, 400.0, 550.0], VAL_ACC[2::3]),
)
shape(  # a word language model
    each(
        lambda k: (
            f"| epoch {k // 3 + 1:3d} | {50 * (k % 3):5d}/  150 batches | lr 20.00 | ms/batch 45.68 | loss {LOSS[k]:5.3f} | "
            f"ppl 9.9\n"
            + (f"{'-' * 80}\n| end of epoch {k // 3 + 1:3d} | time: 220.15s | valid loss {VAL[k]} |\n" * (k % 3 == 2))
        )
    ),
    IN_EPOCHS,
    "train_loss",
    val_loss=([100.0, 250.0, 400.0, 550.0], VAL[2::3]),
)
shape(  # a detection tool box
    each(
        lambda k: (
            f"2022-05-07 16:43:0{k % 10},063 - mmdet - INFO - Epoch [{k // 3 + 1}][{50 * (k % 3)}/150]\tlr: 1.978e-03, "
            f"eta: 1:53:59, time: 0.487, memory: 3786, loss_cls: 0.9839, loss_bbox: 0.0727, loss: {LOSS[k]}\n"
        )
    ),
    IN_EPOCHS,
    "train_loss",
)
shape(  # the same tool box for classification, with its validation
    each(
        lambda k: (
            f"2023/06/08 17:06:5{k % 10} - mmengine - INFO - Epoch(train)  [{k // 3 + 1}][{50 * (k % 3):>3d}/150]  lr: 1.0e-02"
            f"  eta: 0:03:01  time: 0.1751  memory: 2965  loss: {LOSS[k]}\n"
            + (
                f"2023/06/08 17:07:19 - mmengine - INFO - Epoch(val) [{k // 3 + 1}][7/7]    accuracy/top1: "
                f"{100 * VAL_ACC[k]:.2f}  data_time: 0.0976\n"
            )
            * (k % 3 == 2)
        )
    ),
    IN_EPOCHS,
    "train_loss",
    val_accuracy=([100.0, 250.0, 400.0, 550.0], VAL_ACC[2::3]),
)
shape(  # machine translation
    each(
        lambda k: (
            f"[2021-10-12 22:11:{10 + k},850 INFO] Step {10 * k + 10}/ 120; acc: {100 * ACC[k]:6.2f}; ppl: 9.91; "
            f"xent: {LOSS[k]}; lr: 1.00000; 5340/5327 tok/s;     {k} sec\n"
        )
    ),
    TENS,
    "train_loss",
    "train_accuracy",
)
shape(  # bars that are drawn over each other, with the validation's values at the end
    each(
        lambda k: (
            f"Epoch {k}:  50%|█████     | 5/10 [00:01<00:01,  4.5it/s, v_num=3, train_loss=9.9]\r"
            "Validation DataLoader 0: 100%|██████████| 4/4 [00:00<00:00, 50.00it/s]\r"
            f"Epoch {k}: 100%|██████████| 10/10 [00:02<00:00,  4.5it/s, v_num=3, train_loss={LOSS[k]}, val_loss={VAL[k]}, "
            f"val_acc={VAL_ACC[k]}]\n"
        )
    ),
    TWELVE,
    "train_loss",
    "val_loss",
    "val_accuracy",
)
shape(  # a table, a row for each epoch, whose accuracy is that of the validation
    "Learner(layers=3)\nepoch     train_loss  valid_loss  accuracy  time    \n"
    + each(lambda k: f"{k}         {LOSS[k]:.6f}    {VAL[k]:.6f}    {VAL_ACC[k]:.6f}  00:05     \n"),
    TWELVE,
    "train_loss",
    "val_loss",
    "val_accuracy",
)
shape(each(lambda k: f"[{k}]\ttrain-logloss:{LOSS[k]}\tvalid-logloss:{VAL[k]}\n"), TWELVE, "train_loss", "val_loss")
shape(
    each(lambda k: f"[{k}]\ttraining's binary_logloss: {LOSS[k]}\tvalid_1's binary_logloss: {VAL[k]}\n"),
    TWELVE,
    "train_loss",
    "val_loss",
)
shape(
    each(lambda k: f"{k}:\tlearn: {LOSS[k]}\ttest: {VAL[k]}\tbest: 0.1 ({k})\ttotal: {5 * k}ms\tremaining: 5.1s\n"),
    TWELVE,
    "train_loss",
    "val_loss",
)
shape(  # boxes with sections
    each(
        lambda k: (
            f"{'-' * 37}\n| rollout/           |          |\n|    ep_len_mean     | 22.1     |\n| time/              |          |\n"
            f"|    iterations      | {k + 1:<8d} |\n|    total_timesteps | {10 * k + 10:<8d} |\n| train/             |          |\n"
            f"|    loss            | {LOSS[k]:<8} |\n|    value_loss      | 49.3     |\n{'-' * 37}\n"
        )
    ),
    TENS,
    "train_loss",
)
shape(each(lambda k: f"Cost after iteration {10 * k + 10}: {LOSS[k]}\n"), TENS, "train_loss")
shape(
    each(lambda k: f"Training loss (for one batch) at step {10 * k + 10}: {LOSS[k]}\nSeen: {k}\n"), TENS, "train_loss"
)
shape(
    each(
        lambda k: (
            f"Epoch: {k:03d}, Loss: {LOSS[k]}, Train: {ACC[k]}, Val: {VAL_ACC[k]}, Test: {VAL_ACC[k] - 0.01:.2f}\n"
        )
    ),
    TWELVE,
    "train_loss",
    "train_accuracy",
    "val_accuracy",
)
shape(
    each(
        lambda k: (
            f"Epoch {k}/11\n----------\ntrain Loss: {LOSS[k]} Acc: {ACC[k]}\nval Loss: {VAL[k]} Acc: {VAL_ACC[k]}\n\n"
        )
    ),
    TWELVE,
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
)
shape(
    each(lambda k: f"[{k // 3 + 1}, {50 * (k % 3) + 50:5d}] loss: {LOSS[k]}\n"),
    [step + 50 for step in IN_EPOCHS],
    "train_loss",
)
shape(  # lines of updates, of epochs and of validation, all with the same name of the loss
    each(
        lambda k: (
            f"2025-10-15 11:33:3{k % 10} | INFO | train_inner | epoch {k // 3 + 1:03d}:    {k % 3 + 1} / 3 loss={LOSS[k]}, "
            f"ppl=4.2, num_updates={10 * k + 10}, lr=1e-05, gnorm=1.2, loss_scale=4\n"
            + (
                f"2025-10-15 11:33:44 | INFO | train | epoch {k // 3 + 1:03d} | loss {LOSS[k] + 0.5:.3f} | ppl 12.67 | "
                f"num_updates {10 * k + 10}\n2025-10-15 11:33:45 | INFO | valid | epoch {k // 3 + 1:03d} | valid on 'valid' "
                f"subset | loss {VAL[k]} | ppl 4 | num_updates {10 * k + 10} | best_loss 0.1\n"
            )
            * (k % 3 == 2)
        )
    ),
    TENS,
    "batch_loss",
    train_loss=([30.0, 60.0, 90.0, 120.0], [round(loss + 0.5, 3) for loss in LOSS[2::3]]),
    val_loss=([30.0, 60.0, 90.0, 120.0], VAL[2::3]),
)
shape(
    each(
        lambda k: (
            f"[host] 2021-01-01 10:00:{10 + k},123 (trainer:737) INFO: {k // 3 + 1}epoch:train:{10 * (k % 3) + 1}-"
            f"{10 * (k % 3) + 10}batch: iter_time=0.1, loss_ctc=50.1, loss={LOSS[k]}, acc={ACC[k]}, train_time=1.1\n"
        )
    ),
    [10 * k + 10 for k in TWELVE],
    "train_loss",
    "train_accuracy",
)
shape(
    each(
        lambda k: (
            f"INFO:root:Epoch[{k}] Train-accuracy={ACC[k]}\nINFO:root:Epoch[{k}] Train-cross-entropy={LOSS[k]}\n"
            f"INFO:root:Epoch[{k}] Time cost=106.624\nINFO:root:Epoch[{k}] Validation-accuracy={VAL_ACC[k]}\n"
            f"INFO:root:Epoch[{k}] Validation-cross-entropy={VAL[k]}\n"
        )
    ),
    TWELVE,
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
)
shape(  # a bar with colours, and the states before the last
    each(
        lambda k: (
            f"\x1b[1mEpoch {k}/11\x1b[0m\n\x1b[1m  1/938\x1b[0m \x1b[37m━━━━━━━━━━\x1b[0m \x1b[1m5:03\x1b[0m 324ms/step - "
            "accuracy: 0.0938 - loss: 9.9\b\b\b\b\r\x1b[1m938/938\x1b[0m \x1b[32m━━━━━━━━━━\x1b[0m\x1b[37m\x1b[0m "
            f"\x1b[1m3s\x1b[0m 2ms/step - accuracy: {ACC[k]} - loss: {LOSS[k]} - val_accuracy: {VAL_ACC[k]} - val_loss: {VAL[k]}\n"
        )
    ),
    TWELVE,
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
)
shape(
    each(
        lambda k: (
            f"{{'step': {k}, 'train': {{'loss': {LOSS[k]}, 'acc': {ACC[k]}}}, 'val': {{'loss': {VAL[k]}, 'acc': {VAL_ACC[k]}}}}}\n"
        )
    ),
    TWELVE,
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
)
shape(
    each(
        lambda k: (
            f"I0102 10:00:{10 + k}.123456 139812 train.py:215] train[{10 * k + 10}]: loss={LOSS[k]}, accuracy={ACC[k]}\n"
            f"I0102 10:00:{10 + k}.123456 139812 train.py:216] eval[{10 * k + 10}]: loss={VAL[k]}, accuracy={VAL_ACC[k]}\n"
        )
    ),
    TENS,
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
)
shape(  # lines of one form below headings of training and of evaluation
    each(
        lambda k: (
            (f"Epoch {k // 3 + 1}/4\n" * (k % 3 == 0))
            + f"step {50 * (k % 3) + 50}/150 - loss: {LOSS[k]} - 1s/step\n"
            + (
                f"Eval begin...\nstep 5/10 - loss: {VAL[k] - 0.2:.3f} - 1s/step\nstep 10/10 - loss: {VAL[k] + 0.2:.3f} - 1s/step\n"
                * (k % 3 == 2)
            )
        )
    ),
    [step + 50 for step in IN_EPOCHS],
    "train_loss",
    val_loss=([150.0, 300.0, 450.0, 600.0], VAL[2::3]),
)
shape(  # the card of a model; the first rows have no loss yet
    "| Training Loss | Epoch | Step | Validation Loss | Accuracy |\n|:-------------:|:-----:|:----:|:---------------:|:-----:|\n"
    + each(
        lambda k: f"| {'No log' if k < 2 else LOSS[k]} | {(k + 1) / 4} | {10 * k + 10} | {VAL[k]} | {VAL_ACC[k]} |\n"
    ),
    TENS,
    "val_loss",
    "val_accuracy",
    train_loss=(list(map(float, TENS))[2:], LOSS[2:]),
)
shape(
    each(
        lambda k: (
            f"Epoch: {k} cost time: 1.1\nEpoch: {k}, Steps: 200 | Train Loss: {LOSS[k]} Vali Loss: {VAL[k]} Test Loss: 9.9\n"
            f"Validation loss decreased ({VAL[k] + 1:.6f} --> {VAL[k]:.6f}).  Saving model ...\nUpdating learning rate to 0.0001\n"
        )
    ),
    TWELVE,
    "train_loss",
)
shape(
    each(lambda k: f"[batch={10 * k + 10}/120]:\n\t Train time/batch: {k}\n\t Train loss/train/total: {LOSS[k]}\n"),
    TENS,
    "train_loss",
)


shape(  # a counter of the whole run in bars of epochs, of which the second begins where the first ends
    each(
        lambda k: (
            f"Epoch {k // 6}: {20 * (k % 6)}%|{'#' * (k % 6)}{'-' * (5 - k % 6)}| {20 * (k % 6)}/100 [00:12<00:30, "
            f"reduced_train_loss={LOSS[k]}, global_step={100 * (k // 6) + 20 * (k % 6)}.0]\r"
        )
    ),
    [],
    train_loss=(
        [float(100 * (k // 6) + 20 * (k % 6)) for k in TWELVE if k != 5],
        [loss for k, loss in enumerate(LOSS) if k != 5],
    ),
)

VALIDATED = [k for k in TWELVE if k % 3 == 2]
shape(  # a line of training counts updates and batches, one of validation batches alone
    each(
        lambda k: (
            f"Epoch 1 | iter {4 * k} step {k} | loss train: {LOSS[k]}, val: n/a | iter time: 120.11 ms (step)\n"
            + (f"iter {4 * k}: val loss {VAL[k]}, val time: 1200.1 ms\n" if k in VALIDATED else "")
        )
    ),
    TWELVE,
    "train_loss",
    val_loss=([float(k) for k in VALIDATED], [VAL[k] for k in VALIDATED]),
)
shape(  # the same, where lines of training repeat the last validation
    each(
        lambda k: (
            f"iter {4 * k} step {k} | loss train: {LOSS[k]}, val: {VAL[k // 3 * 3 - 1] if k > 2 else 'n/a'}\n"
            + (f"iter {4 * k}: val loss {VAL[k]}, val time: 1200.1 ms\n" if k in VALIDATED else "")
        )
    ),
    TWELVE,
    "train_loss",
    val_loss=([float(k) for k in VALIDATED], [VAL[k] for k in VALIDATED]),
)
shape(  # a library that numbers the sets which it evaluates
    each(lambda k: f"[{k}]\tvalidation_0-logloss:{LOSS[k]}\tvalidation_1-logloss:{VAL[k]}\n"),
    TWELVE,
    "train_loss",
    "val_loss",
)
shape(  # another
    each(lambda k: f"[{k}]\tvalid_0's binary_logloss: {LOSS[k]}\tvalid_1's binary_logloss: {VAL[k]}\n"),
    TWELVE,
    "train_loss",
    "val_loss",
)

shape(  # a table printed with lines between its cells
    "┌──────┬────────┬────────┐\n│ step │ loss   │ acc    │\n├──────┼────────┼────────┤\n"
    + each(lambda k: f"│ {10 * k + 10:>4} │ {LOSS[k]} │ {ACC[k]} │\n")
    + "└──────┴────────┴────────┘\n",
    TENS,
    "train_loss",
    "train_accuracy",
)
shape(  # a table with bars between its cells alone
    "step | loss | acc\n--- | --- | ---\n" + each(lambda k: f"{10 * k + 10} | {LOSS[k]} | {ACC[k]}\n"),
    TENS,
    "train_loss",
    "train_accuracy",
)
shape(each(lambda k: f"10:{k:02d}:00|{10 * k + 10} loss {LOSS[k]}\n"), TENS, "train_loss")  # a time, glued to the step


@pytest.mark.parametrize("chunk", [400, 1 << 22])
@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_well_known_trainers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, chunk: int) -> None:
    monkeypatch.setattr(scan, "CHUNK", chunk)
    text, signals = SHAPES[name]
    path = tmp_path / "train.log"
    path.write_bytes(text.encode())
    (run,) = read_log(path)
    for signal, (steps, values) in signals.items():
        assert run[signal].step.tolist() == steps, signal
        assert run[signal].value.tolist() == pytest.approx(values, abs=1e-6), signal
    assert set(run.names) <= {*signals, "gradient_norm", "val_loss"}


def test_tables_that_a_notebook_shows(tmp_path: Path) -> None:
    rows = "".join(f"<tr><td>{10 * k}</td><td>{LOSS[k]}</td><td>{VAL[k]}</td></tr>" for k in TWELVE)
    page = f"<table><tr><th>Step</th><th>Training Loss</th><th>Validation Loss</th></tr>{rows}</table>"
    cells = [{"cell_type": "code", "outputs": [{"output_type": "display_data", "data": {"text/html": [page]}}]}]
    path = tmp_path / "run.ipynb"
    path.write_text(json.dumps({"cells": cells, "nbformat": 4}))
    (run,) = read_log(path)
    assert run["train_loss"].step.tolist() == [10 * k for k in TWELVE]
    assert (run["train_loss"].value.tolist(), run["val_loss"].value.tolist()) == (LOSS, VAL)
