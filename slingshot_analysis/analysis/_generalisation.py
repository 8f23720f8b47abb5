"""What the validation accuracy of a run tells: jumps, grokking, and how good it was when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from slingshot_analysis.analysis.result import Skipped
from slingshot_analysis.analysis.signals import validation_samples
from slingshot_analysis.canonical import FloatArray, canonical
from slingshot_analysis.detectors import detect_accuracy_jumps, grokking_sensitivity, grokking_step
from slingshot_analysis.events import AccuracyJump
from slingshot_analysis.signal import Signal

__all__ = ["Generalisation", "find_generalisation"]


@dataclass(frozen=True)
class Generalisation:
    """How a run generalised.

    Parameters
    ----------
    span : (float, float), updates
        First and last evaluation of the terminal phase, between which the association is asked about.
    stride : float, updates
        Usual distance of two evaluations.
    jumps : tuple of AccuracyJump
        Of the whole run.
    grokking_step : int or None, updates
        See `grokking_step` of the detectors.
    sensitivity : dict of str to int or None, updates
        The same under other definitions.
    best_before, best_after, final : float or None, fraction in [0, 1]
        The best accuracy before the first transition, from there on, and the last one.
    skipped : tuple of Skipped
        What could not be found out, and why.
    """

    span: tuple[float, float]
    stride: float = 1.0
    jumps: tuple[AccuracyJump, ...] = ()
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
    first_transition: float | None,
) -> Generalisation:
    """Find jumps and grokking in the validation accuracy.

    Parameters
    ----------
    signals : mapping of str to Signal
        ``val_accuracy`` and ``val_errors``, as far as they are there.
    steps : (float, float), updates
        First and last step of the run.
    terminal_phase_start, first_transition : float or None, updates
        None where there is none.

    Returns
    -------
    Generalisation
        With little in it where there are fewer than two evaluations.
    """
    if "val_accuracy" not in signals:
        return Generalisation(steps, skipped=(Skipped("accuracy jumps, grokking step", "no val_accuracy"),))
    step, value = canonical(signals["val_accuracy"].step, signals["val_accuracy"].value, "val_accuracy")
    before, after, final = _accuracies(step, value, first_transition)
    if len(step) < 2:
        skipped = Skipped("accuracy jumps, grokking step", "fewer than two evaluations of val_accuracy")
        return Generalisation(steps, best_before=before, best_after=after, final=final, skipped=(skipped,))
    late = step[step >= (step[0] if terminal_phase_start is None else terminal_phase_start)]
    too_few = Skipped("association", "fewer than two evaluations since the terminal phase began")
    return Generalisation(
        span=(float(late[0] if len(late) > 1 else step[0]), float(step[-1])),
        stride=float(np.median(np.diff(step))),
        jumps=tuple(detect_accuracy_jumps(step, value, samples=validation_samples(signals))),
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
    """Return the best accuracy before a transition and since, and the last one."""
    early = step < (np.inf if first_transition is None else first_transition)
    before, after, final = (
        float(part.max()) if len(part) else None for part in (value[early], value[~early], value[-1:])
    )
    return before, after, final
