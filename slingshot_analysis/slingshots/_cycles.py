"""Cycles of growth, transition and plateau: spikes are matched with breaks of the norm, and each event is scored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from slingshot_analysis.canonical import as_step
from slingshot_analysis.detectors.breaks import NormBreak
from slingshot_analysis.events import CERTAIN, Slingshot
from slingshot_analysis.slingshots._confidence import (
    BREAK_WEIGHTS,
    SpikeEvidence,
    break_features,
    confidence,
)
from slingshot_analysis.slingshots._inputs import Norm, RunSignals
from slingshot_analysis.slingshots._norm_evidence import NormEvidence, norm_evidence, norm_shape, norm_stride
from slingshot_analysis.slingshots.anchors import Anchor

__all__ = ["Events", "Judged", "assemble_cycles", "judge"]

HIGH_SPIKE = 2.0
"""Minimum decades of a spike that counts although the norm changes no more than usual in the run."""
MINIMUM_STRIDES = 3
"""Minimum distance, in rows of the norm, within which a spike and a break are matched."""
SAME_STRIDE = 1.01
"""Maximum ratio of two strides that count as equal."""


class Events(NamedTuple):
    """The events of a run: slingshots, and loss spikes at which the norm could have shown growth and does not."""

    slingshots: list[Slingshot]
    without_growth: list[Slingshot]


def assemble_cycles(run: RunSignals, anchors: list[Anchor], end: float) -> Events:
    """Make slingshots from spikes, and from breaks of the norm that have no spike.

    Parameters
    ----------
    run : RunSignals
        The signals.
    anchors : list of Anchor
        Spikes and misclassification in the terminal phase, in order.
    end : float, updates
        Step from which the run has diverged. Infinite if it has not.

    Returns
    -------
    Events
        In order of their transitions. Events below the minimum confidence are left out.
    """
    # Each spike becomes an event, which is no slingshot if the norm could have shown growth and does not.
    judged = judge(run, anchors)
    events = [_event(run, each) for each in judged]
    slingshots = [event for event, each in zip(events, judged, strict=True) if not each.without_growth]
    without_growth = [event for event, each in zip(events, judged, strict=True) if each.without_growth]

    # Breaks of the norm that are left may be slingshots too.
    if run.norm is not None:
        used = [found for anchor in anchors for found in _breaks_near(run, run.norm, anchor)]
        slingshots += _unmatched(run, run.norm, [found for found in run.norm.breaks if found not in used], end)

    # A plateau ends where the next cycle begins.
    slingshots = [event for event in slingshots if event.confidence >= run.options.min_confidence]
    slingshots.sort(key=lambda event: event.transition)
    for k, event in enumerate(slingshots[1:]):
        start = event.transition if event.growth_start is None else event.growth_start
        slingshots[k] = replace(slingshots[k], plateau_end=max(start, slingshots[k].transition))
    return Events(slingshots, [event for event in without_growth if event.confidence >= run.options.min_confidence])


@dataclass(frozen=True)
class Judged:
    """A spike, the cycle that it lies in, and the evidence for it."""

    anchor: Anchor
    previous_end: float
    following: float
    evidence: SpikeEvidence
    full: bool
    without_growth: bool


def judge(run: RunSignals, anchors: list[Anchor]) -> list[Judged]:
    """Collect the evidence for each spike.

    Parameters
    ----------
    run : RunSignals
        The signals.
    anchors : list of Anchor
        In order.

    Returns
    -------
    list of Judged
        In the same order.
    """
    first = run.span[0] if run.settled is None else run.settled
    cycles = _cycles(anchors, first, run.span[1])
    norms = [
        NormEvidence("unknown")
        if run.norm is None
        else norm_evidence(run.norm, anchor, end, start, first, breaks=bool(_breaks_near(run, run.norm, anchor)))
        for anchor, end, start in cycles
    ]
    # A change of the norm that is usual in the run is growth only at a high spike, and if the run has slingshots.
    any_growth = any(norm.kind == "growth" for norm in norms)
    judged = []
    for (anchor, end, start), norm in zip(cycles, norms, strict=True):
        usual = norm.kind == "usual" and not (any_growth and anchor.decades >= HIGH_SPIKE)
        evidence = SpikeEvidence(
            decades=anchor.decades,
            clearness=anchor.clearness,
            misclassified=anchor.misclassified,
            growth=norm.kind in ("growth", "late"),
            contrast=norm.contrast,
        )
        without = not anchor.by_hand and (usual or norm.kind == "none")
        judged.append(Judged(anchor, end, start, evidence, norm.kind == "growth", without))
    return judged


def _cycles(anchors: list[Anchor], first: float, last: float) -> list[tuple[Anchor, float, float]]:
    """Return each spike with the step after the spike before it and the step of the spike after it.

    Doubtful spikes bound no cycle. A spike of which a loss recovers slowly leaves most of the cycle to the next one.
    """
    sure = [
        anchor
        for anchor in anchors
        if anchor.by_hand or SpikeEvidence(anchor.decades, anchor.clearness, anchor.misclassified).confidence >= CERTAIN
    ]
    starts = np.array([anchor.start for anchor in sure], dtype=float)
    cycles = []
    for anchor in anchors:
        before, after = np.searchsorted(starts, anchor.start), np.searchsorted(starts, anchor.start, side="right")
        begin = first
        if before > 0:
            earlier = sure[before - 1]
            begin = min(earlier.end, earlier.start + (anchor.start - earlier.start) / 4)
        cycles.append((anchor, begin, float(starts[after]) if after < len(sure) else last))
    return cycles


def _event(run: RunSignals, judged: Judged) -> Slingshot:
    """Make the event of one spike."""
    anchor, at = judged.anchor, as_step(judged.anchor.start)
    event = Slingshot(
        growth_start=None,
        transition=at,
        interval=(as_step(anchor.before), at),
        plateau_end=None,
        norm_before=None,
        norm_after=None,
        tier="loss_only",
        shape=None,
        evidence=anchor.evidence,
        confidence=1.0 if anchor.by_hand else judged.evidence.confidence,
    )
    if run.norm is None:
        return event
    reach = max(run.extent, norm_stride(run.norm.step, at))
    growth_start = None if judged.without_growth else _growth_start(run.norm, at, judged.previous_end, reach)
    start = at - reach if growth_start is None else growth_start
    before, after = np.exp(np.interp([start, at + reach], run.norm.step, run.norm.log)).tolist()
    event = replace(event, growth_start=growth_start, norm_before=before, norm_after=after)
    if not judged.full:
        return event
    shape = norm_shape(run.norm, start, at, reach, judged.following)
    return replace(event, tier="full", shape=shape, evidence=(*event.evidence, "the norm grows until then"))


def _growth_start(norm: Norm, at: float, previous_end: float, reach: float) -> int | None:
    """Return the start of the growth phase before a spike: of the one that ends there, or else of the last one.

    Growth may slow down well before a spike, and it may end a few rows after it begins.
    """
    starts = [
        phase.start
        for phase in norm.phases
        if phase.kind == "growth" and previous_end - reach <= phase.start < at and phase.end > previous_end
    ]
    return starts[-1] if starts else None


def _breaks_near(run: RunSignals, norm: Norm, anchor: Anchor) -> list[NormBreak]:
    """Return the breaks of the norm that belong to a spike."""
    limit = max(run.extent, MINIMUM_STRIDES * norm_stride(norm.step, anchor.start))
    return [found for found in norm.breaks if anchor.start - limit <= found.transition <= anchor.end + limit]


def _unmatched(run: RunSignals, norm: Norm, breaks: list[NormBreak], end: float) -> list[Slingshot]:
    """Make slingshots from breaks of the norm that have no spike, unless the loss would have shown one."""
    if _loss_is_as_dense(run, norm) or (run.settled is None and (run.losses or run.errors)):
        return []
    events = []
    for found in breaks:
        late = run.terminal_phase_start is None or found.transition >= run.terminal_phase_start
        if not late or found.transition >= end:
            continue
        steps = [found.growth_start, found.transition + run.extent]
        before, after = np.exp(np.interp(steps, norm.step, norm.log)).tolist()
        events.append(
            Slingshot(
                growth_start=found.growth_start,
                transition=found.transition,
                interval=found.interval,
                plateau_end=None,
                norm_before=before,
                norm_after=after,
                tier="norm_only",
                shape=norm_shape(norm, found.growth_start, found.transition, run.extent, found.plateau_end),
                evidence=("the norm breaks from growth",),
                confidence=confidence(break_features(found), BREAK_WEIGHTS),
            )
        )
    return events


def _loss_is_as_dense(run: RunSignals, norm: Norm) -> bool:
    """Return whether a loss or errors are measured as often as the norm, so that no spike is hidden between rows."""
    own = float(np.median(np.diff(norm.step)))
    axes = [step for step, _ in [*run.losses.values(), *run.errors.values()] if len(step) > 1]
    return any(float(np.median(np.diff(step))) <= SAME_STRIDE * own for step in axes)
