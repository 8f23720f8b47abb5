"""Runs without a slingshot, each with something that a careless detector mistakes for one."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.synthetic.run import (
    FloatArray,
    IntArray,
    SyntheticRun,
    log_uniform,
    random_streams,
    row_steps,
    signals_of,
)

NegativeKind = Literal[
    "log_growth",
    "linear_growth",
    "weight_decay",
    "saturation",
    "random_walk",
    "learning_rate_drop",
    "constant",
    "slow_hump",
    "benign_spikes",
    "divergence",
    "instability",
]
NEGATIVE_KINDS: tuple[NegativeKind, ...] = get_args(NegativeKind)

FIRST_LOSS, CHANCE = 0.69, 0.5
FLOOR_RANGE = 1e-8, 1e-4
"""Range of the loss at the end of training."""


def negative_run(
    seed: int,
    kind: NegativeKind,
    *,
    rows: int = 20_000,
    steps: int = 100_000,
    noise: float | None = None,
    quantize: bool = True,
    underflow: bool = False,
) -> SyntheticRun:
    """Make a run without any slingshot.

    Parameters
    ----------
    seed : int
        As for `slingshot_run`.
    kind : {"log_growth", "linear_growth", "weight_decay", "saturation", "random_walk", "learning_rate_drop", \
"constant", "slow_hump", "benign_spikes", "divergence", "instability"}
        The first eight kinds differ in the norm: it grows with the logarithm of the step, grows linearly, falls
        with weight decay, saturates as under SGD, walks at random, grows more slowly after one or two drops of the
        learning rate, stays, or grows once and gradually. With "benign_spikes" the loss rises 5 to 15 times by two to
        six decades, for up to 30 updates and to 0.03 at most, and the norm does not respond. With "divergence" the loss
        rises and stays high. With "instability" it rises every 40 to 120 updates.
    rows, steps : int, updates
        Number of rows and of updates. A row is written every ``steps / rows`` updates.
    noise, quantize, underflow : optional
        As for `slingshot_run`.

    Returns
    -------
    SyntheticRun
        A run without onsets, transitions and jumps.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> run = negative_run(0, "log_growth", rows=2000)
    >>> len(run.transitions), bool(run.signals["last_layer_norm"].value[-1] > run.signals["last_layer_norm"].value[100])
    (0, True)
    """
    if kind not in NEGATIVE_KINDS:
        raise unknown_name("kind", kind, NEGATIVE_KINDS)
    if noise is not None and not 0 <= noise < 1:
        raise InputError(f"noise: got {noise}; give a relative standard deviation from 0 to 1")
    step = row_steps(rows, steps)
    streams = random_streams(seed, 100 + NEGATIVE_KINDS.index(kind))
    course = streams[0]
    floor = log_uniform(course, *FLOOR_RANGE)
    if underflow or kind == "benign_spikes":
        floor = 5e-10 if underflow else FLOOR_RANGE[0]
    loss = FIRST_LOSS * (np.exp(-step / 150) + 10**-3.5 * np.exp(-step / 1500)) + floor
    log_norm = np.log(_norm(course, kind, step, steps))
    if kind == "random_walk":
        # The walk needs one random number per row, so it uses a stream that may depend on the number of rows.
        log_norm += np.sqrt(steps / rows) * 1e-4 * np.cumsum(streams[1].standard_normal(rows))
    elif kind == "benign_spikes":
        for _ in range(course.integers(5, 16)):
            _add_spike(loss, step, round(course.uniform(0.05, 0.95) * steps), 10 ** course.uniform(-6, -1.5), course)
    elif kind == "instability":
        at = 1500.0
        while (at := at + course.uniform(40, 120)) < steps:
            _add_spike(loss, step, round(at), 10 ** course.uniform(-3, 0), course)
    elif kind == "divergence":
        at = round(course.uniform(0.3, 0.8) * steps)
        late = step >= at
        loss[late] += course.uniform(1, 5) * -np.expm1(-(step[late] + 1 - at) / 20)
        log_norm[late] += course.uniform(0.1, 1.0) * -np.expm1(-(step[late] - at) / (0.05 * steps))
    accuracy = CHANCE + course.uniform(0, 0.45) * -np.expm1(-step / 300)
    signals = signals_of(step, log_norm, loss, accuracy, streams, noise=noise, quantize=quantize, underflow=underflow)
    none = np.array([], dtype=np.int64)
    return SyntheticRun(signals, none, none, none, none, kind, None)


def _norm(course: np.random.Generator, kind: NegativeKind, step: IntArray, steps: int) -> FloatArray:
    """Return the smooth norm. In kinds that concern the loss it grows with the logarithm of the step."""
    t = step / steps
    start = course.uniform(2, 5) - np.exp(-step / 200)
    if kind == "constant":
        norm = np.full(len(step), course.uniform(1, 10))
    elif kind == "linear_growth":
        norm = start + course.uniform(1, 10) * t
    elif kind == "weight_decay":
        norm = start * (course.uniform(0.2, 0.5) + np.exp(-course.uniform(2, 8) * t))
    elif kind == "saturation":
        norm = start * (1 - course.uniform(0.2, 0.5) * np.exp(-course.uniform(10, 40) * t))
    elif kind == "random_walk":
        norm = np.full(len(step), course.uniform(1, 10))
    elif kind == "learning_rate_drop":
        turns = np.array([0.0, *np.sort(course.uniform(0.2, 0.9, course.integers(1, 3))), 1.0])
        slopes = 0.1 ** np.arange(len(turns) - 1)
        norm = start + course.uniform(1, 10) * np.interp(t, turns, np.cumsum([0.0, *np.diff(turns) * slopes]))
    elif kind == "slow_hump":
        middle, width = course.uniform(0.3, 0.7), course.uniform(0.04, 0.1)
        norm = start * np.exp(course.uniform(0.2, 0.8) / (1 + np.exp(-(t - middle) / width)))
        norm += course.uniform(0, 0.3) * np.log1p(step / 1000)
    else:
        norm = start + course.uniform(0.2, 0.6) * np.log1p(step / 100)
    return np.asarray(norm)


def _add_spike(loss: FloatArray, step: IntArray, at: int, peak: float, course: np.random.Generator) -> None:
    """Add a spike with a sudden rise and an exponential fall."""
    fall = course.uniform(1, 30)
    a, b = np.searchsorted(step, [at, at + 25 * fall])
    loss[a:b] += peak * np.exp(-(step[a:b] - at) / fall)
