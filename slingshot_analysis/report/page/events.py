"""The events of a run in one list, numbered by time, as the figure and its table show them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.events import CERTAIN, LossSpike, Slingshot
from slingshot_analysis.report._words import count_of, lag_words, step_words

Kind = Literal["slingshot", "spike", "not finite", "jump", "milestone", "peak"]

MOST = 200
"""Largest number of events that are listed; the most important ones are kept."""
SAME_SHARE = 0.002
"""Distance, as a share of the run, up to which a loss spike belongs to a transition."""
HUGE = 1e9
"""Ratio from which on it is written with an exponent."""
WEIGHTS = {"slingshot": 6, "not finite": 5, "spike": 4, "jump": 3, "milestone": 2, "peak": 1}
"""Importance of a kind of event: where there is no room for all numbers, the most important ones are shown."""


@dataclass(frozen=True)
class Event:
    """One row of the table of events.

    Parameters
    ----------
    step : float, updates
        Where it is marked.
    kind : str
        For its mark.
    what : str
        What happened.
    details : str
        With the numbers.
    confidence : float or None
        Of a slingshot or of a spike without norm growth.
    weight : float
        Importance.
    """

    step: float
    kind: Kind
    what: str
    details: str
    confidence: float | None
    weight: float


def events_of(analysis: Analysis) -> list[Event]:
    """Return the events of a run by time, 200 at most."""
    events = sorted(_events(analysis), key=lambda event: -event.weight)[:MOST]
    return sorted(events, key=lambda event: event.step)


def resolved_steps(analysis: Analysis) -> list[float]:
    """Return the steps around which every row is kept, the most important first."""
    telling = [event for event in events_of(analysis) if event.kind in ("slingshot", "spike", "not finite")]
    return [event.step for event in sorted(telling, key=lambda event: -event.weight)]


def _events(analysis: Analysis) -> Iterator[Event]:
    for slingshot in analysis.slingshots:
        yield _transition(slingshot, "slingshot", "Slingshot" if slingshot.confidence >= CERTAIN else "Slingshot?")
    for spike in analysis.spikes_without_norm_growth:
        yield _transition(spike, "spike", "Loss spike without norm growth")
    yield from map(_spike, _other_spikes(analysis))
    for part in analysis.not_finite:
        end = "to the end" if part.end is None else f"up to {step_words(part.end)}"
        what = f"{part.signal} is not finite"
        yield _event(part.start, "not finite", what, f"{end}; {count_of(part.values, 'value')}")
    for jump in analysis.accuracy_jumps:
        details = f"{jump.before:.1%} → {jump.after:.1%}"
        yield _event(jump.step, "jump", "Validation accuracy jumps", details)
    if analysis.terminal_phase_start is not None:
        yield _event(analysis.terminal_phase_start, "milestone", "Training set fitted", "and stays so for a while")
    if analysis.grokking_step is not None:
        yield _event(analysis.grokking_step, "milestone", "Grokking", "validation accuracy stays above 95%")
    kinds = {"Features change fast": analysis.feature_bursts, "Curvature peak": analysis.curvature_peaks}
    for what, peaks in kinds.items():
        for peak in peaks:
            ratio = f"{peak.ratio:,.0f}" if 100 <= peak.ratio < HUGE else f"{peak.ratio:.3g}"
            yield _event(peak.peak, "peak", what, f"{ratio} times the level before")


def _event(
    step: float, kind: Kind, what: str, details: str, confidence: float | None = None, extra: float = 0
) -> Event:
    return Event(step, kind, what, details, confidence, WEIGHTS[kind] + extra)


def _transition(found: Slingshot, kind: Kind, what: str) -> Event:
    parts = []
    if found.growth_start is not None:
        parts.append(f"norm grows from {lag_words(found.growth_start - found.transition)}")
    if found.norm_before is not None and found.norm_after is not None:
        parts.append(f"norm {found.norm_before:.3g} → {found.norm_after:.3g}")
    if found.plateau_end is not None:
        parts.append(f"plateau ends at {lag_words(found.plateau_end - found.transition)}")
    if found.shape:
        parts.append(found.shape)
    return _event(found.transition, kind, what, "; ".join(parts), found.confidence, found.confidence)


def _other_spikes(analysis: Analysis) -> Iterator[LossSpike]:
    """Yield the loss spikes that are not the spike of a transition, which is listed already."""
    transitions = [found.transition for found in (*analysis.slingshots, *analysis.spikes_without_norm_growth)]
    near = SAME_SHARE * (analysis.steps[1] - analysis.steps[0])
    for spike in analysis.loss_spikes:
        if not any(spike.start - near <= at <= spike.peak + near for at in transitions):
            yield spike


def _spike(spike: LossSpike) -> Event:
    height = f"{spike.height:.3g} nats high" if np.isfinite(spike.height) else "without bound"
    back = "" if spike.recovery_steps is None else f" after {_steps(spike.recovery_steps)}"
    extra = min(float(np.log1p(max(spike.height, 0))) / 10, 0.9) if np.isfinite(spike.height) else 0.9
    return _event(spike.start, "spike", "Loss spike", f"{height}; {spike.outcome}{back}", None, extra)


def _steps(number: float) -> str:
    return f"{step_words(number)} step{'' if number == 1 else 's'}"
