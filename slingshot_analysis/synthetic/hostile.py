"""Coarse logs without slingshots, of kinds that public logs show: noise, chaos, humps, restarts."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from slingshot_analysis.errors import unknown_name
from slingshot_analysis.signal import Signal
from slingshot_analysis.synthetic.coarse import rounded
from slingshot_analysis.synthetic.run import FloatArray, IntArray, SyntheticRun, log_uniform, random_streams

HostileKind = Literal[
    "skewed_noise",
    "flicker",
    "hump",
    "restarts",
    "warmup",
    "minor_spikes",
    "spikes",
    "chaos",
    "zero_chaos",
    "relaxation",
    "divergence",
]

HOSTILE_VERDICTS: dict[HostileKind, tuple[str, ...]] = {
    "skewed_noise": ("none",),
    "flicker": ("none",),
    "hump": ("none",),
    "restarts": ("none", "spikes"),
    "warmup": ("none",),
    "minor_spikes": ("none",),
    "spikes": ("spikes",),
    "chaos": ("unstable",),
    "zero_chaos": ("unstable",),
    "relaxation": ("slingshots", "unstable"),
    "divergence": ("diverged",),
}
"""The right verdicts of each kind, if the norm is given."""

STRIDES = (1, 10, 25, 50, 100, 200)
FIRST_LOSS = 4.0


def hostile_run(seed: int, kind: HostileKind) -> SyntheticRun:
    """Make a log without slingshots that looks a little like one.

    Parameters
    ----------
    seed : int
        The same seed gives the same log.
    kind : {"skewed_noise", "flicker", "hump", "restarts", "warmup", "minor_spikes", "spikes", "chaos", "zero_chaos", \
"relaxation", "divergence"}
        What the loss does: noise with a skewed tail; flicker by a decade or two at a floor of rounding noise; a slow
        hump; a rise at each restart of a schedule; spikes before the training set is fitted; spikes of 10- to 30-fold,
        as any training has them; high spikes at which the norm does not respond; spikes at random times over a high
        floor, as under strong weight decay; the same, rounded to zero for half of the run; regular cycles from the
        level of an untrained network; a rise for good.

    Returns
    -------
    SyntheticRun
        With ``train_loss``, ``train_accuracy``, ``val_accuracy`` and ``total_norm``, and without transitions.

    Raises
    ------
    InputError
        If the kind is unknown.

    Examples
    --------
    >>> hostile_run(0, "chaos").kind
    'chaos'
    """
    if kind not in HOSTILE_VERDICTS:
        raise unknown_name("kind", kind, HOSTILE_VERDICTS)
    course, for_norm, for_loss, _ = random_streams(seed, 300 + get_args(HostileKind).index(kind))
    rows = int(course.integers(200, 2000))
    row = np.arange(rows)
    stride = int(course.choice(STRIDES))
    fitted = rows * course.uniform(0.01, 0.04) + 3
    floor = log_uniform(course, 1e-7, 1e-3)
    noise = log_uniform(course, 0.02, 0.3) * for_loss.standard_normal(rows)
    log_norm = course.uniform(0, 0.3) * np.log1p(row / fitted) - course.uniform(0, 1) * row / rows
    digits, wrong = int(course.integers(4, 8)), row < fitted

    if kind == "skewed_noise":
        noise = course.uniform(0.2, 0.6) * for_loss.standard_exponential(rows)
    elif kind == "flicker":
        floor = 2e-8
        noise = course.uniform(0.5, 1.5) * for_loss.standard_normal(rows)
    log_loss = np.log(np.exp(-7 * row / fitted) * FIRST_LOSS + floor) + noise
    if kind == "hump":
        middle, width = course.uniform(0.3, 0.7) * rows, course.uniform(0.05, 0.12) * rows
        log_loss += course.uniform(3, 9) * np.exp(-(((row - middle) / width) ** 2))
    elif kind == "restarts":
        period = rows / int(course.integers(3, 7))
        log_loss += course.uniform(0.5, 1.5) * np.cos(np.pi * (row % period) / period) * (row > 3 * fitted)
    elif kind == "warmup":
        for at in course.uniform(0.2, 0.9, 3) * fitted:
            log_loss = np.where((row >= at) & (row < at + 2), np.log(FIRST_LOSS) + 0.5, log_loss)
    elif kind in ("minor_spikes", "spikes"):
        height = (1.0, 1.5) if kind == "minor_spikes" else (2.5, 5.0)
        for at in _random_rows(course, int(course.integers(1, 7)), 3 * fitted, rows):
            _spike(log_loss, at, np.log(floor) + course.uniform(*height) * np.log(10), course.uniform(1, 4))
    elif kind in ("chaos", "zero_chaos"):
        high = np.log(FIRST_LOSS * 10 ** course.uniform(-2.9, -2.2))
        log_loss = np.maximum(log_loss, high + log_uniform(course, 0.1, 0.4) * for_loss.standard_normal(rows))
        for at in _random_rows(course, int(rows / course.uniform(15, 30)), 3 * fitted, rows):
            top = np.log(FIRST_LOSS) + course.uniform(-1, 0.3)
            _spike(log_loss, at, top, course.uniform(1, 3))
            wrong = wrong | ((row >= at) & (row < at + 4))
            since = np.arange(rows - at)
            log_norm[at:] += course.uniform(0, 0.01) * -np.expm1(-since / 4) * np.exp(-since / 40)
        log_norm += np.cumsum(1e-3 * for_norm.standard_normal(rows)) * 0.3
        if kind == "zero_chaos":
            log_loss = np.where(np.exp(log_loss) < np.median(np.exp(log_loss)), -30.0, log_loss)
    elif kind == "relaxation":
        period = int(course.integers(8, 20))
        phase = (row % period) / period
        log_loss = (
            np.log(FIRST_LOSS) - course.uniform(2, 3) * np.log(10) * phase + 0.05 * for_loss.standard_normal(rows)
        )
        wrong = phase < 0.25
        log_norm = 0.02 * (row // period) + course.uniform(0.05, 0.2) * np.exp(-5 * phase)
    elif kind == "divergence":
        late = row >= course.uniform(0.4, 0.85) * rows
        log_loss = np.where(late, np.log(FIRST_LOSS) + course.uniform(-0.5, 0.5) + 0.3 * noise, log_loss)
        wrong = wrong | late

    log_norm = log_norm + log_uniform(course, 1e-6, 1e-4) * for_norm.standard_normal(rows)
    loss = rounded(np.exp(log_loss), digits)
    if kind == "zero_chaos":
        loss = np.round(loss, 4)
    accuracy = np.where(wrong, course.uniform(0.2, 0.7), 1.0)
    made = [
        Signal(row * stride, loss, "train_loss", "nat"),
        Signal(row * stride, accuracy, "train_accuracy"),
        Signal(row * stride, np.round(0.3 * accuracy, 4), "val_accuracy"),
        Signal(row * stride, rounded(course.uniform(1, 60) * np.exp(log_norm), digits), "total_norm"),
    ]
    none = np.array([], dtype=np.int64)
    return SyntheticRun({signal.name: signal for signal in made}, none, none, none, none, kind, None)


def _random_rows(course: np.random.Generator, count: int, first: float, rows: int) -> IntArray:
    """Draw the rows of independent events, at least five rows apart."""
    drawn = np.sort(course.integers(int(first) + 5, rows - 8, count))
    return np.asarray(drawn[np.diff(drawn, prepend=-10) >= 5])


def _spike(log_loss: FloatArray, at: int, top: float, fall: float) -> None:
    """Add a spike that falls exponentially."""
    log_loss[at:] = np.logaddexp(log_loss[at:], top - np.arange(len(log_loss) - at) / fall)
