"""Labels by hand of loss spikes and of climbs of the validation accuracy, applied to what was detected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from slingshot_analysis.canonical import MAD_OF_NORMAL, Samples, as_step, canonical, canonical_accuracy
from slingshot_analysis.events import AccuracyClimb, LossSpike, Outcome, Slingshot
from slingshot_analysis.labels import Labels, SpikeLabel
from slingshot_analysis.signal import Signal

LEVEL_ROWS = 16
"""Maximum number of rows before a labelled spike whose median is its level."""
FLOAT32_RESOLUTION = 2.0**-23
"""Minimum of the level that a ratio is taken of."""

Event = TypeVar("Event")


def label_spikes(
    spikes: Sequence[LossSpike], labels: Labels, loss: Signal | None, distance: float
) -> tuple[LossSpike, ...]:
    """Apply the labels of loss spikes.

    Parameters
    ----------
    spikes : sequence of LossSpike
        As detected.
    labels : Labels
        Each applies to the nearest spike within `distance` of its rise. An added label gives that spike its outcome.
        Where there is no spike, one is measured in the loss.
    loss : Signal or None, nats
        The loss in which spikes are looked for. Without it nothing can be added.
    distance : float, updates
        Maximum distance of a label and its spike.

    Returns
    -------
    tuple of LossSpike
        In order.
    """
    kept = _without(spikes, labels.removed_spikes, _from_rise, distance)
    for label in labels.added_spikes:
        known = _nearest(kept, label.step, _from_rise, distance)
        if known is not None:
            kept[kept.index(known)] = _with_outcome(known, label.outcome)
        elif loss is not None and (found := _measured(loss, label)) is not None:
            kept.append(found)
    return tuple(sorted(kept, key=lambda spike: spike.start))


def struck_out(events: Sequence[Slingshot], spikes: Sequence[LossSpike], labels: Labels, distance: float) -> list[int]:
    """Return the transitions at loss spikes that a label removes: what is no spike is no slingshot either.

    Parameters
    ----------
    events : sequence of Slingshot
        Slingshots and spikes without norm growth.
    spikes : sequence of LossSpike
        As detected.
    labels : Labels
        Each applies to the nearest spike within `distance`, and to the events that are nearest to that spike. Where no
        spike was detected it applies to the events within `distance`.
    distance : float, updates
        Maximum distance of a label and its spike.

    Returns
    -------
    list of int, updates
    """
    removed = [_nearest(spikes, step, _from_rise, distance) for step in labels.removed_spikes]
    found = []
    for event in events:
        spike = _nearest(spikes, event.transition, _from_rise, distance)
        near = any(abs(event.transition - step) <= distance for step in labels.removed_spikes)
        if any(spike is one for one in removed if one is not None) or (spike is None and near):
            found.append(event.transition)
    return found


def label_climbs(
    climbs: Sequence[AccuracyClimb], labels: Labels, accuracy: Signal | None, distance: float
) -> tuple[AccuracyClimb, ...]:
    """Apply the labels of climbs.

    Parameters
    ----------
    climbs : sequence of AccuracyClimb
        As detected.
    labels : Labels
        Each applies to the climb with the nearest onset within `distance`. Where there is none, an added climb begins
        at the last evaluation up to its step, and goes on while each evaluation is the best so far.
    accuracy : Signal or None, fraction in [0, 1]
        The validation accuracy. Without it nothing can be added.
    distance : float, updates
        Maximum distance of a label and the onset.

    Returns
    -------
    tuple of AccuracyClimb
        In the order of their onsets.
    """
    kept = _without(climbs, labels.removed_climbs, _from_onset, distance)
    for onset in labels.added_climbs:
        if accuracy is not None and _nearest(kept, onset, _from_onset, distance) is None:
            kept += _climb(accuracy, onset)
    return tuple(sorted(kept, key=lambda climb: climb.onset))


def label_notes(labels: Labels) -> Iterator[str]:
    """Say which labels were applied."""
    for what, added, removed in (
        ("", labels.added, labels.removed),
        (" of loss spikes", [label.step for label in labels.added_spikes], labels.removed_spikes),
        (" of climbs", labels.added_climbs, labels.removed_climbs),
    ):
        if added or removed:
            yield f"labels by hand{what}: added {list(added)}, removed {list(removed)}"


def _from_rise(spike: LossSpike, step: float) -> float:
    return max(spike.start - step, step - spike.peak, 0)


def _from_onset(climb: AccuracyClimb, step: float) -> float:
    return abs(climb.onset - step)


def _nearest(
    events: Sequence[Event], step: float, distance_of: Callable[[Event, float], float], most: float
) -> Event | None:
    found = min(events, key=lambda event: distance_of(event, step), default=None)
    return found if found is not None and distance_of(found, step) <= most else None


def _without(
    events: Sequence[Event], removed: Sequence[int], distance_of: Callable[[Event, float], float], most: float
) -> list[Event]:
    kept = list(events)
    for step in removed:
        wrong = _nearest(kept, step, distance_of, most)
        kept = [event for event in kept if event is not wrong]
    return kept


def _with_outcome(spike: LossSpike, outcome: Outcome | None) -> LossSpike:
    """Return the spike with an outcome. One that stays has no recovery."""
    if outcome is None:
        return spike
    stays = outcome in ("diverged", "not finite")
    return replace(spike, outcome=outcome, recovery_steps=None if stays else spike.recovery_steps)


def _measured(loss: Signal, label: SpikeLabel) -> LossSpike | None:
    """Return the spike that begins in the first row from a step on; None behind the last row."""
    step, value = canonical(loss.step, loss.value, "loss", keep_nan=True)
    row = int(np.searchsorted(step, label.step))
    if row == len(step):
        return None
    start, last = as_step(step[row]), as_step(step[-1])
    before = value[:row][np.isfinite(value[:row])][-LEVEL_ROWS:]
    if not np.isfinite(value[row]) or not len(before):
        outcome: Outcome = "lingering" if np.isfinite(value[row]) else "not finite"
        spike = LossSpike(start, start, last, np.inf, np.inf, np.inf, None, None, outcome)
        return _with_outcome(spike, label.outcome)
    level = float(np.median(before))
    noise = float(np.median(np.abs(before - level))) / MAD_OF_NORMAL
    back = _first_back(Samples(step, value), row, level + noise)
    peak = row + int(np.nanargmax(value[row : len(value) if back is None else back]))
    height = float(value[peak]) - level
    after = value[back:][:LEVEL_ROWS] if back is not None else np.array([])
    spike = LossSpike(
        start=start,
        peak=as_step(step[peak]),
        end=last if back is None else as_step(step[back]),
        ratio=float(value[peak]) / max(level, FLOAT32_RESOLUTION),
        height=height,
        deviations=height / noise if noise else np.inf,
        recovery_steps=None if back is None else as_step(step[back] - step[row]),
        residual=float(np.nanmedian(after)) - level if len(after) else None,
        outcome="lingering" if back is None else "recovered",
    )
    return _with_outcome(spike, label.outcome)


def _first_back(loss: Samples, row: int, most: float) -> int | None:
    """Return the first row after the one given whose loss is no higher than `most`."""
    low = np.flatnonzero(loss.value[row + 1 :] <= most)
    return row + 1 + int(low[0]) if len(low) else None


def _climb(accuracy: Signal, onset: float) -> list[AccuracyClimb]:
    step, value = canonical_accuracy(accuracy.step, accuracy.value)
    row = int(np.searchsorted(step, onset, side="right")) - 1
    if not 0 <= row < len(step) - 1:
        return []
    best = np.maximum.accumulate(value)
    still = np.flatnonzero(np.diff(best[row + 1 :]) <= 0)
    end = row + 1 + int(still[0]) if len(still) else len(step) - 1
    return [AccuracyClimb(as_step(step[row]), as_step(step[end]), float(best[row]), float(best[end]))]
