"""The runs of a figure: their curves, their names, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.errors import InputError
from slingshot_analysis.trace import Trace

Array = npt.NDArray[np.float64]

COLUMNS = 500
"""Columns of a curve; the lowest and the highest value of each are drawn, so that no spike is lost."""

WORDS = {
    "optimizer.eps": "ε",
    "optimizer.lr": "η",
    "optimizer.weight_decay": "weight decay",
    "optimizer.kind": "",
    "model.temperature": "τ",
    "model.width": "width",
    "model.spectral_norm": "‖A‖",
    "batch_size": "batch size",
    "data.operation": "",
    "setup": "",
}
"""How an entry of the configuration is called in a figure; those without a word are known by their value."""


class PaperRun(NamedTuple):
    """A run and what was found in it."""

    trace: Trace
    analysis: Analysis

    def value(self, key: str) -> object:
        """Return an entry of the configuration, or None."""
        return self.analysis.config.get(key)

    def samples(self, *names: str) -> tuple[Array, Array]:
        """Return steps and values of the first of these quantities that the run has.

        Raises
        ------
        InputError
            If it has none of them.
        """
        for name in names:
            if name in self.trace:
                signal = self.trace[name]
                return signal.step.astype(np.float64), signal.value.astype(np.float64)
        raise InputError(f"{self.trace.path}: has no {' and no '.join(names)}, which the figure shows; record it")

    def norm(self) -> tuple[Array, Array]:
        """Return steps and values of the norm of the last layer."""
        return self.samples("last_layer_norm", "total_norm")

    @property
    def transitions(self) -> list[float]:
        """Steps of the transitions of slingshots that count."""
        return [event.transition for event in self.analysis.certain]


def named(key: str, value: object) -> str:
    """Return an entry of the configuration as a figure shows it.

    Examples
    --------
    >>> named("optimizer.eps", 1e-8), named("data.operation", "division"), named("optimizer.kind", "SGD")
    ('ε = 1e-08', 'division', 'SGD')
    """
    text = f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
    word = WORDS.get(key, key)
    return f"{word} = {text}" if word else text


def varied(runs: Sequence[PaperRun], keys: Sequence[str]) -> str | None:
    """Return the first of these entries in which the runs differ, or None."""
    return next((key for key in keys if len({run.value(key) for run in runs}) > 1), None)


def values_of(runs: Sequence[PaperRun], key: str) -> list[object]:
    """Return the different values of an entry, numbers by size and texts as they come."""
    values = list(dict.fromkeys(run.value(key) for run in runs))
    numbers = [value for value in values if isinstance(value, int | float)]
    return [*sorted(numbers)] if len(numbers) == len(values) else values


def fastest_cycles(runs: Sequence[PaperRun]) -> PaperRun:
    """Return the run with the most slingshots."""
    return max(runs, key=lambda run: len(run.transitions))


def extremes(step: Array, value: Array) -> tuple[Array, Array]:
    """Return a curve that looks the same in a small panel: the extremes of each of `COLUMNS` groups of rows."""
    if len(step) <= 2 * COLUMNS:
        return step, value
    group = len(step) // COLUMNS
    rows = np.arange(len(step) // group * group).reshape(-1, group)
    known = np.where(np.isnan(value), -np.inf, value)[rows]
    kept = np.unique(np.concatenate([rows[:, 0], *(
        rows[np.arange(len(rows)), find(known, axis=1)] for find in (np.argmin, np.argmax)
    ), [len(step) - 1]]))  # fmt: skip
    return step[kept], value[kept]
