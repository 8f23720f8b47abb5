"""Cycles of growth, transition and plateau: spikes are matched with breaks of the norm, and each event is scored."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from slingshot_analysis.canonical import as_step
from slingshot_analysis.detectors.norm import NormBreak
from slingshot_analysis.events import Slingshot
from slingshot_analysis.slingshots._inputs import Norm, RunSignals
from slingshot_analysis.slingshots._norm_response import norm_reach, norm_response, norm_shape, norm_stride
from slingshot_analysis.slingshots.anchors import Anchor

__all__ = ["assemble_cycles"]

MINIMUM_RESPONSE = 3.0
"""Minimum movement of the norm at a spike, relative to its usual movement, that counts as a response."""
BIAS, DECADE, MISCLASSIFIED, NO_ERROR, CONTRAST, NO_RESPONSE = -1.5, 0.7, 2.0, -2.5, 0.5, -2.5
"""Weights of the confidence, set by hand. Three decades alone, or two with a fair response of the norm, are more likely
than not a slingshot. A norm that does not respond, or batches without an error, outweigh three and a half decades."""
BREAK_BIAS, BREAK_CONTRAST, BREAK_GAIN = 3.0, 1.5, 2.4
"""Weights of the confidence if only the norm shows the event: of the contrast of the break, and of the logarithm of its
gain. From a logistic regression on 1,927 breaks in synthetic runs with and without slingshots."""
MAXIMUM_DECADES, MAXIMUM_CONTRAST = 6.0, 6.0
"""Decades and contrast beyond these do not raise the confidence."""
MINIMUM_STRIDES = 3
"""Minimum distance, in rows of the norm, within which a spike and a break are matched."""
SAME_STRIDE = 1.01
"""Maximum ratio of two strides that count as equal."""


@dataclass(frozen=True)
class _Cycle:
    """A spike, the break of the norm that belongs to it, and the edges of its cycle."""

    anchor: Anchor
    found: NormBreak | None
    growth_start: int | None
    next_start: float


def assemble_cycles(run: RunSignals, anchors: list[Anchor], end: float) -> list[Slingshot]:
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
    list of Slingshot
        In order of their transitions. Events below the minimum confidence are left out.
    """
    # Each spike gets a break of the norm and the start of the growth before it.
    matched = _match(run, anchors)
    growths = _growths(run, anchors, matched)
    starts = [anchor.start if growth is None else growth for growth, anchor in zip(growths, anchors, strict=True)]
    cycles = [
        _Cycle(*cycle)
        for cycle in zip(anchors, matched, growths, [*starts[1:], run.span[1]][: len(anchors)], strict=True)
    ]

    # Each cycle becomes an event, and so does each break that is left.
    events = [_event(run, cycle) for cycle in cycles]
    if run.norm is not None:
        events += _unmatched(run, run.norm, [found for found in run.norm.breaks if found not in matched], end)
    events = [event for event in events if event.confidence >= run.options.min_confidence]

    # A plateau ends where the next cycle begins.
    events.sort(key=lambda event: event.transition)
    for k, event in enumerate(events[1:]):
        start = event.transition if event.growth_start is None else event.growth_start
        events[k] = replace(events[k], plateau_end=max(start, events[k].transition))
    return events


def _event(run: RunSignals, cycle: _Cycle) -> Slingshot:
    """Make the slingshot of one spike, with confidence 1 if a label says that it is one."""
    event = _scored(run, cycle)
    return replace(event, confidence=1.0) if cycle.anchor.by_hand else event


def _scored(run: RunSignals, cycle: _Cycle) -> Slingshot:
    """Weigh the evidence for one spike."""
    # Evidence of the loss and of misclassification.
    anchor, found = cycle.anchor, cycle.found
    score = BIAS + DECADE * min(anchor.decades, MAXIMUM_DECADES)
    score += MISCLASSIFIED if anchor.misclassified else (NO_ERROR if "batch_errors" in run.errors else 0.0)
    event = Slingshot(
        growth_start=cycle.growth_start,
        transition=as_step(anchor.start),
        interval=_interval(run, anchor.start),
        plateau_end=None,
        norm_before=None,
        norm_after=None,
        tier="loss_only",
        shape=None,
        evidence=anchor.evidence,
        confidence=_logistic(score),
    )
    if run.norm is None:
        return event

    # Evidence of the norm.
    at = event.transition
    reach = norm_reach(run, run.norm, at)
    response = norm_response(run, run.norm, at, reach)
    start = at - reach if cycle.growth_start is None else cycle.growth_start
    before, after = np.exp(np.interp([start, at + reach], run.norm.step, run.norm.log)).tolist()
    event = replace(event, norm_before=before, norm_after=after)
    if found is None and response < MINIMUM_RESPONSE:
        return replace(event, confidence=_logistic(score + NO_RESPONSE))
    contrast = max(response, found.contrast if found else 0.0)
    seen = "the norm breaks from growth" if found else f"the norm moves {response:.0f} times as fast as usual"
    return replace(
        event,
        tier="full",
        shape=norm_shape(run.norm, start, at, reach, cycle.next_start),
        evidence=(*anchor.evidence, seen),
        confidence=_logistic(score + CONTRAST * min(contrast, MAXIMUM_CONTRAST)),
    )


def _unmatched(run: RunSignals, norm: Norm, breaks: list[NormBreak], end: float) -> list[Slingshot]:
    """Make slingshots from breaks of the norm that have no spike, unless the loss would have shown one."""
    if _loss_is_as_dense(run, norm) or (run.terminal_phase_start is None and (run.losses or run.errors)):
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


def _match(run: RunSignals, anchors: list[Anchor]) -> list[NormBreak | None]:
    """Return for each spike the nearest break of the norm. A break belongs to one spike at most."""
    chosen: list[NormBreak | None] = [None] * len(anchors)
    if run.norm is None:
        return chosen
    pairs = []
    for k, anchor in enumerate(anchors):
        limit = max(run.extent, MINIMUM_STRIDES * norm_stride(run.norm.step, anchor.start))
        for j, found in enumerate(run.norm.breaks):
            distance = abs(found.transition - anchor.start)
            if distance <= limit or anchor.start <= found.transition <= anchor.end + limit:
                pairs.append((distance, k, j))
    taken: set[int] = set()
    for _, k, j in sorted(pairs):
        if chosen[k] is None and j not in taken:
            chosen[k] = run.norm.breaks[j]
            taken.add(j)
    return chosen


def _growths(run: RunSignals, anchors: list[Anchor], matched: list[NormBreak | None]) -> list[int | None]:
    """Return the start of the growth before each spike, not before the end of the previous spike.

    Growth may slow down well before a spike. If the break of a spike does not begin before it, the last break since the
    previous spike counts.
    """
    earlier = [
        run.terminal_phase_start if run.terminal_phase_start is not None else run.span[0],
        *(anchor.end for anchor in anchors),
    ]
    breaks = run.norm.breaks if run.norm is not None else []
    growths: list[int | None] = []
    for anchor, found, limit in zip(anchors, matched, earlier, strict=False):
        if found is None or found.growth_start >= anchor.start:
            between = [b for b in breaks if b not in matched and limit <= b.transition < anchor.start]
            found = between[-1] if between else None
        start = None if found is None else max(found.growth_start, as_step(limit))
        growths.append(start if start is not None and start < anchor.start else None)
    return growths


def _interval(run: RunSignals, at: float) -> tuple[int, int]:
    """Return the last row before a spike and its first row, in the densest signal that shows it."""
    before = run.span[0]
    for step, _ in [*run.losses.values(), *run.errors.values()]:
        i = int(np.searchsorted(step, at))
        if 0 < i < len(step) and step[i] == at:
            before = max(before, float(step[i - 1]))
    return as_step(before), as_step(at)


def _loss_is_as_dense(run: RunSignals, norm: Norm) -> bool:
    """Return whether a loss or errors are measured as often as the norm, so that no spike is hidden between rows."""
    own = float(np.median(np.diff(norm.step)))
    axes = [step for step, _ in [*run.losses.values(), *run.errors.values()] if len(step) > 1]
    return any(float(np.median(np.diff(step))) <= SAME_STRIDE * own for step in axes)


def _logistic(score: float) -> float:
    return float(1 / (1 + np.exp(-score)))
