"""What of a slingshot is sudden: loss spikes and bursts of misclassification, joined where they belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slingshot_analysis.detectors.misclassification import MisclassificationBurst
from slingshot_analysis.events import LossSpike

__all__ = ["Anchor", "merge_anchors"]

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
    """

    start: int
    end: int
    decades: float
    misclassified: bool
    evidence: tuple[str, ...]


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
