"""What the validation accuracy of a run shows: jumps, climbs, grokking, and the gain that follows transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from slingshot_analysis.analysis.result import Skipped
from slingshot_analysis.analysis.signals import validation_samples
from slingshot_analysis.association import GainAssociation, gain_association, gain_by_phase
from slingshot_analysis.canonical import FloatArray, canonical_accuracy
from slingshot_analysis.detectors import (
    detect_accuracy_climbs,
    detect_accuracy_jumps,
    grokking_sensitivity,
    grokking_step,
)
from slingshot_analysis.events import CERTAIN, AccuracyClimb, AccuracyJump, Phase, Slingshot
from slingshot_analysis.signal import Signal


@dataclass(frozen=True)
class Generalisation:
    """How a run generalised.

    Parameters
    ----------
    span : (float, float), updates
        First and last evaluation of the terminal phase: the association test counts what lies between them.
    stride : float, updates
        Median distance of two evaluations.
    jumps : tuple of AccuracyJump
        Jumps in the whole run.
    climbs : tuple of AccuracyClimb
        Climbs in the whole run.
    gain : GainAssociation or None
        Gain in the span and its association with transitions; None with fewer than two evaluations.
    gain_by_phase : dict of str to float, fraction in [0, 1]
        Gain in the span by kind of phase.
    grokking_step : int or None, updates
        See `grokking_step` of the detectors.
    sensitivity : dict of str to int or None, updates
        The grokking step under other definitions.
    best_before, best_after, final : float or None, fraction in [0, 1]
        The best accuracy before the first transition and from there on, and the last accuracy.
    skipped : tuple of Skipped
        What could not be found out, and why.
    """

    span: tuple[float, float]
    stride: float = 1.0
    jumps: tuple[AccuracyJump, ...] = ()
    climbs: tuple[AccuracyClimb, ...] = ()
    gain: GainAssociation | None = None
    gain_by_phase: dict[str, float] = field(default_factory=dict)
    grokking_step: int | None = None
    sensitivity: dict[str, int | None] = field(default_factory=dict)
    best_before: float | None = None
    best_after: float | None = None
    final: float | None = None
    skipped: tuple[Skipped, ...] = ()

    @property
    def late_jumps(self) -> list[AccuracyJump]:
        """Jumps in the terminal phase."""
        return [jump for jump in self.jumps if self.span[0] < jump.step]


def find_generalisation(
    signals: Mapping[str, Signal],
    steps: tuple[float, float],
    terminal_phase_start: float | None,
    phases: Sequence[Phase],
    slingshots: Sequence[Slingshot],
) -> Generalisation:
    """Find jumps, climbs, grokking and gain in the validation accuracy.

    Parameters
    ----------
    signals : mapping of str to Signal
        ``val_accuracy`` and ``val_errors``, if they were logged.
    steps : (float, float), updates
        First and last step of the run.
    terminal_phase_start : float or None, updates
        When the training set was fitted; None if it never was.
    phases : sequence of Phase
        Phases of the norm.
    slingshots : sequence of Slingshot
        Those of confidence 0.5 or more count.

    Returns
    -------
    Generalisation
        Mostly empty if there are fewer than two evaluations.
    """
    if "val_accuracy" not in signals:
        return Generalisation(steps, skipped=(Skipped("accuracy jumps, grokking step", "no val_accuracy"),))
    step, value = canonical_accuracy(signals["val_accuracy"].step, signals["val_accuracy"].value)
    certain = [slingshot for slingshot in slingshots if slingshot.confidence >= CERTAIN]
    before, after, final = _accuracies(step, value, min((s.transition for s in certain), default=None))
    if len(step) < 2:
        skipped = Skipped("accuracy jumps, grokking step", "fewer than two evaluations of val_accuracy")
        return Generalisation(steps, best_before=before, best_after=after, final=final, skipped=(skipped,))
    late = step[step >= (step[0] if terminal_phase_start is None else terminal_phase_start)]
    too_few = Skipped("association", "fewer than two evaluations since the terminal phase began")
    span = (float(late[0] if len(late) > 1 else step[0]), float(step[-1]))
    samples = validation_samples(signals)
    in_span = step >= span[0]
    return Generalisation(
        span=span,
        stride=float(np.median(np.diff(step))),
        jumps=tuple(detect_accuracy_jumps(step, value, samples=samples)),
        climbs=tuple(detect_accuracy_climbs(step, value, samples=samples)),
        gain=gain_association(step, value, [s for s in certain if span[0] <= s.transition <= span[1]], span),
        gain_by_phase=gain_by_phase(step[in_span], value[in_span], phases, certain),
        grokking_step=grokking_step(step, value, terminal_phase_start, first_step=steps[0]),
        sensitivity=grokking_sensitivity(step, value, terminal_phase_start, first_step=steps[0]),
        best_before=before,
        best_after=after,
        final=final,
        skipped=() if len(late) > 1 else (too_few,),
    )


def _accuracies(
    step: FloatArray, value: FloatArray, first_transition: float | None
) -> tuple[float | None, float | None, float | None]:
    """Return the best accuracy before a transition, the best from there on, and the last accuracy."""
    early = step < (np.inf if first_transition is None else first_transition)
    before, after, final = (
        float(part.max()) if len(part) else None for part in (value[early], value[~early], value[-1:])
    )
    return before, after, final
