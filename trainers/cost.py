"""What a setup costs on this machine."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import torch

from trainers.loop import BatchOrder, Run, cpu_settings, updates
from trainers.setup import Setup, settings_of

__all__ = ["Cost", "estimate_cost"]

SMALLEST_BATCH = 16
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

    Setups that differ in nothing that costs time share one measurement. Data that would have to be downloaded are
    stood in for by one batch of random images. Where an update takes long, it is measured on a part of its batch: on
    16 samples, doubled until it takes 0.3 s, and the time is scaled to the whole batch. That counts the optimizer's
    step, which costs the same for any batch, several times: about 1% too much for the largest networks here.

    Parameters
    ----------
    setup : Setup
        Not changed.

    Returns
    -------
    Cost
        From at least one update after a warm-up and, where the whole batch is timed, about 0.3 s.
    """
    data = setup.data.stand_in(setup.batch_size) if hasattr(setup.data, "stand_in") else setup.data
    shape = tuple((name, value) for name, value in settings_of(data).items() if name != "operation")
    alike = dataclasses.replace(setup, name="", title="", figures="", data=None, steps=1, seed=0)
    key = type(data), shape, alike
    if key not in _measured:
        _measured[key] = _measure(dataclasses.replace(setup, data=data))
    return _measured[key]


_measured: dict[tuple[object, ...], Cost] = {}


def _measure(setup: Setup) -> Cost:
    with cpu_settings(threads=1, flush_denormal=True):
        run = Run(setup, torch.device("cpu"))
        samples = min(SMALLEST_BATCH, setup.batch_size)
        _seconds_per_update(run, samples)
        while (seconds := _seconds_per_update(run, samples)) < TIMED_SECONDS and samples < setup.batch_size:
            samples = min(2 * samples, setup.batch_size)
        if samples == setup.batch_size:
            seconds = _seconds_per_update(run, samples, at_least=TIMED_SECONDS)
    parameters = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    return Cost(parameters, seconds * setup.batch_size / samples)


def _seconds_per_update(run: Run, samples: int, at_least: float = 0.0) -> float:
    """Train on batches of `samples` for one update and `at_least` so many seconds, or to the end of the run."""
    run.batches = BatchOrder(len(run.data.train_inputs), samples, seed=0, device=torch.device("cpu"))
    start = time.perf_counter()
    for done in updates(run):
        seconds = (time.perf_counter() - start) / done
        if done * seconds >= at_least:
            break
    return seconds
