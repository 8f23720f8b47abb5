"""What a setup costs on this machine."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import torch

from trainers.loop import Run, cpu_settings, train
from trainers.setup import Setup

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

    Parameters
    ----------
    setup : Setup
        Not changed.

    Returns
    -------
    Cost
        From at least one update after a warm-up, and about 0.3 s.
    """
    with cpu_settings(threads=1, flush_denormal=True):
        run = Run(dataclasses.replace(setup, steps=WARM_UP_UPDATES), torch.device("cpu"))
        train(run)
        updates, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < TIMED_SECONDS:
            train(run)
            updates += WARM_UP_UPDATES
    parameters = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    return Cost(parameters, elapsed / updates)
