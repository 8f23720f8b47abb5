"""The order of events around a transition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slingshot_analysis.canonical import FloatArray, as_step, canonical, step_and_value
from slingshot_analysis.events import AccuracyJump, Slingshot

SHARES = "softmax_collapse", "zero_loss_fraction", "zero_gradient_fraction", "zero_sum_violation"
"""Signals of lost floating-point precision, in [0, 1]."""
ONSET_LEVEL = 0.5
"""Level that a signal of lost precision exceeds from its onset on."""
SMOOTHING_ROWS = 100
"""Length of the running mean of these signals, which fluctuate from batch to batch."""
EVENT_UPDATES = 64
"""Maximum distance of a curvature event from its transition."""


@dataclass(frozen=True)
class EventOrder:
    """The lags of events around one transition.

    Parameters
    ----------
    transition : int, updates
        First step of the spike.
    lags : dict of str to int, updates
        Lag of each observed event behind the transition, negative before it, in increasing order.
        ``softmax_collapse``, ``zero_loss_fraction``, ``zero_gradient_fraction`` and ``zero_sum_violation``: start of
        the uninterrupted interval, up to the transition, in which the running mean of the signal over 100 rows exceeds
        one half. ``norm growth``: start of the growth phase. ``all effective steps > 2/L``: first update at which the
        smallest effective step exceeds the largest stable step, 2/L. ``preconditioned ratio > 1``: first update at
        which it does. ``update sharpness peaks``, ``loss peaks``: maximum. ``validation jump``: the nearest one.
    """

    transition: int
    lags: dict[str, int]


def order_events(
    slingshots: Sequence[Slingshot],
    signals: Mapping[str, Any],
    jumps: Sequence[AccuracyJump] = (),
    near: tuple[float, float] = (0.0, 0.0),
) -> list[EventOrder]:
    """Return the order of events around each slingshot.

    Parameters
    ----------
    slingshots : sequence of Slingshot
        In order of their transitions.
    signals : mapping of str to Signal or (step, value)
        The signals of lost precision that `EventOrder` names, `batch_loss`, and the `event_*` quantities of a flight
        recorder (of `event_effective_step` the smallest). Any may be missing.
    jumps : sequence of AccuracyJump, optional
        Jumps of the validation accuracy.
    near : (float, float), updates, optional
        Smallest and largest lag of a jump that belongs to a transition.

    Returns
    -------
    list of EventOrder
        In the order of the slingshots.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, Figures 3 and 16.
    .. [2] Liu et al., 2026, arXiv:2605.06152: precision is lost first.

    Examples
    --------
    >>> step = np.arange(2000)
    >>> event = Slingshot(1400, 1500, (1499, 1500), None, 1.0, 2.0, "full", "staircase", (), 1.0)
    >>> signals = {"softmax_collapse": (step, (step > 1000) * 1.0), "batch_loss": (step, 1e-6 + (step == 1503))}
    >>> order_events([event], signals)[0].lags
    {'softmax_collapse': -449, 'norm growth': -100, 'loss peaks': 3}
    """
    known = {name: canonical(*step_and_value(signal, name), name) for name, signal in signals.items()}
    before = 0.0
    orders = []
    for event in slingshots:
        at = event.transition
        lags = {name: _above_since(*known[name], before, at) for name in SHARES if name in known}
        lags["norm growth"] = event.growth_start
        lags |= _curvature(known, at)
        if "batch_loss" in known:
            lags["loss peaks"] = _peak(*known["batch_loss"], at, at + EVENT_UPDATES)
        following = [jump.step for jump in jumps if at + near[0] <= jump.step <= at + near[1]]
        lags["validation jump"] = min(following, key=lambda step: abs(step - at), default=None)
        seen = {name: as_step(step - at) for name, step in lags.items() if step is not None}
        orders.append(EventOrder(at, dict(sorted(seen.items(), key=lambda item: item[1]))))
        before = at
    return orders


def _curvature(known: Mapping[str, tuple[FloatArray, FloatArray]], at: float) -> dict[str, float | None]:
    first, last = at - EVENT_UPDATES, at + EVENT_UPDATES
    found: dict[str, float | None] = {}
    if "event_effective_step" in known and "event_max_stable_step" in known:
        step, effective = known["event_effective_step"]
        stable = np.interp(step, *known["event_max_stable_step"])
        found["all effective steps > 2/L"] = _crossing(step, effective - stable, first, last)
    if "event_preconditioned_ratio" in known:
        step, ratio = known["event_preconditioned_ratio"]
        found["preconditioned ratio > 1"] = _crossing(step, ratio - 1, first, last)
    if "event_update_sharpness" in known:
        found["update sharpness peaks"] = _peak(*known["event_update_sharpness"], first, last)
    return found


def _above_since(step: FloatArray, value: FloatArray, after: float, at: float) -> float | None:
    """Return the start of the interval up to the transition in which the running mean exceeds the onset level."""
    inside = slice(np.searchsorted(step, after, side="right"), np.searchsorted(step, at))
    steps, values = step[inside], value[inside]
    steps, values = steps[np.isfinite(values)], np.clip(values[np.isfinite(values)], 0.0, 1.0)
    if not len(values):
        return None
    sums = np.concatenate([[0.0], np.cumsum(values)])
    rows = np.arange(1, len(values) + 1)
    first = np.maximum(rows - SMOOTHING_ROWS, 0)
    high = (sums[rows] - sums[first]) / (rows - first) > ONSET_LEVEL
    if not high[-1]:
        return None
    low = np.flatnonzero(~high)
    return float(steps[low[-1] + 1]) if len(low) else None


def _crossing(step: FloatArray, excess: FloatArray, first: float, last: float) -> float | None:
    """Return the first step in [first, last] at which the excess turns positive; None if it starts positive."""
    steps, values = _between(step, excess, first, last)
    above = values > 0
    rises = np.flatnonzero(above[1:] & ~above[:-1])
    return float(steps[rises[0] + 1]) if len(rises) else None


def _peak(step: FloatArray, value: FloatArray, first: float, last: float) -> float | None:
    """Return the step of the largest value in [first, last]."""
    steps, values = _between(step, value, first, last)
    return float(steps[np.argmax(values)]) if len(values) else None


def _between(step: FloatArray, value: FloatArray, first: float, last: float) -> tuple[FloatArray, FloatArray]:
    """Return the rows of finite value in [first, last]."""
    inside = slice(np.searchsorted(step, first), np.searchsorted(step, last, side="right"))
    kept = np.isfinite(value[inside])
    return step[inside][kept], value[inside][kept]
