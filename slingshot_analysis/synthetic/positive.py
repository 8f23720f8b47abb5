"""Runs with slingshots: cycles of norm growth, spike and plateau at known steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.events import Shape
from slingshot_analysis.synthetic.run import FloatArray, IntArray, SyntheticRun, random_streams, row_steps, signals_of

Style = Literal["accelerating", "exponential"]

FIRST_CYCLE, CYCLE_RATIO = (700.0, 2500.0), (1.25, 1.6)
"""Length of the first cycle in updates, and growth of the length from one cycle to the next."""
LARGEST_GAIN = {"accelerating": (0.15, 0.4), "exponential": (0.3, 0.9)}
"""Growth of the natural logarithm of the norm in the first cycle."""
SHRINK = {"accelerating": (0.7, 1.0), "exponential": (0.2, 0.6)}
"""Gain of a cycle over that of the one before."""
LATE_GAIN = 0.01, 0.03
"""Minimum gain of a cycle, however much gains shrink: late cycles of real runs still gain 1% to 3%."""
GROWTH_SHARE = {"accelerating": (0.15, 0.35), "exponential": (0.08, 0.25), "inverse": (0.6, 0.9)}
"""Share of the cycle in which the norm grows. In the inverse shape growth is slow in either style."""
LAST_SHARE = 0.97
"""Latest spike, as a share of the run, so that every spike can fall again. The first may come later."""
BEND = {"accelerating": (2.0, 2.0), "exponential": (3.0, 6.0), "inverse": (1.0, 2.0)}
"""Natural logarithm of the ratio of the slopes at the end and at the start of growth."""
KICK = {"accelerating": (-0.1, 0.0), "exponential": (-0.1, 0.1)}
"""Change of the logarithm of the norm in the tens of updates after the spike, in gains: a dip, or a last rise."""
INVERSE_DROP = -1.1, -0.8
REBOUND = 0.4
"""Share of the kick that is undone in the hundreds of updates that follow."""
DECAYED = 0.6, 1.1
"""Decay of a sawtooth until the next onset, in gains."""
PLATEAU_SLOPE = {"accelerating": (-0.01, 0.08), "exponential": (0.0, 0.0)}
"""Slope of the plateau of a staircase, relative to the mean slope of its growth."""
LOG_DRIFT = {"accelerating": (0.0, 0.0), "exponential": (0.02, 0.08)}
"""Growth of the logarithm of the norm per e-folding of the step, all along a staircase."""
FITTED, FIRST_GAIN, FIRST_LOSS, CHANCE = 1500.0, 1.3, 0.69, 0.5
FLOOR = 1e-8
"""Minimum mean loss. If batch losses underflow to 0, a twentieth of it."""
MINIMUM_CYCLE = 100


@dataclass(frozen=True)
class _Cycle:
    onset: int
    transition: int
    plateau_end: int
    following: int
    gain: float
    bend: float
    kick: float
    kick_time: float
    rebound: float
    lost: float
    lost_time: float
    drift: float
    peak: float
    fall_time: float


def slingshot_run(
    seed: int,
    *,
    rows: int = 20_000,
    steps: int = 100_000,
    style: Style = "accelerating",
    shape: Shape = "staircase",
    noise: float | None = None,
    cycles: tuple[float, float] = (500, 20_000),
    quantize: bool = True,
    underflow: bool = False,
    jump_share: float = 0.7,
) -> SyntheticRun:
    """Make a run with slingshots at known steps.

    Cycles grow longer along the run, within the bounds of `cycles`. In each the norm grows, by a factor of 2.5 at most
    in the first and by 1% to 3% at least in the last, the loss rises by seven to nine decades at once and falls again,
    and the norm rests (staircase), decays (sawtooth) or drops (inverse). At `jump_share` of the transitions the
    validation accuracy rises 0 to 300 updates later.

    Parameters
    ----------
    seed : int
        The same seed gives the same truth for all `rows`, and the same values up to the last digit of exp and log,
        which is not the same on all processors.
    rows, steps : int, updates
        Number of rows and of updates. A row is written every ``steps / rows`` updates.
    style : {"accelerating", "exponential"}
        "accelerating": the logarithm of the norm bends upwards, gains shrink slowly, plateaus drift a little, as in the
        paper's Figure 1. "exponential": the norm itself grows exponentially (on a staircase out of a
        logarithmic drift) and gains shrink fast, as in float32 runs on parity.
    shape : {"staircase", "sawtooth", "inverse"}
        Without, with small, with large weight decay.
    noise : float, optional
        Relative standard deviation of white noise and of slow noise (200 updates) in the norm; each is drawn between
        3e-6 and 2e-4 if not given.
    cycles : (float, float), updates
        Shortest and longest cycle.
    quantize : bool, optional
        Round norm and losses to float32.
    underflow : bool, optional
        Let the batch loss fall to exactly 0 between spikes, as float32 losses do.
    jump_share : float in [0, 1], optional
        Share of transitions with a validation jump.

    Returns
    -------
    SyntheticRun
        With its truth.

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, Figure 1.

    Examples
    --------
    >>> run = slingshot_run(0, rows=2000)
    >>> len(run.transitions), int(run.onsets[3]), int(run.transitions[3])
    (9, 18421, 20244)
    """
    _check(style, shape, noise, cycles, jump_share)
    step = row_steps(rows, steps)
    streams = random_streams(seed, get_args(Style).index(style), get_args(Shape).index(shape))
    course = streams[0]
    made = _draw_cycles(course, steps, style, shape, cycles)
    jumps, accuracy = _jumps(course, step, made, jump_share)
    log_norm, loss = _course(course, step, made, style, shape)
    loss += FLOOR / 20 if underflow else FLOOR
    signals = signals_of(step, log_norm, loss, accuracy, streams, noise=noise, quantize=quantize, underflow=underflow)
    return SyntheticRun(
        signals,
        onsets=np.array([cycle.onset for cycle in made]),
        transitions=np.array([cycle.transition for cycle in made]),
        plateau_ends=np.array([cycle.plateau_end for cycle in made]),
        jumps=jumps,
        kind="slingshots",
        shape=shape,
    )


def _draw_cycles(
    course: np.random.Generator, steps: int, style: Style, shape: Shape, bounds: tuple[float, float]
) -> list[_Cycle]:
    times = _draw_times(course, steps, GROWTH_SHARE["inverse" if shape == "inverse" else style], bounds)
    ends = [*(onset for onset, _ in times[1:]), steps]
    nexts = [*(transition for _, transition in times[1:]), steps]
    gain = course.uniform(*LARGEST_GAIN[style])
    made: list[_Cycle] = []
    for (onset, transition), end, following in zip(times, ends, nexts, strict=True):
        quiet = end - transition
        kick = course.uniform(*(INVERSE_DROP if shape == "inverse" else KICK[style]))
        lost = course.uniform(*DECAYED) if shape == "sawtooth" else 0.0
        made.append(
            _Cycle(
                onset,
                transition,
                end,
                following,
                gain=gain,
                bend=course.uniform(*BEND["inverse" if shape == "inverse" else style]),
                kick=kick * gain,
                kick_time=min(course.uniform(10, 60), quiet / 10),
                rebound=0.0 if shape == "inverse" else REBOUND,
                lost=lost * gain,
                lost_time=course.uniform(0.3, 0.8) * quiet,
                drift=course.uniform(*PLATEAU_SLOPE[style]) * gain / (transition - onset) * (shape == "staircase"),
                peak=10 ** course.uniform(-0.9, 0.9),
                fall_time=min(course.uniform(20, 200), quiet / 25),
            )
        )
        gain = max(gain * course.uniform(*SHRINK[style]), course.uniform(*LATE_GAIN))
    return made


def _draw_times(
    course: np.random.Generator, steps: int, growth_share: tuple[float, float], bounds: tuple[float, float]
) -> list[tuple[int, int]]:
    """Draw onsets and transitions: at least one of each."""
    times: list[tuple[int, int]] = []
    length, ratio = course.uniform(*FIRST_CYCLE), course.uniform(*CYCLE_RATIO)
    at = FITTED
    while True:
        cycle = float(np.clip(length * course.lognormal(0, 0.25), *bounds))
        onset, transition = round(at + cycle * (1 - course.uniform(*growth_share))), round(at + cycle)
        if times and transition > LAST_SHARE * steps:
            return times
        times.append((onset, transition))
        at += cycle
        length = min(length * ratio, bounds[1])


def _course(
    course: np.random.Generator, step: IntArray, cycles: list[_Cycle], style: Style, shape: Shape
) -> tuple[FloatArray, FloatArray]:
    """Return the logarithm of the norm and the mean loss above its floor at each row."""
    level = FIRST_GAIN
    log_norm = -level * np.expm1(-step / 200)
    loss = FIRST_LOSS * (np.exp(-step / 150) + 10**-3.5 * np.exp(-step / (0.1 * FITTED)))
    for cycle in cycles:
        a, b, c, d = np.searchsorted(step, [cycle.onset, cycle.transition, cycle.plateau_end, cycle.following])
        log_norm[a:b] = level + _growth(cycle, (step[a:b] - cycle.onset) / (cycle.transition - cycle.onset), style)
        level += cycle.gain
        log_norm[b:c] = level + _aftermath(cycle, step[b:c] - cycle.transition)
        quiet = np.array([cycle.plateau_end - cycle.transition])
        level += float(_aftermath(cycle, quiet)[0])
        log_norm[c:] = level
        since = step[b:d] - cycle.transition
        loss[b:d] = cycle.peak * (np.exp(-since / cycle.fall_time) + 10**-3.5 * np.exp(-since / (0.1 * quiet)))
    if shape == "staircase":
        log_norm += course.uniform(*LOG_DRIFT[style]) * np.log1p(step / 1000)
    return log_norm, loss


def _growth(cycle: _Cycle, share: FloatArray, style: Style) -> FloatArray:
    """Growth of the logarithm of the norm when a share of the way from onset to transition is done."""
    way = np.expm1(cycle.bend * share) / np.expm1(cycle.bend)
    return np.asarray(cycle.gain * way if style == "accelerating" else np.log1p(np.expm1(cycle.gain) * way))


def _aftermath(cycle: _Cycle, since: IntArray) -> FloatArray:
    """Change of the logarithm of the norm since the transition."""
    kick = -np.expm1(-since / cycle.kick_time) + cycle.rebound * np.expm1(-since / (10 * cycle.kick_time))
    return np.asarray(cycle.kick * kick + cycle.lost * np.expm1(-since / cycle.lost_time) + cycle.drift * since)


def _jumps(
    course: np.random.Generator, step: IntArray, cycles: list[_Cycle], share: float
) -> tuple[IntArray, FloatArray]:
    """Draw validation jumps at a share of the transitions; return their steps and the accuracy at each row."""
    height = course.uniform(0.5, 1.5, len(cycles))
    lag = course.integers(0, 301, len(cycles))
    ramp = course.uniform(50, 500, len(cycles))
    chosen = course.random(len(cycles)) < share
    jumps = np.array([cycle.transition for cycle in cycles], dtype=np.int64)[chosen] + lag[chosen]
    accuracy = CHANCE + 0.03 * -np.expm1(-step / 300)
    heights = 0.45 * height[chosen] / max(height[chosen].sum(), 1.0)
    for at, gain, time in zip(jumps, heights, ramp[chosen], strict=True):
        accuracy += gain * np.clip((step - at) / time, 0, 1)
    return np.sort(jumps), accuracy


def _check(style: str, shape: str, noise: float | None, cycles: tuple[float, float], jump_share: float) -> None:
    if style not in get_args(Style):
        raise unknown_name("style", style, get_args(Style))
    if shape not in get_args(Shape):
        raise unknown_name("shape", shape, get_args(Shape))
    if noise is not None and not 0 <= noise < 1:
        raise InputError(f"noise: got {noise}; give a relative standard deviation from 0 to 1")
    if not MINIMUM_CYCLE <= cycles[0] <= cycles[1] < np.inf:
        raise InputError(f"cycles: got {cycles}; give shortest and longest cycle, {MINIMUM_CYCLE} updates or more")
    if not 0 <= jump_share <= 1:
        raise InputError(f"jump_share: got {jump_share}; give a share from 0 to 1")
