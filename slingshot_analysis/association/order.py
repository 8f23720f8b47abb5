"""In which order what belongs to a slingshot happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slingshot_analysis.canonical import FloatArray, as_step, canonical, step_and_value
from slingshot_analysis.events import AccuracyJump, Slingshot

__all__ = ["EventOrder", "order_events"]

SHARES = "softmax_collapse", "zero_loss_fraction", "zero_gradient_fraction", "zero_sum_violation"
"""Signals of lost precision, in [0, 1]."""
HALF = 0.5
SMOOTH = 100
"""Rows of a running mean: the share of a batch flickers."""
EVENT_UPDATES = 64
"""The curvature of a transition is that of the updates this near to it."""


@dataclass(frozen=True)
class EventOrder:
    """When things happened around one transition.

    Parameters
    ----------
    transition : int, updates
        First step of the spike.
    lags : dict of str to int, updates
        Steps from the transition, negative before it, in order; what was not seen is left out. ``softmax_collapse``,
        ``zero_loss_fraction``, ``zero_gradient_fraction`` and ``zero_sum_violation``: since when the signal, over 100
        rows, had been above one half without a break; ``norm growth``: its start; ``all effective steps > 2/L``: first
        update at which the smallest effective step exceeds the largest stable one, 2/L;
        ``preconditioned ratio > 1``: first such update; ``update sharpness peaks``; ``loss peaks``;
        ``validation jump``.
    """

    transition: int
    lags: dict[str, int]


def order_events(
    slingshots: Sequence[Slingshot],
    signals: Mapping[str, Any],
    jumps: Sequence[AccuracyJump] = (),
    near: tuple[float, float] = (0.0, 0.0),
) -> list[EventOrder]:
    """Return for each slingshot what is known of the order of its events.

    Parameters
    ----------
    slingshots : sequence of Slingshot
        In order.
    signals : mapping of str to Signal or (step, value)
        Of the names above, `batch_loss`, and the `event_*` quantities of a flight recorder, of `event_effective_step`
        the smallest; any may be missing.
    jumps : sequence of AccuracyJump, optional
        Of the validation accuracy.
    near : (float, float), updates, optional
        Window around a transition in which a jump belongs to it.

    Returns
    -------
    list of EventOrder
        In the order of the slingshots.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, Figures 3 and 16.
    .. [2] Liu et al., 2026, arXiv:2605.06152: lost precision comes first.

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
            lags["loss peaks"] = _highest(*known["batch_loss"], at, at + EVENT_UPDATES)
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
        found["update sharpness peaks"] = _highest(*known["event_update_sharpness"], first, last)
    return found


def _above_since(step: FloatArray, value: FloatArray, after: float, at: float) -> float | None:
    """Return since when the running mean had been above one half when the transition came."""
    inside = (step > after) & (step < at) & np.isfinite(value)
    steps, values = step[inside], value[inside]
    if not len(values):
        return None
    sums = np.concatenate([[0.0], np.cumsum(values)])
    rows = np.arange(1, len(values) + 1)
    first = np.maximum(rows - SMOOTH, 0)
    high = (sums[rows] - sums[first]) / (rows - first) > HALF
    if not high[-1]:
        return None
    low = np.flatnonzero(~high)
    return float(steps[low[-1] + 1]) if len(low) else None


def _crossing(step: FloatArray, excess: FloatArray, first: float, last: float) -> float | None:
    """Return the first step in a window at which the excess becomes positive; None if it was so from the start."""
    inside = (step >= first) & (step <= last) & np.isfinite(excess)
    above = excess[inside] > 0
    rises = np.flatnonzero(above[1:] & ~above[:-1])
    return float(step[inside][rises[0] + 1]) if len(rises) else None


def _highest(step: FloatArray, value: FloatArray, first: float, last: float) -> float | None:
    inside = (step >= first) & (step <= last) & np.isfinite(value)
    return float(step[inside][np.argmax(value[inside])]) if inside.any() else None
