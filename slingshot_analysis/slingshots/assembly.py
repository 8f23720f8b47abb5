"""The composite detector: cycles of norm growth, sharp transition and plateau, from the signals that a run has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from slingshot_analysis.canonical import as_step
from slingshot_analysis.detectors.divergence import divergence, instability
from slingshot_analysis.detectors.misclassification import misclassification_bursts
from slingshot_analysis.events import CERTAIN, LABEL_SHARE, Phase, Slingshot
from slingshot_analysis.slingshots._cycles import Events, assemble_cycles
from slingshot_analysis.slingshots._inputs import RunSignals, read_run
from slingshot_analysis.slingshots._loss_rises import clear_rises
from slingshot_analysis.slingshots.anchors import (
    BY_HAND,
    Anchor,
    Sign,
    burst_signs,
    correct_anchors,
    merge_anchors,
    spike_signs,
)
from slingshot_analysis.slingshots.options import DEFAULT, Options

Verdict = Literal["slingshots", "spikes", "none", "diverged", "unstable", "undecided"]
CHAOS_EVENTS, FEW_CHAOS_EVENTS = 20, 8
"""Minimum number of irregular transitions of a chaotic run, and of one whose loss never gets low between them."""
IRREGULAR, SLIGHTLY_IRREGULAR = 0.35, 0.2
"""Minimum median change of the logarithm of the distance of transitions, from one to the next, that is irregular: in
any run, and in one whose loss never gets low. In cycles it is 0.1 to 0.3, and for events at random times 1.1."""
ENOUGH_CYCLES, ENOUGH_SHARE = 4, 0.2
"""Number of full slingshots, and their share of all spikes, that make a run one with slingshots, even if its loss never
rests later on."""
MINOR = 0.5
"""A spike is minor if it has at most so many of the decades of the largest one. Single samples can make dozens of minor
spikes after a transition; the spikes of a chaotic run are mostly of one size."""
LOW_LOSS = 5e-4
"""Maximum ratio of a low loss and the first loss of the run. Between slingshots the loss falls below it."""


@dataclass(frozen=True)
class Assembly:
    """The slingshots and the verdict of a run.

    Parameters
    ----------
    slingshots : tuple of Slingshot
        In order of their transitions.
    spikes_without_norm_growth : tuple of Slingshot
        Events at which the norm could have shown growth and shows none. They are no slingshots.
    phases : tuple of Phase
        Phases of the norm, as `segment_norm` returns them. A `growth_start` is the start of one of them.
    verdict : {"slingshots", "spikes", "none", "diverged", "unstable", "undecided"}
        "slingshots" if a loss or misclassified samples show a slingshot of confidence 0.5 or more. "spikes" if there
        are only spikes without norm growth. "undecided" if neither norm nor loss was given, or if the norm breaks and
        no loss was measured as often.
    terminal_phase_start : int or None, updates
        First step of the terminal phase.
    diverged_at : int or None, updates
        Step from which the loss stays high to the end.
    skipped : tuple of (str, str)
        Signals and questions that were skipped, and the reason.
    """

    slingshots: tuple[Slingshot, ...]
    spikes_without_norm_growth: tuple[Slingshot, ...]
    phases: tuple[Phase, ...]
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
        In order. The confidence is the logistic function of a weighted sum of the decades of the spike, of its
        clearness, of misclassification and of growth of the norm; for breaks without a spike, of their contrast. The
        weights are fitted on synthetic runs (``benchmarks/fit_confidence.py``).

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

    # Anchors and events up to the divergence, as corrected by labels.
    distance = LABEL_SHARE * (run.span[1] - run.span[0])
    anchors = correct_anchors([anchor for anchor in find_anchors(run) if anchor.end < end], added, removed, distance)
    found = assemble_cycles(run, anchors, end)
    unstable = _is_unstable(run, anchors, found)

    # In an unstable run only labelled events count, and nowhere those that a label has struck out.
    def kept(events: list[Slingshot]) -> tuple[Slingshot, ...]:
        return tuple(
            event
            for event in events
            if BY_HAND in event.evidence
            or not (unstable or any(abs(event.transition - step) <= distance for step in removed))
        )

    events, without_growth = kept(found.slingshots), kept(found.without_growth)
    return Assembly(
        slingshots=events,
        spikes_without_norm_growth=without_growth,
        phases=() if run.norm is None else tuple(run.norm.phases),
        verdict=_verdict(run, events, without_growth, diverged=diverged_at is not None, unstable=unstable),
        terminal_phase_start=None if run.terminal_phase_start is None else as_step(run.terminal_phase_start),
        diverged_at=diverged_at,
        skipped=run.skipped,
    )


def _verdict(
    run: RunSignals,
    events: Sequence[Slingshot],
    without_growth: Sequence[Slingshot],
    *,
    diverged: bool,
    unstable: bool,
) -> Verdict:
    tiers = {event.tier for event in events if event.confidence >= CERTAIN}
    if diverged:
        return "diverged"
    if run.norm is None and not run.losses:
        return "undecided"
    if unstable:
        return "unstable"
    if tiers & {"full", "loss_only"}:
        return "slingshots"
    if any(event.confidence >= CERTAIN for event in without_growth):
        return "spikes"
    return "undecided" if "norm_only" in tiers else "none"


def _is_unstable(run: RunSignals, anchors: Sequence[Anchor], found: Events) -> bool:
    """Return whether the loss rises without rest, or at irregular times without a cycle of the norm."""
    losses = [run.losses[name] for name in ("batch_loss", "train_loss") if name in run.losses]
    if not losses:
        return False
    if instability(losses[0], run.settled):
        return True
    spikes = [anchor for anchor in anchors if anchor.decades > 0]
    largest = max((anchor.decades for anchor in spikes), default=0.0)
    major = [anchor for anchor in spikes if anchor.decades > MINOR * largest]
    if len(major) < len(spikes) / 2:
        spikes = major
    if len(spikes) < FEW_CHAOS_EVENTS:
        return False
    irregularity = float(np.median(np.abs(np.diff(np.log(np.diff([float(anchor.start) for anchor in spikes]))))))
    step, value = losses[0]
    late = step >= (step[0] if run.settled is None else run.settled)
    if float(np.median(value[late])) >= LOW_LOSS * float(value[~late].max(initial=value[0])):
        return irregularity > SLIGHTLY_IRREGULAR
    full = sum(event.tier == "full" for event in found.slingshots)
    if irregularity <= IRREGULAR or full >= max(ENOUGH_CYCLES, ENOUGH_SHARE * len(spikes)):
        return False
    return len(spikes) >= CHAOS_EVENTS or (bool(found.slingshots) and full < len(found.without_growth))


def find_anchors(run: RunSignals) -> list[Anchor]:
    """Collect the spikes and the bursts of misclassification of the terminal phase."""
    if run.settled is None:
        return []
    signs: list[Sign] = []
    for name, loss in run.losses.items():
        # The whole loss is searched, so that what is found in it does not depend on the other signals.
        signs += spike_signs(name, loss, clear_rises(loss, run.options.min_spike_ratio))
    for name, misclassified in run.errors.items():
        if run.terminal_phase_start is not None:
            bursts = misclassification_bursts(misclassified, run.terminal_phase_start)
            signs += burst_signs(name, misclassified, bursts)
    return [anchor for anchor in merge_anchors(signs, run.extent) if anchor.start >= run.settled]
