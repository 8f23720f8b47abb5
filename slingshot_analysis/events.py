"""The events that detectors find in a run.

Steps count optimizer updates and intervals are half open. The step of an event is its first step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slingshot_analysis.markup import Shown

PhaseKind = Literal["growth", "plateau", "decay"]
Tier = Literal["full", "norm_only", "loss_only"]
Shape = Literal["staircase", "sawtooth", "inverse"]
Outcome = Literal["recovered", "lingering", "diverged", "not finite"]

CERTAIN = 0.5
"""Minimum confidence of a slingshot that counts. A less certain one is listed but not counted."""
LABEL_SHARE = 0.01
"""Maximum distance of a label by hand and the event that it applies to, as a share of the run."""


@dataclass(frozen=True)
class Phase(Shown):
    """A part of training in which the norm grows, rests or falls.

    Parameters
    ----------
    kind : {"growth", "plateau", "decay"}
        The slope of a plateau is small compared with the growth phases of this run. It need not be zero.
    start, end : int, updates
        The half-open interval [start, end).
    rate : float, 1/update
        Mean growth of the natural logarithm of the norm per update.
    norm : (float, float) or None, norm
        Norm at the first and at the last row of the phase; None where only the phases are known.
    """

    kind: PhaseKind
    start: int
    end: int
    rate: float
    norm: tuple[float, float] | None = None


@dataclass(frozen=True)
class LossSpike(Shown):
    """A sudden rise of the training loss above its level, or of the gradient norm.

    Parameters
    ----------
    start, peak, end : int, updates
        First step of the rise, step of the largest value, and first step at which the value is back at its level; the
        last step of the log where it never is.
    ratio : float
        Value at the peak divided by the level before, which is at least 2**-23 (the resolution of float32) and at least
        the unit of rounding.
    height : float, nats
        Value at the peak minus the level before; of a gradient norm in its own unit.
    deviations : float
        Height in standard deviations of the noise before the rise.
    recovery_steps : int or None, updates
        From `start` until the value is back. None if it never is.
    residual : float or None, nats
        What the level after the spike is above the level before it, or where the log ends. None where it ends too early
        or is not finite.
    outcome : {"recovered", "lingering", "diverged", "not finite"}
        "recovered" if the value comes back. "lingering" if that takes longer than it took others in this log, or
        if part of the rise stays. "diverged" if the rise stays. "not finite" if it leads to NaN or infinity.
    """

    start: int
    peak: int
    end: int
    ratio: float
    height: float
    deviations: float
    recovery_steps: int | None
    residual: float | None
    outcome: Outcome


@dataclass(frozen=True)
class NotFinite(Shown):
    """A part of a signal that is NaN or infinite.

    Parameters
    ----------
    signal : str
        Name of the signal.
    start : int, updates
        First step that is not finite.
    end : int or None, updates
        First step that is finite again. None if there is none to the end of the log.
    values : int
        Number of values that are not finite.
    """

    signal: str
    start: int
    end: int | None
    values: int


@dataclass(frozen=True)
class AccuracyClimb(Shown):
    """A rise of the best accuracy so far that is much faster than usual in the run.

    Parameters
    ----------
    onset, end : int, updates
        Last evaluation before the rise, and evaluation at which it is complete. A jump is a climb between two
        successive evaluations.
    before, after : float, fraction in [0, 1]
        Best accuracy so far at `onset` and at `end`.
    """

    onset: int
    end: int
    before: float
    after: float


@dataclass(frozen=True)
class AccuracyJump(Shown):
    """A rise of the accuracy that is steeper than gradual learning and larger than chance allows.

    Parameters
    ----------
    step : int, updates
        First evaluation after a quarter of the rise.
    before, after : float, fraction in [0, 1]
        Level before and after the rise.
    """

    step: int
    before: float
    after: float


@dataclass(frozen=True)
class Peak(Shown):
    """A part of training in which a positive signal rises far above its earlier level and falls again.

    Parameters
    ----------
    start, peak, end : int, updates
        First step above the geometric mean of trough and peak, step of the largest value, and first step at which half
        of the rise (on a logarithmic scale) is undone.
    ratio : float
        Value at the peak divided by the value in the trough before it.
    """

    start: int
    peak: int
    end: int
    ratio: float


@dataclass(frozen=True)
class LogGrowth(Shown):
    """Growth of a norm within one growth phase, compared with the logarithm of time.

    Under gradient descent on separable data the norm grows as c log t. Faster growth comes from the adaptive optimizer.

    Parameters
    ----------
    start, end : int, updates
        The growth phase, half open.
    coefficient : float, norm
        The coefficient c of the least-squares fit of a + c log t to the norm.
    log_residual, exponential_residual : float
        Root mean square residual of that fit, and of an exponential fit, divided by the range of the norm in the phase.
    excess : float or None
        Growth of the norm in the phase, divided by the growth that c log t predicts when it is fitted to the plateaus
        before the phase. None if there are no such plateaus.
    """

    start: int
    end: int
    coefficient: float
    log_residual: float
    exponential_residual: float
    excess: float | None


@dataclass(frozen=True)
class Slingshot(Shown):
    """One full cycle (Thilak et al. 2022, section 2): norm growth, sharp transition, plateau.

    Parameters
    ----------
    growth_start : int or None, updates
        Start of the growth phase of the norm. None if no norm was logged or no growth was found.
    transition : int, updates
        First step of the loss spike or of the misclassification; without either, the step at which growth ends.
    interval : (int, int), updates
        Range in which the transition lies: from the last row before the first sign of it to the row of that sign. If
        only the norm shows the transition, a 95% likelihood interval of the end of growth.
    plateau_end : int or None, updates
        End of the plateau that follows. None if it lasts to the end of the run.
    norm_before, norm_after : float or None, norm
        Norm at `growth_start` and after the transition.
    tier : {"full", "norm_only", "loss_only"}
        Which signals show the event: norm and spike, only the norm, only the loss.
    shape : {"staircase", "sawtooth", "inverse"} or None
        Course of the norm: it steps up and stays, rises to a crest and decays, or drops.
    evidence : tuple of str
        What was seen, in words.
    confidence : float, in [0, 1]
        Probability that this is a slingshot.
    """

    growth_start: int | None
    transition: int
    interval: tuple[int, int]
    plateau_end: int | None
    norm_before: float | None
    norm_after: float | None
    tier: Tier
    shape: Shape | None
    evidence: tuple[str, ...]
    confidence: float
