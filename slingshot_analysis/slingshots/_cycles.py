"""Cycles of growth, transition and plateau: spikes matched with breaks of the norm, judged and scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from slingshot_analysis.canonical import as_step
from slingshot_analysis.detectors.norm import NormBreak
from slingshot_analysis.events import Slingshot
from slingshot_analysis.slingshots._inputs import Norm, RunSignals
from slingshot_analysis.slingshots._norm_response import norm_reach, norm_response, norm_shape, norm_stride
from slingshot_analysis.slingshots.anchors import Anchor

__all__ = ["assemble_cycles"]

ANSWER = 3.0
"""The norm answers where it moves three times as much as it usually does in as long a time."""
BIAS, DECADE, MISCLASSIFIED, NO_ERROR, CONTRAST, NO_ANSWER = -1.5, 0.7, 2.0, -2.5, 0.5, -2.5
"""Weights of the score, set by hand: three decades alone, or two with a fair answer of the norm, are more likely than
not a slingshot; a norm that does not answer, or batches without an error, outweigh three and a half decades."""
BREAK_BIAS, BREAK_CONTRAST, BREAK_GAIN = 3.0, 1.5, 2.4
"""Weights where there is only the norm, of the break's contrast and the decimal logarithm of its gain: a logistic
regression on 1,927 breaks in synthetic runs with and without slingshots."""
FULL_DECADES, FULL_CONTRAST = 6.0, 6.0
"""More decades or more contrast make no surer."""


def assemble_cycles(run: RunSignals, anchors: list[Anchor], end: float) -> list[Slingshot]:
    """Make slingshots of spikes, and of the breaks of the norm that no spike goes with.

    Parameters
    ----------
    run : RunSignals
        The signals.
    anchors : list of Anchor
        Spikes and misclassification in the terminal phase, in order.
    end : float, updates
        Where the run diverged; infinite if it did not.

    Returns
    -------
    list of Slingshot
        In order of their transitions, without those that are less sure than was asked for.
    """
    matched = _match(run, anchors)
    growths = _growths(run, anchors, matched)
    following = [growth if growth is not None else a.start for growth, a in zip(growths, anchors, strict=True)][1:]
    events = [
        _event(run, anchor, found, growth, until)
        for anchor, found, growth, until in zip(anchors, matched, growths, [*following, run.span[1]], strict=False)
    ]
    if run.norm is not None:
        used = [found for found in matched if found is not None]
        events += _unmatched(run, run.norm, [found for found in run.norm.breaks if found not in used], end)
    events = sorted(
        (e for e in events if e.confidence >= run.options.min_confidence), key=lambda event: event.transition
    )
    for k, event in enumerate(events[1:]):
        starts = event.transition if event.growth_start is None else event.growth_start
        events[k] = replace(events[k], plateau_end=max(starts, events[k].transition))
    return events


def _event(run: RunSignals, anchor: Anchor, found: NormBreak | None, growth: int | None, following: float) -> Slingshot:
    """Make the slingshot of one spike; what somebody has seen there is sure."""
    event = _scored(run, anchor, found, growth, following)
    return replace(event, confidence=1.0) if anchor.by_hand else event


def _scored(
    run: RunSignals, anchor: Anchor, found: NormBreak | None, growth: int | None, following: float
) -> Slingshot:
    score = BIAS + DECADE * min(anchor.decades, FULL_DECADES)
    score += MISCLASSIFIED if anchor.misclassified else (NO_ERROR if "batch_errors" in run.errors else 0.0)
    at, interval = as_step(anchor.start), _interval(run, anchor.start)
    if run.norm is None:
        return Slingshot(None, at, interval, None, None, None, "loss_only", None, anchor.evidence, _logistic(score))
    reach = norm_reach(run, run.norm, at)
    answer = norm_response(run, run.norm, at, reach)
    from_step = growth if growth is not None else at - reach
    before, after = np.exp(np.interp([from_step, at + reach], run.norm.step, run.norm.log)).tolist()
    if found is None and answer < ANSWER:
        score += NO_ANSWER
        return Slingshot(
            growth, at, interval, None, before, after, "loss_only", None, anchor.evidence, _logistic(score)
        )
    score += CONTRAST * min(max(answer, found.contrast if found else 0.0), FULL_CONTRAST)
    seen = "the norm breaks from growth" if found else f"the norm moves {answer:.0f} times as fast as usual"
    shape = norm_shape(run.norm, from_step, at, reach, following)
    evidence = (*anchor.evidence, seen)
    return Slingshot(growth, at, interval, None, before, after, "full", shape, evidence, _logistic(score))


def _unmatched(run: RunSignals, norm: Norm, breaks: list[NormBreak], end: float) -> list[Slingshot]:
    """Make slingshots of the breaks that no spike goes with, unless a spike would have shown."""
    if _is_dense(run, norm) or (run.terminal_phase_start is None and (run.losses or run.errors)):
        return []
    width = run.near
    events = []
    for found in breaks:
        late = run.terminal_phase_start is None or found.transition >= run.terminal_phase_start
        if not late or found.transition >= end:
            continue
        reached = [found.growth_start, found.transition + width]
        before, after = np.exp(np.interp(reached, norm.step, norm.log)).tolist()
        shape = norm_shape(norm, found.growth_start, found.transition, width, found.plateau_end)
        score = BREAK_BIAS + BREAK_CONTRAST * min(found.contrast, FULL_CONTRAST) + BREAK_GAIN * np.log10(found.gain)
        steps = found.growth_start, found.transition, found.interval, None
        evidence = ("the norm breaks from growth",)
        events.append(Slingshot(*steps, before, after, "norm_only", shape, evidence, _logistic(score)))
    return events


def _match(run: RunSignals, anchors: list[Anchor]) -> list[NormBreak | None]:
    """Give each spike the nearest break of the norm, each break to one spike at most."""
    chosen: list[NormBreak | None] = [None] * len(anchors)
    if run.norm is None:
        return chosen
    pairs = []
    for k, anchor in enumerate(anchors):
        near = max(run.near, 3 * norm_stride(run.norm.step, anchor.start))
        for j, found in enumerate(run.norm.breaks):
            distance = abs(found.transition - anchor.start)
            if distance <= near or anchor.start <= found.transition <= anchor.end + near:
                pairs.append((distance, k, j))
    taken: set[int] = set()
    for _, k, j in sorted(pairs):
        if chosen[k] is None and j not in taken:
            chosen[k] = run.norm.breaks[j]
            taken.add(j)
    return chosen


def _growths(run: RunSignals, anchors: list[Anchor], matched: list[NormBreak | None]) -> list[int | None]:
    """Return where growth begins before each spike, no earlier than the spike before has ended.

    Growth may slow down well before the spike: where no break that began earlier goes with it, the last one
    since the spike before counts.
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
    """Return the last row before a spike and its first, on the finest of the axes in which it was seen."""
    before = run.span[0]
    for step, _ in [*run.losses.values(), *run.errors.values()]:
        i = int(np.searchsorted(step, at))
        if 0 < i < len(step) and step[i] == at:
            before = max(before, float(step[i - 1]))
    return as_step(before), as_step(at)


def _is_dense(run: RunSignals, norm: Norm) -> bool:
    """Tell whether a loss or the errors are measured as often as the norm, so that no spike hides between the rows."""
    own = float(np.median(np.diff(norm.step)))
    axes = [step for step, _ in [*run.losses.values(), *run.errors.values()] if len(step) > 1]
    return any(float(np.median(np.diff(step))) <= 1.01 * own for step in axes)


def _logistic(score: float) -> float:
    return float(1 / (1 + np.exp(-score)))
