"""The composite detector: cycles of norm growth, sharp transition and plateau, from the signals that a run has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from slingshot_analysis.canonical import Samples, as_step
from slingshot_analysis.detectors.divergence import divergence, instability
from slingshot_analysis.detectors.misclassification import misclassification_bursts
from slingshot_analysis.detectors.spikes import loss_spikes
from slingshot_analysis.events import CERTAIN, Slingshot
from slingshot_analysis.slingshots._cycles import assemble_cycles
from slingshot_analysis.slingshots._inputs import RunSignals, read_run
from slingshot_analysis.slingshots.anchors import BY_HAND, Anchor, correct_anchors, merge_anchors
from slingshot_analysis.slingshots.options import DEFAULT, Options

__all__ = ["Assembly", "Verdict", "assemble", "detect_slingshots"]

Verdict = Literal["slingshots", "none", "diverged", "unstable", "undecided"]

LABEL_SHARE = 0.01
"""Maximum distance of a label and the event that it applies to, as a share of the run."""
SPARSE_RATIO = 10.0
"""Minimum ratio of the strides of two losses from which the sparser one is ignored. The other shows the same spikes."""


@dataclass(frozen=True)
class Assembly:
    """The slingshots and the verdict of a run.

    Parameters
    ----------
    slingshots : tuple of Slingshot
        In order of their transitions.
    verdict : {"slingshots", "none", "diverged", "unstable", "undecided"}
        "slingshots" if there is a full slingshot of confidence 0.5 or more, or a loss_only one and no norm was given.
        "undecided" if neither norm nor loss was given, or if the norm breaks and no loss was measured as often.
    terminal_phase_start : int or None, updates
        First step of the terminal phase.
    diverged_at : int or None, updates
        Step from which the loss stays high to the end.
    skipped : tuple of (str, str)
        Signals and questions that were skipped, and the reason.
    """

    slingshots: tuple[Slingshot, ...]
    verdict: Verdict
    terminal_phase_start: int | None
    diverged_at: int | None
    skipped: tuple[tuple[str, str], ...]


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
    """Find the slingshots of a run from the signals that it has.

    Parameters
    ----------
    step : (n,) array_like, updates, optional
        Steps of the signals that are given as bare arrays.
    norm : (n,) array_like, Signal or (step, value), optional
        Norm of the last layer, or another weight norm.
    train_loss, batch_loss : (n,) array_like, Signal or (step, value), nats, optional
        Loss of the whole training set, and of each update's batch.
    train_errors, batch_errors : (n,) array_like, Signal or (step, value), optional
        Number of misclassified samples of the whole training set, and of each update's batch.
    train_accuracy : (n,) array_like, Signal or (step, value), fraction in [0, 1], optional
        Of the whole training set.
    options : Options, optional
        Options of the detector. The defaults need no tuning.

    Returns
    -------
    list of Slingshot
        In order. The confidence is the logistic function of a weighted sum: of the decades of the spike, of
        misclassification that was seen or missed, and of the response of the norm; for breaks without a spike, of their
        contrast and gain. On synthetic runs, half of them without slingshots, its expected calibration error is at most
        0.02 (``benchmarks/detection.py``, 2,000 events for each kind of input). Too few events of recorded runs are
        known to measure it there.

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
    """Find the slingshots of a run and its verdict.

    Parameters
    ----------
    step : (n,) array_like, updates, optional
        Steps of the signals that are given as bare arrays.
    norm, train_loss, batch_loss, train_errors, batch_errors, train_accuracy : optional
        As for `detect_slingshots`.
    added, removed : sequence of float, updates, optional
        Labelled transitions: slingshots, and events that are none. Each applies to the nearest event, at most 1% of the
        run away.
    options : Options, optional
        Options of the detector. The defaults need no tuning.

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
    run = read_run(step, norm, losses, errors, options)
    diverged_at = min((at for at in map(divergence, run.raw_losses) if at is not None), default=None)
    end = float("inf") if diverged_at is None else diverged_at
    unstable = any(instability(loss, run.terminal_phase_start) for loss in [*run.losses.values()][:1])

    # Anchors and events up to the divergence, as corrected by labels. In an unstable run only labelled events count.
    distance = LABEL_SHARE * (run.span[1] - run.span[0])
    anchors = correct_anchors([anchor for anchor in _anchors(run) if anchor.end < end], added, removed, distance)
    events = [
        event
        for event in assemble_cycles(run, anchors, end)
        if BY_HAND in event.evidence
        or not (unstable or any(abs(event.transition - step) <= distance for step in removed))
    ]
    return Assembly(
        slingshots=tuple(events),
        verdict=_verdict(run, events, diverged=diverged_at is not None, unstable=unstable),
        terminal_phase_start=None if run.terminal_phase_start is None else as_step(run.terminal_phase_start),
        diverged_at=diverged_at,
        skipped=run.skipped,
    )


def _verdict(run: RunSignals, events: list[Slingshot], *, diverged: bool, unstable: bool) -> Verdict:
    tiers = {event.tier for event in events if event.confidence >= CERTAIN}
    if diverged:
        return "diverged"
    if run.norm is None and not run.losses:
        return "undecided"
    if unstable:
        return "unstable"
    labelled = any(BY_HAND in event.evidence for event in events)
    if "full" in tiers or ("loss_only" in tiers and run.norm is None) or labelled:
        return "slingshots"
    return "undecided" if "norm_only" in tiers else "none"


def _anchors(run: RunSignals) -> list[Anchor]:
    """Collect the spikes and the bursts of misclassification of the terminal phase."""
    if run.terminal_phase_start is None:
        return []
    spikes, bursts = [], []
    for name in _dense(run.losses):
        step, value = run.losses[name]
        late = step >= run.terminal_phase_start
        found = loss_spikes(Samples(step[late], value[late]), run.options.min_spike_ratio)
        spikes += [(name, spike) for spike in found]
    for name, misclassified in run.errors.items():
        bursts += [(name, burst) for burst in misclassification_bursts(misclassified, run.terminal_phase_start)]
    settled = run.span[0] + run.options.settled * (run.terminal_phase_start - run.span[0])
    return [anchor for anchor in merge_anchors(spikes, bursts, run.extent) if anchor.start >= settled]


def _dense(losses: Mapping[str, Samples]) -> list[str]:
    """Return the losses that are measured often enough, compared with the densest one.

    A spike can begin and end between two rows of a sparse loss, so that the rows show it by chance.
    """
    strides = {name: float(np.median(np.diff(samples.step))) for name, samples in losses.items()}
    return [name for name, stride in strides.items() if stride <= SPARSE_RATIO * min(strides.values())]
