"""Response of the norm to a spike: how far it moves, and in which shape."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.canonical import FloatArray
from slingshot_analysis.events import Shape
from slingshot_analysis.slingshots._inputs import Norm, RunSignals

__all__ = ["norm_reach", "norm_response", "norm_shape", "norm_stride"]

PLACES = 400
"""Number of places in the run at which the usual movement of the norm is read."""
NEIGHBOURS = 11
"""Number of places on either side of a spike at which the movement of the norm nearby is read."""
POINTS = 9
"""Number of points within a window at which the norm is read."""


def norm_response(run: RunSignals, norm: Norm, at: float, reach: float) -> float:
    """Return how far the norm moves around a spike, relative to its usual movement in a window of the same length.

    Three lengths of the window are tried, each a quarter of the last, as far as the rows of the norm allow. The largest
    result counts.

    Parameters
    ----------
    run : RunSignals
        The run. The usual movement is that of its terminal phase.
    norm : Norm
        Norm of the run.
    at : float, updates
        First step of the spike.
    reach : float, updates
        Half of the longest window, as returned by `norm_reach`.

    Returns
    -------
    float
        Range of the logarithm of the norm around `at`, divided by the usual movement: the largest of the median range,
        the mean drift, and the smaller of the ranges a little before and a little after. 0 if the run is too short.
    """
    first = run.terminal_phase_start if run.terminal_phase_start is not None else run.span[0]
    stride = norm_stride(norm.step, at)
    found = 0.0
    for own in (reach, reach / 4, reach / 16):
        low, high = max(first, norm.step[0]) + own, norm.step[-1] - own
        if high <= low or (own < reach and own < POINTS * stride):
            break
        places = np.append(np.linspace(low, high, PLACES), at)
        near = places[:, None] + np.linspace(-own, own, POINTS)
        moved = np.interp(near, norm.step, norm.log)
        drift = abs(float((moved[:-1, -1] - moved[:-1, 0]).mean()))
        moves = np.ptp(moved, axis=1)
        usual = max(float(np.median(moves[:-1])), drift, _pace_nearby(norm, at, own, low, high), np.finfo(float).eps)
        found = max(found, float(moves[-1]) / usual)
    return found


def _pace_nearby(norm: Norm, at: float, own: float, low: float, high: float) -> float:
    """Return the smaller of the movements a little before and a little after a spike; 0 near the ends of the run."""
    distance = own * np.linspace(3, 8, NEIGHBOURS)
    calm = []
    for places in (at - distance, at + distance):
        places = places[(places >= low) & (places <= high)]
        if len(places) < NEIGHBOURS // 2:
            return 0.0
        near = places[:, None] + np.linspace(-own, own, POINTS)
        calm.append(float(np.median(np.ptp(np.interp(near, norm.step, norm.log), axis=1))))
    return min(calm)


def norm_shape(norm: Norm, start: float, at: float, reach: float, end: float) -> Shape:
    """Classify the course of the norm: it steps up and stays, rises to a crest and decays, or drops.

    Parameters
    ----------
    norm : Norm
        Norm of the run.
    start, at, end : float, updates
        Start of growth, transition, and end of the plateau.
    reach : float, updates
        Maximum distance of the crest from the transition.

    Returns
    -------
    {"staircase", "sawtooth", "inverse"}
        A staircase keeps half of its rise or more. Otherwise the shape is inverse if half of the fall is sudden, and a
        sawtooth if not.
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
    """Return how far from a spike the norm may respond: the extent of a transition, or one row if that is more."""
    return max(run.extent, norm_stride(norm.step, at))


def norm_stride(step: FloatArray, at: float) -> float:
    """Return the distance of the rows before and after a step."""
    i = int(np.clip(np.searchsorted(step, at), 1, len(step) - 1))
    return float(step[i] - step[i - 1])
