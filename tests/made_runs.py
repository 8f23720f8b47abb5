"""Analyses and traces made by hand, with known truth, for tests of many runs."""

from types import SimpleNamespace

import numpy as np

from slingshot_analysis import Group, Quantity, TraceWriter
from slingshot_analysis.association import association_test, near_window

SPAN = (0, 50_000)


def found(name, /, transitions=(), *, grokking_step=None, verdict=None, accuracy=(0.5, 0.6), jumps=(), **config):
    """Return what `analyze` returns, as far as tables of runs ask for it; "__" in a key stands for a dot."""
    return SimpleNamespace(
        name=name,
        path=f"runs/{name}.h5",
        config={key.replace("__", "."): value for key, value in config.items()},
        verdict=verdict or ("slingshots" if transitions else "none"),
        certain=tuple(SimpleNamespace(transition=at) for at in transitions),
        grokking_step=grokking_step,
        best_val_accuracy_before=accuracy[0],
        best_val_accuracy_after=accuracy[1] if transitions else None,
        final_val_accuracy=accuracy[-1],
        association=association_test(jumps, transitions, near_window(400, SPAN), SPAN),
    )


def write_staircase(path, at=6000, *, steps=10_000, stride=10, attributes=None):
    """Write a run with one slingshot, and a jump of the validation accuracy with it; none where `at` is None."""
    step = np.arange(0, steps, stride)
    there = at is not None
    at = at if there else steps
    norm = np.exp(np.interp(step, [0, 500, at - 1000, at, steps + 1], [0, 1, 1.01, 1.5 if there else 1.01, 1.51]))
    loss = np.exp(-step / 300)
    loss[step >= at] += np.exp(-(step[step >= at] - at) / 200)
    rare = np.arange(0, steps, 100)
    every = Group("every", [Quantity("last_layer_norm"), Quantity("batch_loss", "nat")])
    rarely = Group("rarely", [Quantity("val_accuracy"), Quantity("train_errors", "samples", dtype="int64")])
    with TraceWriter(path, [every, rarely], attributes or {}) as writer:
        writer.append("every", step, last_layer_norm=norm, batch_loss=loss)
        accuracy = np.where(rare < at + 50, 0.5, 0.9) + 0.001 * np.sin(rare)
        errors = np.where(rare < 500, 100, np.where(abs(rare - at) < 50, 7, 0))
        writer.append("rarely", rare, val_accuracy=accuracy, train_errors=errors)
    return path
