"""What a setup costs on this machine."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import torch

from trainers.loop import Run, cpu_settings, train
from trainers.setup import Setup, flatten

__all__ = ["Cost", "estimate_cost"]

WARM_UP_UPDATES = 5
TIMED_SECONDS = 0.3


@dataclass(frozen=True)
class Cost:
    """Size and speed of a setup.

    Parameters
    ----------
    parameters : int
        Trainable parameters.
    seconds_per_update : float, s
        Of the bare loop, without recording.
    """

    parameters: int
    seconds_per_update: float


def estimate_cost(setup: Setup) -> Cost:
    """Train a few updates on one CPU thread and return the time of one.

    Setups that differ in nothing that costs time share one measurement, and data that would have to be downloaded are
    stood in for by random ones.

    Parameters
    ----------
    setup : Setup
        Not changed.

    Returns
    -------
    Cost
        From at least one update after a warm-up, and about 0.3 s.
    """
    data = getattr(setup.data, "stand_in", setup.data)
    shape = tuple((name, value) for name, value in flatten(data).items() if name != "operation")
    key = type(data), shape, setup.model, setup.optimizer, setup.batch_size, setup.dtype, setup.loss_dtype
    if key not in _measured:
        _measured[key] = _measure(dataclasses.replace(setup, data=data, steps=WARM_UP_UPDATES))
    return _measured[key]


_measured: dict[tuple[object, ...], Cost] = {}


def _measure(setup: Setup) -> Cost:
    with cpu_settings(threads=1, flush_denormal=True):
        run = Run(setup, torch.device("cpu"))
        train(run)
        updates, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < TIMED_SECONDS:
            train(run)
            updates += WARM_UP_UPDATES
    parameters = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    return Cost(parameters, elapsed / updates)
