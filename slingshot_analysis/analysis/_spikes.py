"""What an analysis says about loss spikes: the spikes, what is not finite, scores of the run, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from slingshot_analysis.analysis.signals import LOSSES, first_of
from slingshot_analysis.canonical import canonical
from slingshot_analysis.detectors import (
    detect_gradient_spikes,
    detect_lasting_rise,
    detect_not_finite,
    series_spike_score,
    spike_score,
)
from slingshot_analysis.detectors.spikes import search_spikes
from slingshot_analysis.events import LossSpike, NotFinite
from slingshot_analysis.signal import Signal
from slingshot_analysis.slingshots import Verdict

CHECKED = (*LOSSES, "gradient_norm", "val_loss")
"""Signals in which NaN and infinity are looked for, in the order in which they are named where they begin together."""
FOR_GOOD = ("diverged", "not finite")
"""Outcomes of a spike that make a run diverged, if the log ends with it."""


@dataclass(frozen=True)
class Spikes:
    """What was found; see the fields of `Analysis` of the same names.

    Parameters
    ----------
    rise : int or None, updates
        Step from which the loss rises for good without a sudden rise.
    levels : (float, float) or None, nats
        The two levels between which the loss moves.
    mean_rows : int or None
        Number of rows after which the loss, a running mean, begins afresh.
    """

    loss_spikes: tuple[LossSpike, ...] = ()
    gradient_spikes: tuple[LossSpike, ...] = ()
    not_finite: tuple[NotFinite, ...] = ()
    spike_score: float | None = None
    spike_score_1000: float | None = None
    gradient_spike_score_1000: float | None = None
    rise: int | None = None
    levels: tuple[float, float] | None = None
    mean_rows: int | None = None

    def verdict(self, composite: Verdict) -> Verdict:
        """Return the verdict of a run, given that of the composite detector, which knows slingshots only."""
        if composite == "diverged" and self.levels is not None:
            composite = "none"
        if composite not in ("none", "undecided"):
            return composite
        ends = [spike for spike in self.loss_spikes if spike.recovery_steps is None and spike.outcome in FOR_GOOD]
        if ends or self.rise is not None:
            return "diverged"
        return "spikes" if self.loss_spikes else composite

    def notes(self) -> Iterator[str]:
        """Say what is no spike of the loss and might be taken for one."""
        if self.levels is not None:
            low, high = self.levels
            yield (
                f"the loss moves between two levels, about {low:.3g} and {high:.3g}, as in reinforcement learning: "
                "such a rise is no spike and is not listed"
            )
        if self.mean_rows is not None:
            yield (
                f"the loss is a running mean that begins afresh every {self.mean_rows:,} rows, as in progress bars: "
                "a rise just after a restart is no spike and is not listed"
            )
        apart = [
            spike
            for spike in self.gradient_spikes
            if not any(spike.start <= other.end and other.start <= spike.end for other in self.loss_spikes)
        ]
        if apart:
            low, high = min(spike.ratio for spike in apart), max(spike.ratio for spike in apart)
            times = f"{low:.3g}" if len(apart) == 1 else f"between {low:.3g} and {high:.3g}"
            often = f"{len(apart)} times" if len(apart) > 1 else "once"
            yield f"the gradient norm spikes {often} without a loss spike, to {times} times its level"


def find_spikes(signals: Mapping[str, Signal]) -> Spikes:
    """Find loss spikes and what belongs to them.

    Parameters
    ----------
    signals : mapping of str to Signal
        By canonical name, as `revealed` returns them.

    Returns
    -------
    Spikes
    """
    lost = [
        part
        for name in CHECKED
        if name in signals
        for part in detect_not_finite(signals[name].step, signals[name].value, name=name)
    ]
    not_finite = tuple(sorted(lost, key=lambda part: part.start))
    gradient = signals.get("gradient_norm")
    gradient_spikes = () if gradient is None else tuple(detect_gradient_spikes(gradient.step, gradient.value))
    name = first_of(LOSSES, signals)
    if name is None:
        return Spikes(gradient_spikes=gradient_spikes, not_finite=not_finite)
    step, value = signals[name].step, signals[name].value
    found = search_spikes(canonical(step, value, name, keep_nan=True), gradient=False)
    return Spikes(
        loss_spikes=tuple(found.spikes),
        gradient_spikes=gradient_spikes,
        not_finite=not_finite,
        spike_score=spike_score(step, value, gradient_norm=gradient),
        spike_score_1000=series_spike_score(step, value),
        gradient_spike_score_1000=None if gradient is None else series_spike_score(gradient.step, gradient.value),
        rise=None if found.levels is not None else detect_lasting_rise(step, value),
        levels=found.levels,
        mean_rows=found.mean_rows,
    )


def revealed(signals: Mapping[str, Signal]) -> tuple[dict[str, Signal], list[str]]:
    """Return signals with NaN where a trainer hides it, and what was changed.

    Some trainers write 0 for a loss that is not finite. Where the norm of the gradient of the same step is NaN or
    infinite, a loss of exactly 0 was none.

    Parameters
    ----------
    signals : mapping of str to Signal
        By canonical name.

    Returns
    -------
    signals : dict of str to Signal
        The same, or with losses that hold NaN.
    notes : list of str
        One for each loss that was changed.
    """
    found: dict[str, Signal] = dict(signals)
    notes: list[str] = []
    if "gradient_norm" not in found:
        return found, notes
    norm = canonical(found["gradient_norm"].step, found["gradient_norm"].value, "gradient_norm", keep_nan=True)
    lost = norm.step[~np.isfinite(norm.value)]
    for name in LOSSES:
        if name not in found or not len(lost):
            continue
        loss = found[name]
        hidden = (np.asarray(loss.value) == 0) & np.isin(np.asarray(loss.step, dtype=np.float64), lost)
        if hidden.any():
            value = np.where(hidden, np.nan, loss.value)
            found[name] = Signal(loss.step, value, loss.name, loss.unit)
            notes.append(
                f"{name}: {int(hidden.sum())} losses of exactly 0 are not finite, as the gradient norm there is not"
            )
    return found, notes
