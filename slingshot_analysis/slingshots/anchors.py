"""Anchors: sudden transitions, each joined from the loss spikes and misclassified samples that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from slingshot_analysis.canonical import Samples, as_step
from slingshot_analysis.detectors.misclassification import MisclassificationBurst
from slingshot_analysis.slingshots._loss_rises import Clearness, Rise

BY_HAND = "labelled by hand"
NOT_SEEN = Clearness()
"""Clearness of a transition that no loss shows."""
AFTERSHOCK_RATIO = 3.0
"""Minimum ratio of a spike and an aftershock, or a forerunner, that belongs to it."""
FORERUNNER_ROWS, FORERUNNER_CYCLE = 10, 0.1
"""Maximum gap between a forerunner and its spike: in rows, and as a share of the mean distance of spikes."""
BURST_SHARE, BURST_CYCLE = 2.0, 0.25
"""Spikes belong to one burst if the gap between them is at most this multiple of the length of the burst so far, and at
most this share of the mean distance of spikes."""
UNREST_SHARE = 5.0
"""Maximum gap between spikes while training samples are misclassified, relative to the time since the first of them."""
SAME_DENSITY = 2.0
"""Maximum ratio of the strides of misclassification and of a loss that are measured equally often."""


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
    before : float, updates
        Last step before the first sign, in the signal that shows it first.
    fall : float, updates
        Time in which the loss falls from its peak by a factor of e. 0 if no loss shows the transition.
    clearness : Clearness
        How clearly the spike stands out from the loss that shows it best.
    by_hand : bool
        Whether a label says that it is a slingshot.
    """

    start: int
    end: int
    decades: float
    misclassified: bool
    evidence: tuple[str, ...]
    before: float
    fall: float = 0.0
    clearness: Clearness = NOT_SEEN
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
    >>> found = [Anchor(100, 150, 1.0, False, (), 90), Anchor(900, 950, 4.0, True, (), 890)]
    >>> [(anchor.start, anchor.by_hand) for anchor in correct_anchors(found, [500, 902], [100], 20)]
    [(500, True), (900, True)]
    """
    kept = list(anchors)
    for step in removed:
        kept = [anchor for anchor in kept if anchor is not _nearest(kept, step, distance)]
    for step in added:
        known = _nearest(kept, step, distance)
        if known is None:
            kept.append(Anchor(as_step(step), as_step(step), 0.0, False, (BY_HAND,), float(step), by_hand=True))
        else:
            kept[kept.index(known)] = replace(known, evidence=(*known.evidence, BY_HAND), by_hand=True)
    return sorted(kept, key=lambda anchor: anchor.start)


@dataclass(frozen=True)
class Sign:
    """A loss spike or a burst of misclassified samples in one signal.

    Parameters
    ----------
    start, end : int, updates
        First step of the event, and first step after it.
    decades : float
        Decimal logarithm of the rise of the loss; 0 for misclassification.
    signal : str
        Name of the signal.
    misclassified : bool
        Whether it is a burst of misclassified samples.
    before : float, updates
        Last step of the signal before `start`.
    fall : float, updates
        Time in which the loss falls from its peak by a factor of e; 0 for misclassification.
    clearness : Clearness
        How clearly a spike stands out; zeros for misclassification.
    """

    start: int
    end: int
    decades: float
    signal: str
    misclassified: bool
    before: float
    fall: float = 0.0
    clearness: Clearness = NOT_SEEN

    @property
    def stride(self) -> float:
        """Return the distance of the rows that show the start, in updates."""
        return self.start - self.before


def spike_signs(name: str, loss: Samples, spikes: Sequence[tuple[Rise, Clearness]]) -> list[Sign]:
    """Return spikes of a loss as signs of transitions.

    Parameters
    ----------
    name : str
        Name of the loss.
    loss : Samples
        In canonical form.
    spikes : sequence of (Rise, Clearness)
        Its spikes, each with its clearness.

    Returns
    -------
    list of Sign
        In the same order.
    """
    return [
        Sign(
            spike.start,
            spike.end,
            float(np.log10(spike.ratio)),
            name,
            misclassified=False,
            before=_row_before(loss, spike.start),
            fall=_fall(loss, spike.peak),
            clearness=clearness,
        )
        for spike, clearness in spikes
    ]


def burst_signs(name: str, misclassified: Samples, bursts: Sequence[MisclassificationBurst]) -> list[Sign]:
    """Return bursts of misclassified samples as signs of transitions, as `spike_signs` does for spikes."""
    return [
        Sign(burst.start, burst.end, 0.0, name, misclassified=True, before=_row_before(misclassified, burst.start))
        for burst in bursts
    ]


def merge_anchors(signs: Sequence[Sign], distance: float) -> list[Anchor]:
    """Join the signs that belong to one transition.

    A sign that begins while an earlier one lasts, or within `distance` of its end, belongs to the same transition. If
    both are spikes of the same signal, one of three things must hold. It is an aftershock, lower than a third of the
    first. The first is a forerunner, as low as that, which ends a few rows before it. Or both are parts of a burst: the
    gap is short compared with the burst and with the usual distance of spikes, or training samples are still
    misclassified.

    Parameters
    ----------
    signs : sequence of Sign
        Spikes and bursts of misclassification in any order.
    distance : float, updates
        Maximum gap within one transition.

    Returns
    -------
    list of Anchor
        In order.

    Examples
    --------
    >>> anchors = merge_anchors([Sign(100, 150, 4.0, "train_loss", False, 90)], 10)
    >>> anchors[0].start, anchors[0].decades
    (100, 4.0)
    """
    pace = {name: _mean_distance([sign for sign in signs if sign.signal == name]) for name in {s.signal for s in signs}}
    groups: list[list[Sign]] = []
    for sign in sorted(signs, key=lambda sign: (sign.start, sign.misclassified, astuple(sign))):
        if groups and _belongs(sign, groups[-1], distance, pace[sign.signal]):
            groups[-1].append(sign)
        else:
            groups.append([sign])
    return [_anchor(group) for group in groups]


def _nearest(anchors: Sequence[Anchor], step: float, distance: float) -> Anchor | None:
    found = min(anchors, key=lambda anchor: abs(anchor.start - step), default=None)
    return found if found is not None and abs(found.start - step) <= distance else None


def _mean_distance(signs: Sequence[Sign]) -> float:
    """Return the mean distance of events; 0 if there are fewer than two."""
    starts = [sign.start for sign in signs]
    return (max(starts) - min(starts)) / (len(starts) - 1) if len(starts) > 1 else 0.0


def _belongs(sign: Sign, group: Sequence[Sign], distance: float, pace: float) -> bool:
    """Return whether a sign belongs to the transition of earlier ones, by the rules of `merge_anchors`."""
    earlier = [other for other in group if other.signal == sign.signal]
    if not earlier:
        return sign.before <= max(other.end for other in group) + distance
    if sign.misclassified:
        return sign.start <= max(other.end for other in earlier) + distance

    # A burst: the gap is short compared with the burst so far, and with the usual distance of spikes.
    fallen = max(min(other.start + other.fall, other.end) for other in earlier)
    length = fallen - min(other.start for other in earlier)
    burst = sign.start - fallen <= min(BURST_SHARE * length, BURST_CYCLE * pace)

    # An aftershock is much lower than the spikes before, and a forerunner much lower than this one.
    end = max(other.end for other in earlier)
    excess = sign.decades - max(other.decades for other in earlier)
    aftershock = excess <= -np.log10(AFTERSHOCK_RATIO) and sign.start <= end + distance
    gap = min(FORERUNNER_ROWS * sign.stride, FORERUNNER_CYCLE * pace)
    forerunner = excess >= np.log10(AFTERSHOCK_RATIO) and sign.start <= end + gap

    # Samples are still misclassified since the spikes before.
    near = sign.start - end <= UNREST_SHARE * (end - min(other.start for other in earlier))
    misclassified = near and any(
        other.misclassified and sign.start < other.end and other.stride <= SAME_DENSITY * sign.stride for other in group
    )
    return bool(burst or misclassified or aftershock or forerunner)


def _anchor(group: Sequence[Sign]) -> Anchor:
    highest = max(group, key=lambda sign: sign.decades)
    first = min(group, key=lambda sign: (sign.start, -sign.before))
    evidence = []
    if highest.decades:
        evidence.append(f"{highest.signal} rises {10**highest.decades:.2g}-fold")
    names = sorted({sign.signal for sign in group if sign.misclassified})
    if names:
        evidence.append(f"misclassified training samples in {', '.join(names)}")
    end = max(sign.end for sign in group)
    clearness = Clearness(*(max(values) for values in zip(*(sign.clearness for sign in group), strict=True)))
    return Anchor(
        first.start, end, highest.decades, bool(names), tuple(evidence), first.before, highest.fall, clearness
    )


def _row_before(samples: Samples, at: float) -> float:
    """Return the last step before an event; the step of the event if it is the first one."""
    row = int(np.searchsorted(samples.step, at))
    return float(samples.step[max(row - 1, 0)])


def _fall(loss: Samples, peak: float) -> float:
    """Return the time in which the loss falls from its peak by a factor of e; the rest of the run if it does not."""
    row = int(np.searchsorted(loss.step, peak))
    low = np.flatnonzero(loss.value[row:] <= loss.value[row] / np.e)
    return float(loss.step[row + int(low[0]) if len(low) else -1] - loss.step[row])
