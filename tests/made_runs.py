"""Analyses, signals and traces made by hand, with known truth."""

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
        loss_spikes=(),
        spike_score=None,
        spike_score_1000=None,
        gradient_spike_score_1000=None,
        certain_spikes=(),
        grokking_step=grokking_step,
        best_val_accuracy_before=accuracy[0],
        best_val_accuracy_after=accuracy[1] if transitions else None,
        final_val_accuracy=accuracy[-1],
        association=association_test(jumps, transitions, near_window(400, SPAN), SPAN),
    )


def staircase(at=6000, *, steps=10_000, stride=10):
    """Return step, norm and loss of a run with one slingshot of the staircase shape, or with none if `at` is None."""
    step = np.arange(0, steps, stride)
    gain, at = (0.49, at) if at is not None else (0.0, steps)
    norm = np.exp(np.interp(step, [0, 500, at - 1000, at, steps + 1], [0, 1, 1.01, 1.01 + gain, 1.02 + gain]))
    loss = np.exp(-step / 300)
    loss[step >= at] += np.exp(-(step[step >= at] - at) / 200)
    return step, norm, loss


def write_staircase(path, at=6000, *, steps=10_000, stride=10, attributes=None):
    """Write the run of `staircase`, with a jump of the validation accuracy at the slingshot."""
    step, norm, loss = staircase(at, steps=steps, stride=stride)
    at = steps if at is None else at
    rare = np.arange(0, steps, 100)
    every = Group("every", [Quantity("last_layer_norm"), Quantity("batch_loss", "nat")])
    rarely = Group("rarely", [Quantity("val_accuracy"), Quantity("train_errors", "samples", dtype="int64")])
    with TraceWriter(path, [every, rarely], attributes or {}) as writer:
        writer.append("every", step, last_layer_norm=norm, batch_loss=loss)
        accuracy = np.where(rare < at + 50, 0.5, 0.9) + 0.001 * np.sin(rare)
        errors = np.where(rare < 500, 100, np.where(abs(rare - at) < 50, 7, 0))
        writer.append("rarely", rare, val_accuracy=accuracy, train_errors=errors)
    return path
