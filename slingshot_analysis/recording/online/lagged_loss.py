"""Losses of a device, read on the host."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor


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
