"""Anchors: sudden transitions, each joined from the loss spikes and misclassified samples that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from slingshot_analysis.canonical import as_step
from slingshot_analysis.detectors.misclassification import MisclassificationBurst
from slingshot_analysis.events import LossSpike

__all__ = ["BY_HAND", "Anchor", "correct_anchors", "merge_anchors"]

BY_HAND = "labelled by hand"
AFTERSHOCK_RATIO = 3.0
"""Minimum ratio of a spike and an aftershock that belongs to it."""


@dataclass(frozen=True)
class Anchor:
    """A sudden transition, seen in at least one signal.

    Parameters
    ----------
    start, end : int, updates
        First step of the first sign, and first step after the last one.
    decades : float
        Decimal logarithm of the rise of the loss. 0 if only misclassification was seen.
    misclassified : bool
        Whether training samples were misclassified.
    evidence : tuple of str
        What was seen, in words.
    by_hand : bool
        Whether a label says that it is a slingshot.
    """

    start: int
    end: int
    decades: float
    misclassified: bool
    evidence: tuple[str, ...]
    by_hand: bool = False


def correct_anchors(
    anchors: Sequence[Anchor], added: Sequence[float], removed: Sequence[float], distance: float
) -> list[Anchor]:
    """Apply the labels of a run: transitions that are slingshots, and transitions that are none.

    Parameters
    ----------
    anchors : sequence of Anchor
        In order.
    added, removed : sequence of float, updates
        Labelled transitions. Each applies to the nearest anchor within `distance`. An added transition without such an
        anchor becomes one.
    distance : float, updates
        Maximum distance of a label and its anchor.

    Returns
    -------
    list of Anchor
        In order.

    Examples
    --------
    >>> found = [Anchor(100, 150, 1.0, False, ()), Anchor(900, 950, 4.0, True, ())]
    >>> [(anchor.start, anchor.by_hand) for anchor in correct_anchors(found, [500, 902], [100], 20)]
    [(500, True), (900, True)]
    """
    kept = list(anchors)
    for step in removed:
        kept = [anchor for anchor in kept if anchor is not _nearest(kept, step, distance)]
    for step in added:
        known = _nearest(kept, step, distance)
        if known is None:
            kept.append(Anchor(as_step(step), as_step(step), 0.0, False, (BY_HAND,), True))
        else:
            kept[kept.index(known)] = replace(known, evidence=(*known.evidence, BY_HAND), by_hand=True)
    return sorted(kept, key=lambda anchor: anchor.start)


@dataclass(frozen=True)
class _Sign:
    """A loss spike or a burst of misclassified samples in one signal."""

    start: int
    end: int
    decades: float
    signal: str
    misclassified: bool


def merge_anchors(
    spikes: Sequence[tuple[str, LossSpike]], bursts: Sequence[tuple[str, MisclassificationBurst]], distance: float
) -> list[Anchor]:
    """Join spikes and bursts of misclassification that belong to one transition.

    A sign that begins while an earlier one lasts, or within `distance` of its end, belongs to the same transition. If
    both are spikes of the same signal, that holds only for an aftershock: a spike lower than a third of the first.

    Parameters
    ----------
    spikes, bursts : sequence of (str, event)
        Events with the name of their signal.
    distance : float, updates
        Maximum gap within one transition.

    Returns
    -------
    list of Anchor
        In order.

    Examples
    --------
    >>> anchors = merge_anchors([("train_loss", LossSpike(100, 102, 150, 1e4))], [], 10)
    >>> anchors[0].decades
    4.0
    """
    signs = [_Sign(spike.start, spike.end, float(np.log10(spike.ratio)), name, False) for name, spike in spikes]
    signs += [_Sign(burst.start, burst.end, 0.0, name, True) for name, burst in bursts]
    groups: list[list[_Sign]] = []
    for sign in sorted(signs, key=astuple):
        if groups and sign.start <= max(other.end for other in groups[-1]) + distance and _belongs(sign, groups[-1]):
            groups[-1].append(sign)
        else:
            groups.append([sign])
    return [_anchor(group) for group in groups]


def _nearest(anchors: Sequence[Anchor], step: float, distance: float) -> Anchor | None:
    found = min(anchors, key=lambda anchor: abs(anchor.start - step), default=None)
    return found if found is not None and abs(found.start - step) <= distance else None


def _belongs(sign: _Sign, group: list[_Sign]) -> bool:
    earlier = [other.decades for other in group if other.signal == sign.signal]
    return sign.misclassified or not earlier or sign.decades <= max(earlier) - np.log10(AFTERSHOCK_RATIO)


def _anchor(group: list[_Sign]) -> Anchor:
    highest = max(group, key=lambda sign: sign.decades)
    evidence = []
    if highest.decades:
        evidence.append(f"{highest.signal} rises {10**highest.decades:.2g}-fold")
    names = sorted({sign.signal for sign in group if sign.misclassified})
    if names:
        evidence.append(f"misclassified training samples in {', '.join(names)}")
    start, end = min(sign.start for sign in group), max(sign.end for sign in group)
    return Anchor(start, end, highest.decades, bool(names), tuple(evidence))
