"""The time and the number of parameters of a setup on this machine."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import torch

from trainers.loop import BatchOrder, Run, cpu_settings, updates
from trainers.setup import Setup, settings_of

WITHOUT_COST = "data.operation", "steps", "seed"
"""Fields of a setup that have no effect on the time of an update."""

SMALLEST_BATCH = 16
"""Samples on which the time of an update is measured first."""

TIMED_SECONDS = 0.3
"""Duration of a measurement that is long enough to be precise."""


@dataclass(frozen=True)
class Cost:
    """Number of parameters and time per update of a setup.

    Parameters
    ----------
    parameters : int
        Number of trainable parameters.
    seconds_per_update : float, seconds
        Time of an update without recording.
    """

    parameters: int
    seconds_per_update: float


def estimate_cost(setup: Setup) -> Cost:
    """Train a few updates on one CPU thread and return the time of one.

    Data that would have to be downloaded are replaced by one batch of random images. A slow update is measured on a
    part of its batch, and the time is scaled to the whole batch: the part begins with 16 samples and is doubled until
    an update takes 0.3 s. The scaling counts the optimizer's step several times, which adds about 1% for the largest
    networks. Setups whose updates cost the same share one measurement.

    Parameters
    ----------
    setup : Setup
        The setup, which is not changed.

    Returns
    -------
    Cost
        Measured after one update of warm-up; where the whole batch is timed, over about 0.3 s.
    """
    if hasattr(setup.data, "stand_in"):
        setup = dataclasses.replace(setup, data=setup.data.stand_in(setup.batch_size))
    kinds = type(setup.data), type(setup.model), type(setup.optimizer)
    key = *kinds, *((name, value) for name, value in settings_of(setup).items() if name not in WITHOUT_COST)
    if key not in _measured:
        _measured[key] = _measure(setup)
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
    """Train on batches of `samples` for one update and `at_least` this many seconds, or to the end of the run."""
    run.batches = BatchOrder(len(run.data.train_inputs), samples, seed=0, device=torch.device("cpu"), drop_last=True)
    start = time.perf_counter()
    for done in updates(run):
        seconds = (time.perf_counter() - start) / done
        if done * seconds >= at_least:
            break
    return seconds
