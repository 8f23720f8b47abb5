"""What of a slingshot is sudden: loss spikes and bursts of misclassification, joined where they belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from slingshot_analysis.canonical import as_step
from slingshot_analysis.detectors.misclassification import MisclassificationBurst
from slingshot_analysis.events import LossSpike

__all__ = ["BY_HAND", "Anchor", "correct_anchors", "merge_anchors"]

BY_HAND = "labelled by hand"
LOWER = 3.0
"""An aftershock stays below a third of the spike it follows."""


@dataclass(frozen=True)
class Anchor:
    """A sudden transition, seen in one signal or more.

    Parameters
    ----------
    start, end : int, updates
        First step of the first sign, and first step at which all is quiet again.
    decades : float
        Decimal logarithm of the rise of the loss; 0 where only misclassification was seen.
    misclassified : bool
        Whether training samples were misclassified.
    evidence : tuple of str
        What was seen, in words.
    by_hand : bool
        Whether somebody who looked says that it is a slingshot.
    """

    start: int
    end: int
    decades: float
    misclassified: bool
    evidence: tuple[str, ...]
    by_hand: bool = False


def correct_anchors(
    anchors: Sequence[Anchor], added: Sequence[float], removed: Sequence[float], near: float
) -> list[Anchor]:
    """Apply what somebody who looked at the run says: these are slingshots, and those are none.

    Parameters
    ----------
    anchors : sequence of Anchor
        In order.
    added, removed : sequence of float, updates
        Transitions. Each means the nearest anchor within `near`; an added one that has none becomes an anchor.
    near : float, updates
        Largest distance of two steps that mean the same transition.

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
        kept = [anchor for anchor in kept if anchor is not _nearest(kept, step, near)]
    for step in added:
        known = _nearest(kept, step, near)
        if known is None:
            kept.append(Anchor(as_step(step), as_step(step), 0.0, False, (BY_HAND,), True))
        else:
            kept[kept.index(known)] = replace(known, evidence=(*known.evidence, BY_HAND), by_hand=True)
    return sorted(kept, key=lambda anchor: anchor.start)


def merge_anchors(
    spikes: Sequence[tuple[str, LossSpike]], bursts: Sequence[tuple[str, MisclassificationBurst]], near: float
) -> list[Anchor]:
    """Join spikes and bursts that lie within `near` of each other.

    Spikes of one signal are joined only if the later one is an aftershock, lower than a third of the first. What starts
    while an earlier event of another signal lasts belongs to it.

    Parameters
    ----------
    spikes, bursts : sequence of (str, event)
        With the name of the signal they were found in.
    near : float, updates
        Largest gap within one transition.

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
    rows = [(s.start, s.end, float(np.log10(s.ratio)), name, False) for name, s in spikes]
    rows += [(b.start, b.end, 0.0, name, True) for name, b in bursts]
    groups: list[list[tuple[int, int, float, str, bool]]] = []
    for row in sorted(rows):
        if groups and row[0] <= max(member[1] for member in groups[-1]) + near and _belongs(row, groups[-1]):
            groups[-1].append(row)
        else:
            groups.append([row])
    return [_anchor(group) for group in groups]


def _nearest(anchors: Sequence[Anchor], step: float, near: float) -> Anchor | None:
    found = min(anchors, key=lambda anchor: abs(anchor.start - step), default=None)
    return found if found is not None and abs(found.start - step) <= near else None


def _belongs(row: tuple[int, int, float, str, bool], group: list[tuple[int, int, float, str, bool]]) -> bool:
    own = [member[2] for member in group if member[3] == row[3]]
    return row[4] or not own or row[2] <= max(own) - np.log10(LOWER)


def _anchor(group: list[tuple[int, int, float, str, bool]]) -> Anchor:
    decades = max(row[2] for row in group)
    evidence = []
    if decades:
        name = next(row[3] for row in group if row[2] == decades)
        evidence.append(f"{name} rises {10**decades:.2g}-fold")
    names = sorted({row[3] for row in group if row[4]})
    if names:
        evidence.append(f"misclassified training samples in {', '.join(names)}")
    return Anchor(min(row[0] for row in group), max(row[1] for row in group), decades, bool(names), tuple(evidence))
