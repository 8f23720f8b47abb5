"""Coarse logs of regular cycles: few rows a cycle, values rounded as people log them."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.signal import Signal
from slingshot_analysis.synthetic.run import FloatArray, SyntheticRun, log_uniform, random_streams

CoarseShape = Literal["staircase", "sawtooth", "crest"]

ROWS_PER_CYCLE, ROWS = (7.0, 16.0), (100, 400)
"""Range of the mean number of rows of a cycle, and of the rows of a log."""
JITTER = 0.08
"""Standard deviation of the length of a cycle, relative to the mean."""
STRIDES = (10, 25, 50, 100, 200, 500)
"""Updates between two rows."""
DECADES, ALTERNATION = (3.5, 6.0), (0.2, 1.0)
"""Height of the higher spikes above the floor, and what the lower ones lack, in decades."""
FLOOR = 1e-7, 1e-5
"""Range of the loss that cycles end with."""
SUDDEN_SHARE = 0.2, 0.6
"""Share of a spike's height that is lost in the row after the spike."""
DESCENT = 0.6, 1.2
"""Share of the cycle after which the loss has fallen to the floor."""
NORM_STEP = 0.01, 0.06
"""Relative growth of the norm at a transition."""
NOISE = 0.02, 0.12
"""Standard deviation of the natural logarithm of the loss."""
FITTED_ROWS = 2, 6
"""Rows until the training set is fitted."""
FIRST_LOSS = 3.0


def coarse_run(seed: int, shape: CoarseShape = "staircase", *, digits: int = 4) -> SyntheticRun:
    """Make a log of 100 to 400 rows with a slingshot every 7 to 16 rows.

    Parameters
    ----------
    seed : int
        The same seed gives the same log.
    shape : {"staircase", "sawtooth", "crest"}
        The norm steps up at the spike and stays; climbs to the spike and decays after it, as with weight decay; or
        steps up at the spike and decays to the level before.
    digits : int, optional
        Significant decimal digits of losses and norms.

    Returns
    -------
    SyntheticRun
        With ``train_loss``, ``train_accuracy``, ``val_accuracy`` and ``total_norm``.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> run = coarse_run(0)
    >>> len(run.signals["train_loss"]), len(run.transitions)
    (397, 28)
    """
    if shape not in get_args(CoarseShape):
        raise unknown_name("shape", shape, get_args(CoarseShape))
    if not 2 <= digits <= 12:
        raise InputError(f"digits: got {digits}; give a number from 2 to 12")
    course, for_norm, for_loss, _ = random_streams(seed, 200 + get_args(CoarseShape).index(shape))
    rows = int(course.integers(*ROWS, endpoint=True))
    stride = int(course.choice(STRIDES))
    cycle = course.uniform(*ROWS_PER_CYCLE)
    fitted = int(course.integers(*FITTED_ROWS, endpoint=True))
    transitions = _transitions(course, rows, cycle, fitted)

    row = np.arange(rows)
    loss = _loss(course, row, transitions, fitted) * np.exp(
        log_uniform(course, *NOISE) * for_loss.standard_normal(rows)
    )
    log_norm = _log_norm(course, row, transitions, shape)
    log_norm += log_uniform(course, 1e-6, 2e-4) * for_norm.standard_normal(rows)
    high = np.isin(row, transitions) & (loss > 0.05)
    train_accuracy = np.where(row < fitted, 0.5, np.where(high, 0.97, 1.0))
    val_accuracy = 0.2 + 0.7 * np.searchsorted(transitions, row, side="right") / max(len(transitions), 1)
    made = [
        Signal(row * stride, rounded(loss, digits), "train_loss", "nat"),
        Signal(row * stride, train_accuracy, "train_accuracy"),
        Signal(row * stride, np.round(val_accuracy, digits), "val_accuracy"),
        Signal(row * stride, rounded(course.uniform(1, 60) * np.exp(log_norm), digits), "total_norm"),
    ]
    ends = np.append(transitions[1:], rows - 1)
    return SyntheticRun(
        {signal.name: signal for signal in made},
        onsets=(transitions - 1) * stride,
        transitions=transitions * stride,
        plateau_ends=ends * stride,
        jumps=transitions * stride,
        kind="slingshots",
        shape="staircase" if shape == "staircase" else "sawtooth",
    )


def _transitions(course: np.random.Generator, rows: int, cycle: float, fitted: int) -> np.ndarray:
    """Draw the rows of the spikes; the first comes a cycle after the training set is fitted."""
    lengths = cycle * (1 + JITTER * course.standard_normal(int(rows / cycle) + 5))
    at = np.round(2 * fitted + np.cumsum(np.maximum(lengths, 6.0))).astype(np.int64)
    return np.asarray(at[at < rows - 2])


def _loss(course: np.random.Generator, row: np.ndarray, transitions: np.ndarray, fitted: int) -> FloatArray:
    """Return the loss: a fall to the floor, and spikes of alternating height from which it falls again."""
    floor = np.log10(log_uniform(course, *FLOOR))
    height, lower = course.uniform(*DECADES), course.uniform(*ALTERNATION)
    sudden, descent = course.uniform(*SUDDEN_SHARE), course.uniform(*DESCENT)
    first = transitions[0]
    log_loss = np.log10(FIRST_LOSS) + (floor - np.log10(FIRST_LOSS)) * np.minimum(row / (0.9 * first), 1.0)
    log_loss = np.where(row < fitted, np.log10(FIRST_LOSS) - 2.5 * row / fitted, np.minimum(log_loss, -2.3))
    ends = np.append(transitions[1:], len(row))
    for k, (start, end) in enumerate(zip(transitions, ends, strict=True)):
        since = np.arange(end - start)
        above = height - lower * (k % 2)
        way = np.clip((since - 1) / max(descent * (end - start), 1.0), 0, 1)
        log_loss[start:end] = floor + above * np.where(since == 0, 1.0, (1 - sudden) * (1 - way))
    return np.asarray(10**log_loss)


def _log_norm(course: np.random.Generator, row: np.ndarray, transitions: np.ndarray, shape: CoarseShape) -> FloatArray:
    """Return the logarithm of the norm: a drift, and a step at each spike."""
    step = course.uniform(*NORM_STEP)
    log_norm = course.uniform(0, 0.02) * np.log1p(row)
    ends = np.append(transitions[1:], len(row))
    before = np.append(0, transitions)
    if shape == "staircase":
        late = int(course.integers(0, 2))
        return np.asarray(log_norm + step * np.searchsorted(transitions + late * (row[1] - row[0]), row, side="right"))
    for start, end in zip(transitions, ends, strict=True):
        way = np.arange(end - start) / (end - start)
        if shape == "crest":
            log_norm[start:end] += step * np.exp(-6 * way)
        else:
            log_norm[start:end] += step * ((1 - 2 * way) ** 2 + 0.4 * (way == 0))
    if shape == "sawtooth":
        log_norm[: before[1]] += step * (np.arange(before[1]) / before[1]) ** 2
    return np.asarray(log_norm)


def rounded(values: FloatArray, digits: int) -> FloatArray:
    """Round to significant decimal digits."""
    unit = 10.0 ** (np.floor(np.log10(values)) - digits + 1)
    return np.asarray(np.round(values / unit) * unit)
