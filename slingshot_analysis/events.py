"""The vocabulary of results: what detectors find in a run.

Steps are optimizer updates; intervals are half open; an event stands at the first step of what it begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "CERTAIN",
    "AccuracyJump",
    "LogGrowth",
    "LossSpike",
    "Peak",
    "Phase",
    "PhaseKind",
    "Shape",
    "Slingshot",
    "Tier",
]

PhaseKind = Literal["growth", "plateau", "decay"]
Tier = Literal["full", "norm_only", "loss_only"]
Shape = Literal["staircase", "sawtooth", "inverse"]

CERTAIN = 0.5
"""Confidence from which a slingshot counts; one that is less sure is only listed."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training in which the norm grows, stays or falls.

    Parameters
    ----------
    kind : {"growth", "plateau", "decay"}
        Plateau means a slope that is low for this run, not a slope of zero.
    start, end : int, updates
        The half-open interval [start, end).
    rate : float, 1/update
        Mean growth of the natural logarithm of the norm per update.
    """

    kind: PhaseKind
    start: int
    end: int
    rate: float


@dataclass(frozen=True)
class LossSpike:
    """A sudden rise of the training loss that comes back.

    Parameters
    ----------
    start, peak, end : int, updates
        First step of the rise, step of the largest loss, first step at which it is back.
    ratio : float
        Loss at the peak over the loss in the trough before it.
    """

    start: int
    peak: int
    end: int
    ratio: float


@dataclass(frozen=True)
class AccuracyJump:
    """A rise of the accuracy that is too steep and too large for chance.

    Parameters
    ----------
    step : int, updates
        First evaluation at which the accuracy has left its old level.
    before, after : float, fraction in [0, 1]
        Level on either side of the rise.
    """

    step: int
    before: float
    after: float


@dataclass(frozen=True)
class Peak:
    """A stretch in which a positive signal is far above what it was before, and comes back.

    Parameters
    ----------
    start, peak, end : int, updates
        First step above the geometric mean of trough and peak, step of the largest value, step at which it is back.
    ratio : float
        Value at the peak over that in the trough before it.
    """

    start: int
    peak: int
    end: int
    ratio: float


@dataclass(frozen=True)
class LogGrowth:
    """How a norm grew within one growth phase, against the logarithm of time.

    Gradient descent on separable data lets the norm grow as c log t; growth that is faster than that is what the
    adaptive optimizer adds.

    Parameters
    ----------
    start, end : int, updates
        The growth phase, half open.
    coefficient : float, norm
        c of the least-squares fit of a + c log t to the norm.
    log_residual, exponential_residual : float
        Root mean square residual of that fit, and of an exponential, over the range of the norm in the phase.
    excess : float or None
        Growth of the norm in the phase over what c log t, fitted to the whole run so far outside growth phases,
        would have given; None where there is no such stretch.
    """

    start: int
    end: int
    coefficient: float
    log_residual: float
    exponential_residual: float
    excess: float | None


@dataclass(frozen=True)
class Slingshot:
    """One full cycle (Thilak et al. 2022, section 2): norm growth, sharp transition, plateau.

    Parameters
    ----------
    growth_start : int or None, updates
        Where the norm-growth phase begins; None where no norm was logged or no growth was found.
    transition : int, updates
        First step of the spike: of the misclassification or of the loss, else of the break in the norm.
    interval : (int, int), updates
        Where the transition may lie: after the row before the first sign and no later than that sign; for a break of
        the norm, the steps that fit the norm nearly as well (a 95% likelihood interval).
    plateau_end : int or None, updates
        End of the plateau that follows; None while it still lasts at the end of the run.
    norm_before, norm_after : float or None, norm
        Norm at `growth_start` and after the transition.
    tier : {"full", "norm_only", "loss_only"}
        Which evidence there is: norm and spike, only the norm, only the loss.
    shape : {"staircase", "sawtooth", "inverse"} or None
        How the norm answers: steps up and stays, crests and decays, or drops.
    evidence : tuple of str
        What was seen, in words.
    confidence : float, in [0, 1]
        How surely this is a slingshot.
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
