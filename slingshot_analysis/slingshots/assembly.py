"""Slingshots: cycles of norm growth, sharp transition and plateau, from whatever signals there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from slingshot_analysis.canonical import FloatArray, as_step
from slingshot_analysis.detectors.divergence import detect_divergence, detect_instability
from slingshot_analysis.detectors.misclassification import detect_misclassification
from slingshot_analysis.detectors.spikes import detect_loss_spikes
from slingshot_analysis.events import CERTAIN, Slingshot
from slingshot_analysis.slingshots._cycles import assemble_cycles
from slingshot_analysis.slingshots._inputs import RunSignals, read_run
from slingshot_analysis.slingshots.anchors import BY_HAND, Anchor, correct_anchors, merge_anchors
from slingshot_analysis.slingshots.options import DEFAULT, Options

__all__ = ["Assembly", "Verdict", "assemble", "detect_slingshots"]

Verdict = Literal["slingshots", "none", "diverged", "unstable", "undecided"]

LABEL_SHARE = 0.01
"""A label applies to the nearest event, at most 1% of the run away."""


@dataclass(frozen=True)
class Assembly:
    """What a run's signals say about slingshots.

    Parameters
    ----------
    slingshots : tuple of Slingshot
        In order of their transitions.
    verdict : {"slingshots", "none", "diverged", "unstable", "undecided"}
        "slingshots" with a full one, or a loss_only one and no norm to ask, of confidence 0.5 or more. "undecided"
        where neither norm nor loss was given, or the norm breaks and no loss was measured as often as the norm.
    terminal_phase_start : int or None, updates
        First step of the terminal phase.
    diverged_at : int or None, updates
        Step from which the loss never came back.
    skipped : tuple of (str, str)
        What could not be asked, and why.
    """

    slingshots: tuple[Slingshot, ...]
    verdict: Verdict
    terminal_phase_start: int | None
    diverged_at: int | None
    skipped: tuple[tuple[str, str], ...]


MUCH_RARER = 10.0
"""A loss measured so many times more rarely than another shows no spike that the other does not."""


def detect_slingshots(
    step: Any = None,
    norm: Any = None,
    *,
    train_loss: Any = None,
    batch_loss: Any = None,
    train_errors: Any = None,
    batch_errors: Any = None,
    train_accuracy: Any = None,
    options: Options = DEFAULT,
) -> list[Slingshot]:
    """Find the slingshots of a run from whatever of its signals there are.

    Parameters
    ----------
    step : (n,) array_like, updates, optional
        Axis of the signals that are given as bare arrays.
    norm : (n,) array_like, Signal or (step, value), optional
        Norm of the last layer, or another weight norm.
    train_loss, batch_loss : (n,) array_like, Signal or (step, value), nats, optional
        Loss of the whole training set, of each update's batch.
    train_errors, batch_errors : (n,) array_like, Signal or (step, value), optional
        Misclassified samples of the whole training set, of each update's batch.
    train_accuracy : (n,) array_like, Signal or (step, value), fraction in [0, 1], optional
        Of the whole training set.
    options : Options, optional
        Choices; the defaults need no tuning.

    Returns
    -------
    list of Slingshot
        In order. The confidence is the logistic function of a weighted sum of the spike's decades, of misclassification
        seen or missed, and of the contrast in the norm; for breaks that no spike goes with, of contrast and gain. On
        synthetic runs, half with and half without slingshots, its expected calibration error is 0.02 or less
        (``benchmarks/detection.py``, 2,000 events for each kind of input); on real logs too few are known to say.

    Raises
    ------
    InputError
        If a signal does not fit its steps.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, section 2 and Figure 1.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(10_000)
    >>> norm = np.exp(np.interp(step, [0, 500, 5000, 6000, 10_000], [0, 1, 1.01, 1.5, 1.51]))
    >>> loss = np.exp(-step / 300)
    >>> loss[6000:] += np.exp(-(step[6000:] - 6000) / 200)
    >>> found = detect_slingshots(step, norm, train_loss=loss)
    >>> [(event.growth_start, event.transition, event.tier, event.shape) for event in found]
    [(5000, 6000, 'full', 'staircase')]
    """
    return list(
        assemble(
            step,
            norm,
            train_loss=train_loss,
            batch_loss=batch_loss,
            train_errors=train_errors,
            batch_errors=batch_errors,
            train_accuracy=train_accuracy,
            options=options,
        ).slingshots
    )


def assemble(
    step: Any = None,
    norm: Any = None,
    *,
    train_loss: Any = None,
    batch_loss: Any = None,
    train_errors: Any = None,
    batch_errors: Any = None,
    train_accuracy: Any = None,
    added: Sequence[float] = (),
    removed: Sequence[float] = (),
    options: Options = DEFAULT,
) -> Assembly:
    """Find the slingshots of a run, its verdict, and what could not be asked.

    Parameters
    ----------
    step : (n,) array_like, updates, optional
        Axis of the signals that are given as bare arrays.
    norm, train_loss, batch_loss, train_errors, batch_errors, train_accuracy : optional
        As for `detect_slingshots`.
    added, removed : sequence of float, updates, optional
        Transitions that somebody who looked at the run has added or struck out; each applies to the nearest
        event found, at most 1% of the run away.
    options : Options, optional
        Choices; the defaults need no tuning.

    Returns
    -------
    Assembly
        Slingshots, verdict, terminal phase, divergence and what was skipped.

    Raises
    ------
    InputError
        If a signal does not fit its steps.

    Examples
    --------
    >>> assemble(train_accuracy=([0, 1, 2], [0.5, 0.9, 1.0])).verdict
    'undecided'
    """
    losses = {"batch_loss": batch_loss, "train_loss": train_loss}
    errors = {"batch_errors": batch_errors, "train_errors": train_errors, "train_accuracy": train_accuracy}
    run, raw_losses, skipped = read_run(step, norm, losses, errors, options)
    diverged = [at for at in (detect_divergence(*pair) for pair in raw_losses) if at is not None]
    diverged_at = min(diverged, default=None)
    end = float("inf") if diverged_at is None else diverged_at
    near = LABEL_SHARE * (run.span[1] - run.span[0])
    anchors = correct_anchors([anchor for anchor in _anchors(run) if anchor.end < end], added, removed, near)
    events = [
        event
        for event in assemble_cycles(run, anchors, end)
        if BY_HAND in event.evidence or not any(abs(event.transition - step) <= near for step in removed)
    ]
    unstable = any(detect_instability(*pair, after=run.terminal_phase_start) for pair in [*run.losses.values()][:1])
    if unstable:
        events = [event for event in events if BY_HAND in event.evidence]
    tiers = {event.tier for event in events if event.confidence >= CERTAIN}
    verdict: Verdict = "none"
    if diverged_at is not None:
        verdict = "diverged"
    elif run.norm is None and not run.losses:
        verdict = "undecided"
    elif unstable:
        verdict = "unstable"
    elif "full" in tiers or ("loss_only" in tiers and run.norm is None) or any(anchor.by_hand for anchor in anchors):
        verdict = "slingshots"
    elif "norm_only" in tiers:
        verdict = "undecided"
    terminal = None if run.terminal_phase_start is None else as_step(run.terminal_phase_start)
    return Assembly(tuple(events), verdict, terminal, diverged_at, tuple(skipped))


def _anchors(run: RunSignals) -> list[Anchor]:
    """Collect the spikes and bursts of misclassification of the terminal phase."""
    if run.terminal_phase_start is None:
        return []
    spikes, bursts = [], []
    for name in _finest(run.losses):
        step, value = run.losses[name]
        late = step >= run.terminal_phase_start
        spikes += [
            (name, spike)
            for spike in detect_loss_spikes(step[late], value[late], min_ratio=run.options.min_spike_ratio)
        ]
    for name, (step, value) in run.errors.items():
        found = detect_misclassification(step, **{name: value}, after=run.terminal_phase_start)
        bursts += [(name, burst) for burst in found]
    settled = run.span[0] + run.options.settled * (run.terminal_phase_start - run.span[0])
    anchors = merge_anchors(spikes, bursts, run.near)
    return [anchor for anchor in anchors if anchor.start >= settled]


def _finest(losses: dict[str, tuple[FloatArray, FloatArray]]) -> list[str]:
    """Return the losses measured often enough, beside the others, for their spikes to be spikes.

    Spikes pass between two samples of a rare one, and what it shows of them is chance.
    """
    strides = {name: float(np.median(np.diff(step))) for name, (step, _) in losses.items()}
    return [name for name, stride in strides.items() if stride <= MUCH_RARER * min(strides.values())]
