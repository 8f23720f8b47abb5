"""How the norm answers a spike: how much it moves, and in which shape."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.canonical import FloatArray
from slingshot_analysis.events import Shape
from slingshot_analysis.slingshots._inputs import Norm, RunSignals

__all__ = ["norm_reach", "norm_response", "norm_shape", "norm_stride"]

WINDOWS = 400
"""Stretches of the run that tell how much the norm usually moves."""
NEIGHBOURS = 11
"""Stretches on either side of a spike that tell how much the norm moves thereabouts."""
PROBES = 9
"""Places within such a stretch at which the norm is read."""


def norm_response(run: RunSignals, norm: Norm, at: float, reach: float) -> float:
    """Return how much the norm moves around a spike, in units of what it usually moves in as long a time.

    The largest of three lengths of time, each a quarter of the last, as far as the rows of the norm are near enough.

    Parameters
    ----------
    run : RunSignals
        Its terminal phase is what the spike is compared with.
    norm : Norm
        Of that run.
    at : float, updates
        First step of the spike.
    reach : float, updates
        Longest time to look at on either side, as `norm_reach` tells.

    Returns
    -------
    float
        Range of the logarithm of the norm around `at`, over the largest of the median range and the mean drift in as
        long a time anywhere else in the terminal phase, and of the range a little before or after, whichever is less;
        0 if the run is too short to tell.
    """
    first = run.terminal_phase_start if run.terminal_phase_start is not None else run.span[0]
    stride = norm_stride(norm.step, at)
    found = 0.0
    for own in (reach, reach / 4, reach / 16):
        low, high = max(first, norm.step[0]) + own, norm.step[-1] - own
        if high <= low or (own < reach and own < PROBES * stride):
            break
        places = np.append(np.linspace(low, high, WINDOWS), at)
        near = places[:, None] + np.linspace(-own, own, PROBES)
        moved = np.interp(near, norm.step, norm.log)
        drift = abs(float((moved[:-1, -1] - moved[:-1, 0]).mean()))
        moves = np.ptp(moved, axis=1)
        usual = max(float(np.median(moves[:-1])), drift, _pace_nearby(norm, at, own, low, high), np.finfo(float).eps)
        found = max(found, float(moves[-1]) / usual)
    return found


def _pace_nearby(norm: Norm, at: float, own: float, low: float, high: float) -> float:
    """Return how much the norm moves in as long a time a little before or after, whichever is less; 0 if it can't."""
    distance = own * np.linspace(3, 8, NEIGHBOURS)
    calm = []
    for places in (at - distance, at + distance):
        places = places[(places >= low) & (places <= high)]
        if len(places) < NEIGHBOURS // 2:
            return 0.0
        near = places[:, None] + np.linspace(-own, own, PROBES)
        calm.append(float(np.median(np.ptp(np.interp(near, norm.step, norm.log), axis=1))))
    return min(calm)


def norm_shape(norm: Norm, start: float, at: float, reach: float, end: float) -> Shape:
    """Tell whether the norm steps up and stays, crests and decays, or drops.

    Parameters
    ----------
    norm : Norm
        Of the run.
    start, at, end : float, updates
        Start of growth, transition, and end of the plateau.
    reach : float, updates
        How far from the transition its crest may be.

    Returns
    -------
    {"staircase", "sawtooth", "inverse"}
        A staircase keeps half of its rise at the end. Of the others the inverse has lost half of its fall at once.
    """
    end = max(end, at + 2 * reach)
    near = np.interp(np.linspace(at - reach, at + reach, 41), norm.step, norm.log)
    crest = float(near.max())
    before, after, settled = np.interp([start, at + 2 * reach, end], norm.step, norm.log)
    rise, fall = crest - before, crest - settled
    if fall <= 0.5 * rise:
        return "staircase"
    return "inverse" if crest - after >= 0.5 * fall else "sawtooth"


def norm_reach(run: RunSignals, norm: Norm, at: float) -> float:
    """Return how far around a spike to look for its trace in the norm: 0.5% of the run, or one row if that is more."""
    return max(run.near, norm_stride(norm.step, at))


def norm_stride(step: FloatArray, at: float) -> float:
    """Return the distance of the two rows around a step."""
    i = int(np.clip(np.searchsorted(step, at), 1, len(step) - 1))
    return float(step[i] - step[i - 1])
