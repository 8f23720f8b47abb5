"""Logs in the shape of pretraining runs, with loss spikes, drops of the learning rate, divergence and NaN as truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from slingshot_analysis.events import Outcome
from slingshot_analysis.signal import Signal
from slingshot_analysis.synthetic.run import FloatArray, autoregression, log_uniform, random_streams

CADENCES = (1, 1, 5, 10, 25, 50, 100)
"""Updates from one row to the next."""
ROWS = 60, 20_000
FLOORS = 0.5, 8.0
"""Loss that training tends to, in nats."""
START = 11.0
"""Largest first loss, that of a guess among 60,000 tokens, in nats."""
NOISES, NOISE_SHARE = (1e-6, 0.3), 0.1
"""Standard deviation of the noise, in nats, and its largest share of the level."""
DEVIATIONS, VISIBLE, VISIBLE_SHARE = 8.0, 0.03, 0.03
"""Minimum height of a spike, in standard deviations of the noise, in nats, and as a share of the level: in a silent
loss anything would be a spike otherwise."""
SINGLE_SHARE = 0.12
"""Minimum height of a spike of one row, as a share of the level."""
HEIGHTS = 1.0, 8.0
"""Height over the minimum height."""
RISES, DECAYS = (1, 5), (5.0, 100.0)
"""Rows in which a spike rises, and rows after which a twentieth of it is left."""
APART = 20
"""Minimum number of rows between two spikes, and from a spike to a step down."""
HUMP_ROWS = 20.0
"""Minimum width of a slow hump, in rows."""
NOTICEABLE = 4.0
"""Minimum ratio of a spike's height and the fall of the loss within its rise and ten more rows."""

SpikeNoise = Literal["normal", "heavy", "skewed"]
KINDS_OF_NOISE: tuple[SpikeNoise, ...] = ("normal", "normal", "normal", "heavy", "skewed")
"""Kinds of noise, each as often as it is drawn."""


@dataclass(frozen=True)
class TrueSpike:
    """A spike that was put into a log.

    Parameters
    ----------
    start : int, updates
        First row of the rise, or first row that is not finite.
    height : float, nats
        Above the smooth course of the loss; infinite where the loss is not finite.
    outcome : {"recovered", "lingering", "diverged", "not finite"}
        What becomes of it.
    """

    start: int
    height: float
    outcome: Outcome


@dataclass(frozen=True, eq=False)
class PretrainingLog:
    """A log of which the spikes are known.

    Parameters
    ----------
    signals : dict of str to Signal
        ``train_loss`` in nats, and ``gradient_norm``, with the same steps.
    spikes : tuple of TrueSpike
        In order.
    verdict : {"none", "spikes", "diverged"}
        The right verdict.
    deviation : float, nats
        Standard deviation of the noise of the loss.
    correlation : float
        Correlation of the noise from one row to the next.
    """

    signals: dict[str, Signal]
    spikes: tuple[TrueSpike, ...]
    verdict: Literal["none", "spikes", "diverged"]
    deviation: float
    correlation: float


def pretraining_log(seed: int) -> PretrainingLog:
    """Make the log of a training run whose loss never gets near 0.

    The loss falls as a power of the step, or is flat, towards 0.5 to 8 nat, over 60 to 20,000 rows. It may step down at
    epochs or with the learning rate, and drift up or make a slow hump. Its noise has a standard deviation of 1e-6 to
    0.3 nat, a correlation of 0 to 0.95 from row to row, and may be heavy or skewed upwards. Spikes of at least eight
    standard deviations rise within one to five rows and decay over 5 to 100, or within one row, or linger. In a part of
    the logs the loss ends as NaN, or rises for good.

    Parameters
    ----------
    seed : int
        The same seed gives the same log.

    Returns
    -------
    PretrainingLog

    Examples
    --------
    >>> log = pretraining_log(1)
    >>> log.verdict, [spike.outcome for spike in log.spikes]
    ('diverged', ['recovered', 'recovered', 'recovered', 'not finite'])
    """
    course, for_noise, for_gradient, for_end = random_streams(seed, 900)
    rows = int(log_uniform(course, *ROWS))
    step = np.arange(rows, dtype=np.int64) * int(course.choice(CADENCES))
    smooth, drops = _course(course, rows)
    deviation = min(log_uniform(course, *NOISES), NOISE_SHARE * float(smooth.min()))
    correlation = float(course.choice([0.0, course.uniform(0, 0.95)]))
    kind = KINDS_OF_NOISE[int(course.integers(len(KINDS_OF_NOISE)))]
    noise = deviation * _noise(for_noise, rows, correlation, kind)

    end = rows
    last: TrueSpike | None = None
    raised = np.zeros(rows)
    fate = for_end.choice(["goes on", "goes on", "goes on", "diverges", "not finite"])
    if fate != "goes on" and rows >= 100:
        end = int(rows * for_end.uniform(0.3, 0.9))
        height = float(smooth[end]) * log_uniform(for_end, 0.3, 3.0) + 2 * DEVIATIONS * deviation
        if fate == "diverges":
            rise = int(for_end.integers(1, 10))
            raised[end:] = height * np.minimum(np.arange(1, rows - end + 1) / rise, 1.0)
            noise[end:] *= for_end.uniform(1, 3)
            last = TrueSpike(int(step[end]), height, "diverged")
        else:
            rise = int(for_end.integers(0, 12))
            raised[end:] = height * np.arange(1, rows - end + 1) / max(rise, 1)
            raised[end + rise :] = np.nan
            last = TrueSpike(int(step[end]), np.inf, "not finite")

    spikes = []
    for at, room in _places(course, end, drops):
        spike, shape = _spike(course, smooth, at, min(room, rows - at), deviation)
        raised[at:end] += shape[: end - at]
        spikes.append(TrueSpike(int(step[at]), *spike))
    lingers = bool(spikes) and last is None and bool(course.random() < 0.3)
    if lingers:
        at = int(np.searchsorted(step, spikes[-1].start))
        share = course.uniform(0.2, 0.35)
        if rows - at > 100 and share * spikes[-1].height > NOTICEABLE * (smooth[at] - smooth[-1]):
            raised[at + 1 :] = np.maximum(raised[at + 1 :], share * spikes[-1].height)
            spikes[-1] = TrueSpike(spikes[-1].start, spikes[-1].height, "lingering")
    spikes += [last] if last is not None else []

    loss = np.maximum(smooth + raised + noise, 1e-3)
    digits = int(course.integers(4, 8))
    gradient = np.exp(for_gradient.normal(0, 0.15, rows)) * (1 + raised / max(deviation, 0.02))
    signals = {
        "train_loss": Signal(step, np.round(loss, digits), "train_loss", "nat"),
        "gradient_norm": Signal(step, np.round(log_uniform(for_gradient, 0.1, 3) * gradient, 5), "gradient_norm"),
    }
    verdict: Literal["none", "spikes", "diverged"] = "diverged" if last is not None else "spikes" if spikes else "none"
    return PretrainingLog(signals, tuple(spikes), verdict, deviation, correlation)


def _course(random: np.random.Generator, rows: int) -> tuple[FloatArray, FloatArray]:
    """Return the loss without noise and spikes, and the rows at which it steps down."""
    row = np.arange(rows)
    floor = log_uniform(random, *FLOORS)
    if random.random() < 0.2:
        loss = np.full(rows, floor)
    else:
        start = max(floor, random.uniform(floor, START))
        time = 1 + row / (log_uniform(random, 0.002, 0.1) * rows)
        loss = floor + (start - floor) * time ** -random.uniform(0.3, 1.5)
    drops = random.uniform(0.15, 0.95, int(random.integers(0, 5))) * rows
    for at in drops:
        drop = random.uniform(0.01, 0.15) * floor
        loss = loss - drop * -np.expm1(-np.maximum(row - at, 0) / random.choice([0.1, 3, 20]))
    if random.random() < 0.2:
        loss = loss + random.uniform(0.02, 0.3) * floor * row / rows
    if random.random() < 0.15:
        middle, width = random.uniform(0.3, 0.8) * rows, max(random.uniform(0.08, 0.2) * rows, HUMP_ROWS)
        loss = loss + random.uniform(0.05, 0.4) * floor * np.exp(-(((row - middle) / width) ** 2))
    return np.maximum(loss, 0.3), drops


def _noise(random: np.random.Generator, rows: int, correlation: float, kind: SpikeNoise) -> FloatArray:
    """Return noise of mean 0 and standard deviation 1."""
    if kind == "skewed":
        shocks = (random.gamma(4.0, size=rows) - 4) / 2
    elif kind == "heavy":
        shocks = random.standard_t(8, rows) / np.sqrt(8 / 6)
    else:
        shocks = random.standard_normal(rows)
    return np.asarray(autoregression(shocks, correlation) * np.sqrt(1 - correlation**2))


def _places(random: np.random.Generator, end: int, drops: FloatArray) -> list[tuple[int, int]]:
    """Draw the rows at which spikes begin, away from steps down, and the rows left to the next one."""
    count = min(int(random.choice([0, 0, 1, 1, 2, 3, 5, 8])), end // 30)
    drawn = np.sort(random.integers(10, end - 4, count)) if end > 20 else np.empty(0, dtype=np.int64)
    drawn = drawn[(np.abs(drawn[:, np.newaxis] - drops) > APART).all(axis=1)]
    kept = drawn[np.diff(drawn, prepend=-100) >= APART].tolist()
    return [(at, stop - at) for at, stop in zip(kept, [*kept[1:], end], strict=False)]


def _spike(
    random: np.random.Generator, smooth: FloatArray, at: int, room: int, deviation: float
) -> tuple[tuple[float, Outcome], FloatArray]:
    """Return height and outcome of a spike, and its shape from its first row on."""
    rise = int(random.integers(RISES[0], RISES[1] + 1))
    fall = float(smooth[at] - smooth[min(at + rise + 10, len(smooth) - 1)])
    least = max(DEVIATIONS * deviation, VISIBLE, VISIBLE_SHARE * float(smooth[at]), NOTICEABLE * fall)
    height = least * log_uniform(random, *HEIGHTS)
    decay = log_uniform(random, *DECAYS)
    if random.random() < 0.2:
        rise, decay, height = 1, 1.0, max(height, SINGLE_SHARE * float(smooth[at]) + 2 * deviation)
    decay = min(decay, max(0.6 * (room - rise), 1.0))
    row = np.arange(1, len(smooth) - at + 1)
    shape = height * np.where(row <= rise, row / rise, np.exp(-3 * (row - rise) / decay))
    return (height, "recovered"), shape
