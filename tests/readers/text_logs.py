"""Text logs of many forms with known content: templates, prefixes, cadences and traps, combined at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

PREFIXES = (
    "",
    "[2024-01-05 10:{m:02d}:{s:02d}] ",
    "2024-01-05 10:{m:02d}:{s:02d},123 - INFO - ",
    "2024-01-05T10:{m:02d}:{s:02d}.5Z | INFO | trainer | ",
    "[01/05 10:{m:02d}:{s:02d}] trainer.engine INFO: ",
    "I0105 10:{m:02d}:{s:02d}.000123  77 solver.cpp:218] ",
    "INFO:root:",
    "[rank0]: ",
    "train.py:{m}: ",
    "[INFO] (loop.py:118) ",
    "\x1b[32m[train_loop]\x1b[0m ",
)
"""What stands before the message; ``{m}`` and ``{s}`` change from line to line."""

STEP_LINES = (
    "step {step}: loss {loss}, lr {lr}, dt {ms}ms",
    "step={step} loss={loss} lr={lr}",
    "Step {step}/{last} | loss: {loss} | lr: {lr} | tok/s: {rate} | ETA: 0:12:{s:02d}",
    "iter: {step}  loss: {loss}  time: 0.{ms}  max_mem: 5700M",
    "[{step:06d}/{last}] loss {loss} mem 9.8/15.9GB (62%)",
    "{{'loss': {loss}, 'learning_rate': {lr}, 'step': {step}}}",
    'train {{"num_updates": "{step}", "loss": "{loss}", "loss_scale": "16", "wps": "{rate}"}}',
    "iteration {step:>8}/{last:>8} | consumed samples: {rate} | lm loss: {loss} | grad norm: 1.{ms} |",
    "Iteration {step}, loss = {loss} (* 1 = {loss} loss)",
    "Loss at step {step}: {loss}",
    "Iters: {step}/{last} || Lr: {lr} || Loss: {loss} || Cost Time: 0:01:{s:02d}",
    "step:{step} loss:{loss} train_time:{ms}ms",
)
"""Lines of a counter that goes through the whole run."""

EPOCH_LINES = (
    "Epoch {epoch}: loss {loss}, took {ms}s",
    "Epoch [{epoch}/{epochs}] - loss: {loss} - lr: {lr}",
    "epoch={epoch:03d} loss={loss} time=00:0{d}",
    "[epoch {epoch}] loss: {loss} (best so far 0.1)",
    "<epoch:{epoch:3d}, lr:{lr}> loss: {loss}",
)
"""One line for each epoch."""

BATCH_LINES = (
    "Epoch: [{epoch}][{batch}/{batches}]\tTime 0.2 (0.3)\tLoss {loss} ({mean})",
    "Epoch {epoch}, batch {batch}, loss: {loss}",
    "Train Epoch: {epoch} [{batch}/{batches} ({percent}%)]\tLoss: {loss}",
    "| epoch {epoch:3d} | {batch:5d}/{batches:5d} batches | lr {lr} | loss {loss} | ppl {rate}",
    "[{epoch}, {batch:5d}] loss: {loss}",
    "Epoch [{epoch}][{batch}/{batches}]  lr: {lr}, eta: 1:13:{s:02d}, loss_cls: 0.4{d}, loss: {loss}",
)
"""Lines of a counter that starts again in each epoch."""

VALIDATION_LINES = (
    "Validation loss: {val_loss}, accuracy: {accuracy}",
    "val_loss={val_loss} val_acc={accuracy}",
    "Test set: Average loss: {val_loss}, Accuracy: {hits}/10000 ({percent}%)",
    "[valid] loss {val_loss} acc {percent}%",
    "{{'eval_loss': {val_loss}, 'eval_accuracy': {accuracy}, 'eval_runtime': 3.{d}}}",
)
"""Lines without a counter, after the line whose step is theirs."""

TRAPS = (
    "Saving checkpoint to /tmp/run_test_3/ckpt-{step}.pt",
    "Best val loss: 0.01 at epoch 3",
    "gpu memory: {rate} MB, learning rate: {lr}",
    "WARNING: loss scale reduced to {rate}",
    "val_loss improved from 9.{d} to 8.{d}",
    "elapsed: 0:01:{s:02d}",
    "number of nan iterations: 0",
    "using torch 2.13.0 with 8 workers",
)

BEFORE = (
    "lr: 0.1\nbatch_size: 64\nloss_weight: 1.0\nepochs: 90\n",
    "Namespace(lr=0.001, epochs=90, seed=3, val_size=0.1)\n",
    "def train(steps):\n    loss = 0.0\n    for step in range(10):\n        loss = 1.0\n",
    "",
)


@dataclass
class TextLog:
    """A text and what stands in it.

    Parameters
    ----------
    text : str
        The log.
    signals : list of dict of str to (steps, values)
        For each of its runs.
    forms : tuple of str
        The template and prefix, to say which failed.
    """

    text: str
    signals: list[dict[str, tuple[list[float], list[float]]]]
    forms: tuple[str, ...] = field(default=())


def text_log(seed: int) -> TextLog:
    """Make a log from a random template with a random prefix, cadence, validation and traps."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["step", "epoch", "batch", "heading"])
    runs = 1 if rng.random() < 0.7 else 2
    prefix = str(rng.choice(PREFIXES))
    validation = str(rng.choice(VALIDATION_LINES)) if rng.random() < 0.6 else ""
    traps = [str(trap) for trap in rng.choice(TRAPS, size=rng.integers(0, 4), replace=False)]
    template, rows = _form(str(kind), rng)
    lines = [str(rng.choice(BEFORE)).rstrip("\n")]
    signals = []
    for _ in range(runs):
        written, found = _run(template, rows, prefix, validation, traps, rng)
        lines += written
        signals.append(found)
    return TextLog("\n".join(line for line in lines if line) + "\n", signals, (template, prefix, validation))


@dataclass
class _Row:
    step: float
    values: dict[str, float]


def _form(kind: str, rng: np.random.Generator) -> tuple[str, Callable[[], list[_Row]]]:
    count = int(rng.integers(8, 40))
    if kind == "step":
        first, stride = int(rng.choice([0, 1, 10, 100])), int(rng.choice([1, 5, 10, 250]))
        steps = first + stride * np.arange(count)
        return str(rng.choice(STEP_LINES)), lambda: [
            _Row(step, {"step": step, "last": 10 * steps[-1]}) for step in steps
        ]
    if kind == "epoch":
        first = int(rng.choice([0, 1]))
        epochs = first + np.arange(count)
        return str(rng.choice(EPOCH_LINES)), lambda: [
            _Row(epoch, {"epoch": epoch, "epochs": count}) for epoch in epochs
        ]
    if kind == "heading":
        steps = 10 * np.arange(count)
        form = str(
            rng.choice(
                ["[batch={step}/{last}]:\n\t Train loss: {loss}", "== step {step} ==\n  loss = {loss}\n  lr = {lr}"]
            )
        )
        return form, lambda: [_Row(step, {"step": step, "last": 10 * steps[-1]}) for step in steps]
    stride, epochs = int(rng.choice([1, 10, 50])), int(rng.integers(3, 6))
    offset = int(rng.choice([0, stride]))
    batches = stride * int(rng.integers(4, 8))
    template = str(rng.choice(BATCH_LINES))
    first = int(rng.choice([0, 1]))
    rows = [
        _Row(batches * (epoch - first) + batch, {"epoch": epoch, "batch": batch, "batches": batches, "epochs": epochs})
        for epoch in range(first, first + epochs)
        for batch in range(offset, batches + (offset > 0), stride)
    ]
    return template, lambda: rows


def _run(
    template: str,
    rows: Callable[[], list[_Row]],
    prefix: str,
    validation: str,
    traps: list[str],
    rng: np.random.Generator,
) -> tuple[list[str], dict[str, tuple[list[float], list[float]]]]:
    """Write one run; return its lines and the signals in it."""
    made = rows()
    losses = np.round(3 * np.exp(-np.arange(len(made)) / len(made)) + 0.2 * rng.random(len(made)), 4)
    losses[0] = 4.2
    found: dict[str, tuple[list[float], list[float]]] = {"train_loss": ([], [])}
    lines: list[str] = []
    every = max(2, len(made) // 4)
    for index, (row, loss) in enumerate(zip(made, losses, strict=True)):
        hits = 1000 + 200 * index
        words = {
            "loss": loss,
            "mean": round(float(losses[: index + 1].mean()), 4),
            "val_loss": round(float(loss) + 0.25, 4),
            "accuracy": round(hits / 10000, 4),
            "hits": hits,
            "percent": round(hits / 100, 2),
            "lr": "1.0e-04",
            "ms": 100 + index % 7,
            "rate": 1000.5 + index,
            "m": index % 60,
            "s": (7 * index) % 60,
            "d": index % 10,
            "step": int(row.step),
            **row.values,
        }
        for number, line in enumerate(template.format(**words).split("\n")):
            lines.append((prefix.format(**words) if not number else "") + line)
        found["train_loss"][0].append(float(row.step))
        found["train_loss"][1].append(float(loss))
        if validation and index % every == every - 1:
            lines.append(prefix.format(**words) + validation.format(**words))
            for name, value in (("val_loss", words["val_loss"]), ("val_accuracy", hits / 10000)):
                found.setdefault(name, ([], []))
                found[name][0].append(float(row.step))
                found[name][1].append(float(value))
        if traps and index % 5 == 3:
            lines.append(prefix.format(**words) + traps[index % len(traps)].format(**words))
    return lines, found
