"""Cycles of growth, transition and plateau: spikes are matched with breaks of the norm, and each event is scored."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from slingshot_analysis.canonical import as_step
from slingshot_analysis.detectors.norm import NormBreak
from slingshot_analysis.events import Slingshot
from slingshot_analysis.slingshots._inputs import Norm, RunSignals
from slingshot_analysis.slingshots._norm_evidence import NormEvidence, norm_evidence, norm_shape, norm_stride
from slingshot_analysis.slingshots.anchors import Anchor

__all__ = ["Events", "assemble_cycles"]

BIAS, DECADE, MISCLASSIFIED, GROWTH, CONTRAST = -1.9, 1.0, 2.0, 1.5, 1.0
"""Weights of the confidence."""
BREAK_BIAS, BREAK_CONTRAST, BREAK_GAIN = 3.0, 1.5, 2.4
"""Weights of the confidence if only the norm shows the event: of the contrast of the break, and of the logarithm of its
gain. From a logistic regression on 1,927 breaks in synthetic runs with and without slingshots."""
MAXIMUM_DECADES, MAXIMUM_CONTRAST = 6.0, 6.0
"""Decades and contrast beyond these do not raise the confidence."""
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
    # Each spike becomes an event; its cycle lies between its neighbours.
    first = run.span[0] if run.settled is None else run.settled
    ends = [first, *(anchor.end for anchor in anchors)]
    starts = [*(anchor.start for anchor in anchors[1:]), run.span[1]]
    events: list[Slingshot] = []
    kinds: list[str] = []
    used: list[NormBreak] = []
    for anchor, previous_end, following in zip(anchors, ends, starts, strict=False):
        event = _loss_event(run, anchor)
        kind = "unknown"
        if run.norm is not None:
            breaks = _breaks_near(run, run.norm, anchor)
            evidence = norm_evidence(run.norm, anchor, previous_end, following, first, breaks=bool(breaks))
            kind = evidence.kind
            event = _with_norm(run, run.norm, event, evidence, previous_end, following)
            used += breaks
        events.append(replace(event, confidence=1.0) if anchor.by_hand else event)
        kinds.append("unknown" if anchor.by_hand else kind)

    # A change of the norm that is usual in the run is growth only at a high spike, and if the run has slingshots.
    cycles = "growth" in kinds
    absent = [
        kind == "none" or (kind == "usual" and not (cycles and anchor.decades >= HIGH_SPIKE))
        for kind, anchor in zip(kinds, anchors, strict=True)
    ]
    slingshots = [event for event, without in zip(events, absent, strict=True) if not without]
    without_growth = [event for event, without in zip(events, absent, strict=True) if without]

    # Breaks of the norm that are left may be slingshots too.
    if run.norm is not None:
        slingshots += _unmatched(run, run.norm, [found for found in run.norm.breaks if found not in used], end)

    # A plateau ends where the next cycle begins.
    slingshots = [event for event in slingshots if event.confidence >= run.options.min_confidence]
    slingshots.sort(key=lambda event: event.transition)
    for k, event in enumerate(slingshots[1:]):
        start = event.transition if event.growth_start is None else event.growth_start
        slingshots[k] = replace(slingshots[k], plateau_end=max(start, slingshots[k].transition))
    return Events(slingshots, [event for event in without_growth if event.confidence >= run.options.min_confidence])


def _loss_event(run: RunSignals, anchor: Anchor) -> Slingshot:
    """Make the event of one spike from the evidence of the losses and of misclassification."""
    score = BIAS + DECADE * min(anchor.decades, MAXIMUM_DECADES) + MISCLASSIFIED * anchor.misclassified
    return Slingshot(
        growth_start=None,
        transition=as_step(anchor.start),
        interval=(as_step(anchor.before), as_step(anchor.start)),
        plateau_end=None,
        norm_before=None,
        norm_after=None,
        tier="loss_only",
        shape=None,
        evidence=anchor.evidence,
        confidence=_logistic(score),
    )


def _with_norm(
    run: RunSignals, norm: Norm, event: Slingshot, evidence: NormEvidence, previous_end: float, following: float
) -> Slingshot:
    """Add the evidence of the norm to an event. It never lowers the confidence."""
    at = event.transition
    reach = max(run.extent, norm_stride(norm.step, at))
    growth_start = None if evidence.kind == "none" else _growth_start(norm, at, previous_end, reach)
    start = at - reach if growth_start is None else growth_start
    before, after = np.exp(np.interp([start, at + reach], norm.step, norm.log)).tolist()
    event = replace(event, growth_start=growth_start, norm_before=before, norm_after=after)
    if evidence.kind != "growth":
        return event
    score = np.log(event.confidence / (1 - event.confidence)) + GROWTH
    score += CONTRAST * min(evidence.contrast, MAXIMUM_CONTRAST)
    return replace(
        event,
        tier="full",
        shape=norm_shape(norm, start, at, reach, following),
        evidence=(*event.evidence, "the norm grows until then"),
        confidence=_logistic(score),
    )


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
        score = BREAK_BIAS + BREAK_CONTRAST * min(found.contrast, MAXIMUM_CONTRAST) + BREAK_GAIN * np.log10(found.gain)
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
                confidence=_logistic(score),
            )
        )
    return events


def _loss_is_as_dense(run: RunSignals, norm: Norm) -> bool:
    """Return whether a loss or errors are measured as often as the norm, so that no spike is hidden between rows."""
    own = float(np.median(np.diff(norm.step)))
    axes = [step for step, _ in [*run.losses.values(), *run.errors.values()] if len(step) > 1]
    return any(float(np.median(np.diff(step))) <= SAME_STRIDE * own for step in axes)


def _logistic(score: float) -> float:
    return float(1 / (1 + np.exp(-score)))
