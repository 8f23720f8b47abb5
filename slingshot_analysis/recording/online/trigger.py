"""The online detector of transitions. At each update it tells whether a slingshot's transition has just begun."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

FLOOR = math.log10(2.0**-23)
"""Decimal logarithm of the resolution of float32. Lower losses are raised to it, as their changes are rounding."""
MINIMUM_RISE = 1.0
"""Rise of the loss that may be a transition; decimal logarithm."""
DEVIATIONS = 8
"""Rise of the loss that may be a transition, in mean absolute deviations."""
MEMORY = 100
"""Number of updates over which the loss and its deviation are averaged."""
FITTED = 0.05
"""Share of the first loss below which the network counts as fitted."""
REST = 256
"""Minimum number of updates between two detections."""


class TransitionTrigger:
    """Fires when the training loss of a fitted network begins to rise sharply.

    Let x be the decimal logarithm of the loss, m its exponential moving average and d that of |x − m|, capped at
    `MINIMUM_RISE`. The trigger fires when x − m exceeds the limit max(`MINIMUM_RISE`, `DEVIATIONS` · d) while the
    network is fitted, that is, while m is below log₁₀(`FITTED` · first loss). It fires again only after x − m has
    fallen below half of the limit and `REST` updates have passed.

    A misclassified sample in a batch of n contributes at least log(2)/n to the loss. So errors on a training set that
    has been fitted make the loss rise sharply too.

    Examples
    --------
    >>> trigger = TransitionTrigger()
    >>> losses = [0.7] * 10 + [1e-6] * 900 + [1e-6, 3e-5, 1e-2, 2.0] + [1e-6] * 900
    >>> [step for step, loss in enumerate(losses) if trigger.update(loss)]
    [911]
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._mean = self._deviation = 0.0
        self._armed = True
        self._waiting = 0

    def update(self, loss: float) -> bool:
        """Take the loss of the next update; return whether a transition begins at it."""
        x = max(math.log10(loss), FLOOR) if 0 < loss < math.inf else (FLOOR if loss <= 0 else 300.0)
        if self._first is None:
            self._first = self._mean = x
        rise = x - self._mean
        limit = max(MINIMUM_RISE, DEVIATIONS * self._deviation)
        self._waiting -= 1
        is_fitted = self._mean < self._first + math.log10(FITTED)
        fires = self._armed and self._waiting <= 0 and rise > limit and is_fitted
        if fires:
            self._armed, self._waiting = False, REST
        elif rise < limit / 2:
            self._armed = True
        self._deviation += (min(abs(rise), MINIMUM_RISE) - self._deviation) / MEMORY
        self._mean += rise / MEMORY
        return fires

    def state_dict(self) -> dict[str, Any]:
        """Return the state on which the next detection depends."""
        return {name: value for name, value in vars(self).items() if name.startswith("_")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        vars(self).update(state)


class LaggedLoss:
    """Reads losses on the host without waiting for the device.

    On the CPU a loss is read at once. On a GPU it is copied to pinned memory, and read a few updates later, when the
    copy has arrived.
    """

    def __init__(self) -> None:
        self._arriving: deque[tuple[int, Tensor, torch.cuda.Event]] = deque()

    def read(self, step: int, loss: Tensor) -> list[tuple[int, float]]:
        """Take the loss of update `step`; return step and value of each loss that has arrived since the last call."""
        loss = loss.detach()
        if loss.dtype == torch.bfloat16:
            loss = loss.float()  # NumPy has no such dtype
        if loss.device.type != "cuda":
            return [(step, float(loss.numpy()))] if loss.device.type == "cpu" else []
        copy = torch.empty((), dtype=loss.dtype, pin_memory=True)
        copy.copy_(loss, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._arriving.append((step, copy, event))
        arrived = []
        while self._arriving and self._arriving[0][2].query():
            at, value, _ = self._arriving.popleft()
            arrived.append((at, float(value.numpy())))
        return arrived
