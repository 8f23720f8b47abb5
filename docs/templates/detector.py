"""Plateaus of a loss: long parts of training in which it hardly changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slingshot_analysis.canonical import as_step, canonical

MAXIMUM_CHANGE = 0.01
"""Largest relative change between two rows of a plateau."""


@dataclass(frozen=True)
class LossPlateau:
    """A part of training in which the loss hardly changes.

    Parameters
    ----------
    start, end : int, updates
        First and last step.
    """

    start: int
    end: int


def detect_loss_plateaus(step: Any, loss: Any, *, min_rows: int = 100) -> list[LossPlateau]:
    """Find the parts of training in which the loss changes by less than 1% from row to row.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the loss was measured.
    loss : (n,) array_like, nats
        Loss of the training set.
    min_rows : int, optional
        Minimum number of rows of a plateau.

    Returns
    -------
    list of LossPlateau
        In order.

    Raises
    ------
    InputError
        If the arrays do not fit together.

    Examples
    --------
    >>> detect_loss_plateaus([0, 10, 20, 30], [2.0, 1.0, 1.0, 1.0], min_rows=3)
    [LossPlateau(start=10, end=30)]
    """
    steps, values = canonical(step, loss, "loss")
    if not len(steps):
        return []
    with np.errstate(invalid="ignore", over="ignore"):
        moves = ~(np.abs(np.diff(values)) <= MAXIMUM_CHANGE * np.abs(values[:-1]))
    starts = np.flatnonzero(np.concatenate([[True], moves]))
    ends = np.append(starts[1:], len(values)) - 1
    return [
        LossPlateau(as_step(steps[first]), as_step(steps[last]))
        for first, last in zip(starts, ends, strict=True)
        if last - first + 1 >= min_rows
    ]
