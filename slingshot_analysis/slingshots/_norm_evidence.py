"""Evidence of the norm for a spike: whether it grew before, and in which shape it goes on."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from slingshot_analysis.canonical import FloatArray
from slingshot_analysis.events import Shape
from slingshot_analysis.slingshots._inputs import Norm
from slingshot_analysis.slingshots.anchors import Anchor

MINIMUM_GROWTH = 1e-3
"""Minimum change of the logarithm of the norm that is growth. Slingshots gain one percent or more."""
VISIBLE_GROWTH = 5e-3
"""Growth that a log must be able to show, so that its absence means something: half of a small slingshot."""
NOISE_FACTOR = 10.0
"""Minimum change of slope, in standard deviations of the noise of single rows. A second difference has a noise of 2.4
of these, and the largest of some twenty counts."""
USUAL_FACTOR = 3.0
"""Minimum ratio of the change of slope at a spike and the usual one elsewhere in the cycles around it."""
CREST_ROWS = 2
"""Number of rows after the spike among which the crest of the norm may be."""
LIMIT_TIMES = 2.5
"""Minimum ratio of the distance to a neighbouring spike and the longest time over which slopes are compared. The rest
of that distance shows how much the slope changes elsewhere."""
PLACES, RUN_PLACES = 12, 200
"""Number of places on either side of a spike at which the usual change of slope is read, and in the whole run."""
RESOLVED_ROWS = 3.0
"""Minimum number of rows of the norm in which the loss falls by a factor of e, so that the log shows whether growth
comes before the spike or after it."""
LATE_RATIO = 2.0
"""Growth begins at the spike if what comes later is more than twice the growth in the rows around the spike."""
GROWTH_SHARE = 0.2
"""Minimum share of the growth that comes before the spike if the log can show it."""


class NormEvidence(NamedTuple):
    """What the norm shows around a spike.

    Parameters
    ----------
    kind : {"growth", "late", "after", "usual", "none", "unknown"}
        "growth": the norm grows before the spike and not after it. "late": it steps up at the spike and not before.
        "after": it begins to grow at the spike. "usual": it changes no more than elsewhere in the run. "none": its rows
        could have shown growth and show none. "unknown": its rows can't tell.
    contrast : float
        Decimal logarithm of the change of slope at the spike over the least that is growth.
    """

    kind: Literal["growth", "late", "after", "usual", "none", "unknown"]
    contrast: float = 0.0


def norm_evidence(
    norm: Norm, anchor: Anchor, previous_end: float, following: float, terminal: float, *, breaks: bool
) -> NormEvidence:
    """Compare the slopes of the norm before and after a spike.

    The change of slope at a crest c over a time t is [y(c) - y(c - t)] - [y(c + t) - y(c)], where y is the logarithm of
    the norm. Times go from one row to a share of the distance of the neighbouring spikes, and crests from the last row
    before the spike to two rows after its start. The change counts if it exceeds the noise of the rows and the usual
    change elsewhere between the neighbouring spikes.

    Parameters
    ----------
    norm : Norm
        Norm of the run.
    anchor : Anchor
        The spike.
    previous_end, following : float, updates
        End of the previous spike and start of the next one, or the ends of the terminal phase.
    terminal : float, updates
        Start of the terminal phase. Growth at a spike must be distinct from the usual change of the norm from there on.
    breaks : bool
        Whether the norm breaks at the spike from growth to a plateau, which is distinct.

    Returns
    -------
    NormEvidence
        What the norm shows.
    """
    # Crests: rows around the spike.
    first = int(np.searchsorted(norm.step, anchor.start))
    last_before = max(int(np.searchsorted(norm.step, anchor.before, side="right")) - 1, 0)
    rows = np.unique(np.linspace(last_before, min(first + CREST_ROWS, len(norm.step) - 1), 8).astype(int))
    crest = norm.step[rows]
    stride = max(float(np.diff(norm.step[max(last_before - 1, 0) : first + 2]).max(initial=0.0)), np.finfo(float).tiny)
    limit = min(anchor.start - max(previous_end, norm.step[0]), min(following, norm.step[-1]) - anchor.start)
    doublings = int(np.floor(np.log2(max(limit / LIMIT_TIMES / stride, 0.5)))) + 1
    times: FloatArray = stride * 2.0 ** np.arange(doublings, dtype=np.float64)
    if not len(times):
        return NormEvidence("unknown")

    # Change of slope at each crest and time, and how large it must be.
    before, after = _changes(norm, crest[:, None], times)
    bend = before - after
    usual = _usual_bend(norm, anchor.start, times, previous_end, following)
    least = np.maximum(MINIMUM_GROWTH, np.maximum(NOISE_FACTOR * norm.noise, USUAL_FACTOR * usual))
    distinct = least if breaks else np.maximum(least, USUAL_FACTOR * _usual_change(norm, times, terminal))
    base = norm.log[(norm.step >= max(previous_end, norm.step[0])) & (norm.step <= crest[0])].min(initial=np.inf)
    grown = np.maximum(before, norm.log[rows][:, None] - base)
    growth = np.where(grown >= MINIMUM_GROWTH, bend, 0.0) / distinct
    contrast = float(np.log10(max(growth.max(), 1e-3)))

    if growth.max() >= 1:
        # Growth that begins at the spike is no cause of it, if the log can tell: if it resolves the fall of the loss,
        # or if most of the growth comes later.
        early = float(before[0, times <= max(times[-1] / 4, times[0])].max())
        jump = float(norm.log[rows].max()) - float(norm.log[rows[0]])
        resolved = anchor.fall >= RESOLVED_ROWS * stride or float(after[-1].max()) > LATE_RATIO * jump
        begins_late = resolved and early < GROWTH_SHARE * max(jump, MINIMUM_GROWTH)
        return NormEvidence("late" if begins_late else "growth", contrast)
    if (-bend / distinct).max() >= 1:
        return NormEvidence("after", contrast)
    if (np.abs(bend) / least).max() >= 1:
        return NormEvidence("usual", contrast)
    visible = bool((least[times >= times[-1] / 8] <= VISIBLE_GROWTH).any())
    return NormEvidence("none" if visible else "unknown", contrast)


def _changes(norm: Norm, at: FloatArray, times: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the change of the logarithm of the norm before and after some steps, over some times."""
    here = np.interp(at, norm.step, norm.log)
    return here - np.interp(at - times, norm.step, norm.log), np.interp(at + times, norm.step, norm.log) - here


def _usual_change(norm: Norm, times: FloatArray, start: float) -> FloatArray:
    """Return the median change of the logarithm of the norm over some times, from a step to the end of the run."""
    places = np.linspace(max(start, norm.step[0]), norm.step[-1], RUN_PLACES)
    after = _changes(norm, places[:, None], times)[1]
    inside = places[:, None] + times <= norm.step[-1]
    return np.array(
        [
            float(np.median(np.abs(column[row]))) if row.any() else 0.0
            for column, row in zip(after.T, inside.T, strict=True)
        ]
    )


def _usual_bend(norm: Norm, at: float, times: FloatArray, previous_end: float, following: float) -> FloatArray:
    """Return the median change of slope elsewhere between the neighbouring spikes; 0 where there is no place for it."""
    usual: list[float] = []
    for time in times:
        left = np.linspace(max(previous_end, norm.step[0]) + time, at - 1.5 * time, PLACES)
        right = np.linspace(at + 1.5 * time, min(following, norm.step[-1]) - time, PLACES)
        places = np.concatenate([side for side in (left, right) if side[-1] > side[0]] or [np.empty(0)])
        before, after = _changes(norm, places, np.array(time))
        usual.append(float(np.median(np.abs(before - after))) if len(places) else 0.0)
    return np.array(usual)


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


def norm_stride(step: FloatArray, at: float) -> float:
    """Return the distance of the rows before and after a step."""
    i = int(np.clip(np.searchsorted(step, at), 1, len(step) - 1))
    return float(step[i] - step[i - 1])
