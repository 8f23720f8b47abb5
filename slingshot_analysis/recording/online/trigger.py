"""The online detector: tells, update by update, that a slingshot's transition has begun."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["LaggedLoss", "TransitionTrigger"]

FLOOR = math.log10(2.0**-23)
"""Losses below the resolution of float32 count as that: what they do is rounding."""


class TransitionTrigger:
    """Fires when the training loss of a fitted network begins to rise sharply.

    It follows the decimal logarithm of the loss, floored at the resolution of float32, by an exponential moving average
    m and mean absolute deviation d over `memory` updates. It fires when the loss exceeds m by `decades`, by eight times
    d, and has been fitted (m below `fitted` of the first loss, in logarithm); and not again before the loss has come
    back half of the way and `rest` updates have passed.

    A misclassified sample of a batch of n costs log(2)/n at least, so that errors after the terminal phase began are
    such rises too.

    Parameters
    ----------
    decades : float, optional
        Rise of the loss, decimal logarithm.
    memory : int, optional, updates
        Over which the usual loss is averaged.
    fitted : float, optional
        Share of the first loss below which the network is fitted.
    rest : int, optional, updates
        Least distance of two firings.

    Examples
    --------
    >>> trigger = TransitionTrigger()
    >>> losses = [0.7] * 10 + [1e-6] * 900 + [1e-6, 3e-5, 1e-2, 2.0] + [1e-6] * 900
    >>> [step for step, loss in enumerate(losses) if trigger.update(loss)]
    [911]
    """

    def __init__(self, decades: float = 1.0, memory: int = 100, fitted: float = 0.05, rest: int = 256) -> None:
        self.decades, self.memory, self.fitted, self.rest = decades, memory, fitted, rest
        self._first: float | None = None
        self._mean = self._deviation = 0.0
        self._armed = True
        self._waiting = 0

    def update(self, loss: float) -> bool:
        """Take the loss of the next update; return whether a transition begins with it."""
        x = max(math.log10(loss), FLOOR) if 0 < loss < math.inf else (FLOOR if loss <= 0 else 300.0)
        if self._first is None:
            self._first = self._mean = x
        rise = x - self._mean
        limit = max(self.decades, 8 * self._deviation)
        self._waiting -= 1
        fires = (
            self._armed and self._waiting <= 0 and rise > limit and self._mean < self._first + math.log10(self.fitted)
        )
        if fires:
            self._armed, self._waiting = False, self.rest
        elif rise < limit / 2:
            self._armed = True
        self._deviation += (min(abs(rise), self.decades) - self._deviation) / self.memory
        self._mean += rise / self.memory
        return fires

    def state_dict(self) -> dict[str, Any]:
        """Return what the next firing depends on."""
        return {name: value for name, value in vars(self).items() if name.startswith("_")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        vars(self).update(state)


class LaggedLoss:
    """The losses of past updates, as numbers on the host, without waiting for the device.

    On the CPU a loss is read at once. On a GPU it is copied to pinned memory and read when the copy has arrived, a few
    updates later.
    """

    def __init__(self) -> None:
        self._arriving: deque[tuple[int, Tensor, torch.cuda.Event]] = deque()

    def read(self, step: int, loss: Tensor) -> list[tuple[int, float]]:
        """Take the loss of update `step`; return step and loss of those that have arrived since the last call."""
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
