"""Association of validation gain with transitions: how much of the gain falls into the first halves of the cycles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slingshot_analysis.association._steps import FloatArray, as_span, as_steps
from slingshot_analysis.canonical import canonical_accuracy
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import Phase, Slingshot

NEGLIGIBLE = 1e-9
"""Contrasts smaller than this are rounding errors."""
UNITS, UNITS_PER_CONTRAST = 4000, 2
"""Number of units into which the sum of the contrasts is divided, in order to compute their distribution exactly."""


@dataclass(frozen=True)
class GainAssociation:
    """The share of the validation gain that falls into the first halves of the cycles, and its test.

    Gain is the rise of the best accuracy so far: a dip that recovers to the old level is no gain.

    Parameters
    ----------
    gain : float, fraction in [0, 1]
        Total gain in the span. Pooled over runs, the sum of their gains.
    early_share : float or None
        Fraction of the gain that falls into the first half of a cycle; None without gain.
    expected_share : float or None
        The same fraction if the gain of each cycle were divided equally between its halves.
    cycles : int
        Number of cycles. Each begins with a transition; the last one ends with the span.
    p_value : float or None
        Probability by chance of a share at least as large. None without a transition, and where no cycle that
        contains an evaluation contains any gain.
    within : tuple of float
        For each cycle the gain of its first half minus the gain of its second half; empty without a p-value.
    across : float
        The sum over transitions of the gain after a transition minus the gain before it, scaled to the same total
        length of time as `within`; 0 without a p-value.
    """

    gain: float
    early_share: float | None
    expected_share: float | None
    cycles: int
    p_value: float | None
    within: tuple[float, ...]
    across: float


def gain_association(
    step: Any, accuracy: Any, transitions: Sequence[Any], run_span: tuple[float, float]
) -> GainAssociation:
    """Test whether validation accuracy is gained in the first halves of the cycles more than by chance.

    Gain is the rise of the best accuracy so far in the span. Under the null hypothesis, whatever is gained in a cycle
    is gained in its first or its second half with equal probability. The test therefore gives the contrast of each
    cycle, first half minus second half, a random sign, and compares the sums with the observed one. Few large gains
    have few signs: they can't produce a small p-value, however large they are.

    A learning curve that flattens has more gain in the first half of every cycle, transitions or not. Around each
    transition, in contrast, it has less gain after than before. A curve that steepens shows the opposite of both.
    Only gain that follows transitions makes both differences positive. The observed sum is therefore the smaller one of
    the two.

    A cycle begins with the last evaluation before its transition, because what is gained from there on is observed
    only after the transition, in particular when the accuracy dips there.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps of the evaluations.
    accuracy : (n,) array_like, fraction in [0, 1]
        Validation accuracy.
    transitions : (m,) array_like, updates
        Steps of the transitions, or `Slingshot` objects.
    run_span : (float, float), updates
        First and last step to consider, such as the step at which the training set was fitted and the end of the run.

    Returns
    -------
    GainAssociation
        Gain, its observed and expected share in first halves, and p-value.

    Raises
    ------
    InputError
        If the arrays do not fit together, the accuracy is not a fraction, the span is empty, or a transition is not a
        finite number within the span.

    References
    ----------
    .. [1] R. A. Fisher, The Design of Experiments, 1935, section 21: the test by random signs.
    .. [2] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, section 3: gain after transitions.

    Examples
    --------
    >>> step = np.arange(0, 20_000, 100)
    >>> accuracy = 0.1 + 0.08 * ((step + 1300) // 2000)  # rises 300 updates after each transition
    >>> found = gain_association(step, accuracy, range(400, 20_000, 2000), (0, 19_900))
    >>> round(found.early_share, 3), round(found.expected_share, 3), found.cycles, round(found.p_value, 4)
    (1.0, 0.5, 10, 0.001)
    """
    first, last = as_span(run_span, "run_span")
    steps, values = canonical_accuracy(step, accuracy)
    transition = np.unique(as_steps(transitions, "transition", "transitions", first, last))
    inside = (steps >= first) & (steps <= last)
    steps, best = steps[inside], np.maximum.accumulate(values[inside])
    gain = float(best[-1] - best[0]) if len(best) else 0.0
    if not gain > NEGLIGIBLE:
        return GainAssociation(0.0, None, None, len(transition), None, (), 0.0)
    if not len(transition):
        return GainAssociation(gain, 0.0, 0.0, 0, None, (), 0.0)

    def best_at(at: FloatArray) -> FloatArray:
        return np.interp(at, steps, best)

    # Cycles begin at the last evaluation before their transition. Transitions between the same two evaluations can't
    # be told apart, and begin one cycle.
    rows = np.unique(np.maximum(np.searchsorted(steps, transition) - 1, 0))
    rows = np.append(rows[rows < len(steps) - 1], len(steps) - 1)
    start, end = steps[rows[:-1]], steps[rows[1:]]
    half = (end - start) / 2
    early = best_at(start + half) - best_at(start)
    late = best_at(end) - best_at(start + half)
    # Around each transition, equally long intervals are compared: half of the shorter one of the two cycles that it
    # separates. What precedes the first transition is no cycle, but can be compared with what follows it.
    reach = np.minimum(half, np.append(start[:1] - steps[0], half[:-1]))
    across = best_at(start + reach) + best_at(start - reach) - 2 * best_at(start)
    # A cycle without an evaluation has no halves that could be told apart.
    resolved = np.diff(rows) > 1
    shares = (float(early.sum() / gain), float((early + late).sum() / 2 / gain))
    if not ((early + late)[resolved] > NEGLIGIBLE).any():
        return GainAssociation(gain, *shares, len(transition), None, (), 0.0)
    within = early - late
    after = float(across.sum() * half.sum() / reach.sum()) if reach.any() else 0.0
    return GainAssociation(
        gain, *shares, len(transition), _random_sign_tail(within, after), tuple(map(float, within)), after
    )


def pool_gain_associations(associations: Iterable[GainAssociation]) -> GainAssociation:
    """Pool the tests of several runs into one.

    Parameters
    ----------
    associations : iterable of GainAssociation
        One for each run. A run without a p-value adds to gain, shares and cycles only.

    Returns
    -------
    GainAssociation
        The test of all contrasts together: each cycle of each run has a random sign. Gain is weighed as it is, so that
        runs that gain more count more.

    Raises
    ------
    InputError
        If there are no runs.

    Examples
    --------
    >>> step = [0, 100, 200, 300, 400, 500, 600]
    >>> run = gain_association(step, [0.1, 0.1, 0.3, 0.3, 0.3, 0.6, 0.6], [150, 450], (0, 600))
    >>> run.p_value, pool_gain_associations([run, run]).p_value
    (0.25, 0.0625)
    """
    runs = list(associations)
    if not runs:
        raise InputError("pool_gain_associations: got no association; give one for each run")
    gain = sum(run.gain for run in runs)
    early, expected = (
        sum(run.gain * (share or 0.0) for run, share in shares) / gain if gain else None
        for shares in ([(run, run.early_share) for run in runs], [(run, run.expected_share) for run in runs])
    )
    within, across = tuple(contrast for run in runs for contrast in run.within), sum(run.across for run in runs)
    p_value = _random_sign_tail(np.array(within), across) if within else None
    return GainAssociation(gain, early, expected, sum(run.cycles for run in runs), p_value, within, across)


def gain_by_phase(
    step: Any, accuracy: Any, phases: Sequence[Phase], slingshots: Sequence[Slingshot]
) -> dict[str, float]:
    """Return how much validation accuracy was gained in each kind of phase.

    Gain is the rise of the best accuracy so far. The gain between two evaluations with a transition between them
    counts as gain of the transition. Otherwise it is divided in proportion to the time spent in each phase.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps of the evaluations.
    accuracy : (n,) array_like, fraction in [0, 1]
        Validation accuracy.
    phases : sequence of Phase
        Phases of the norm, which do not overlap.
    slingshots : sequence of Slingshot
        Their transitions.

    Returns
    -------
    dict of str to float, fraction in [0, 1]
        Gain by kind of phase, with the keys "growth", "transition" and "plateau", any other kind that occurs, and
        "other" for time without a phase. The values sum to the total gain.

    Raises
    ------
    InputError
        If the arrays do not fit together, or the accuracy is not a fraction.

    Examples
    --------
    >>> phases = [Phase("growth", 0, 300, 1e-3), Phase("plateau", 300, 600, 0.0)]
    >>> event = Slingshot(0, 280, (279, 280), 600, 1.0, 2.0, "full", "staircase", (), 1.0)
    >>> found = gain_by_phase([0, 200, 400, 600], [0.1, 0.2, 0.6, 0.9], phases, [event])
    >>> {kind: round(gain, 3) for kind, gain in found.items()}
    {'growth': 0.1, 'transition': 0.4, 'plateau': 0.3, 'other': 0.0}
    """
    steps, values = canonical_accuracy(step, accuracy)
    gains = np.diff(np.maximum.accumulate(values))
    found = dict.fromkeys(["growth", "transition", "plateau", *(phase.kind for phase in phases)], 0.0) | {"other": 0.0}
    if not len(gains):
        return found
    total = float(gains.sum())
    # Gain between two evaluations with a transition between them belongs to the transition.
    transitions = np.array([slingshot.transition for slingshot in slingshots], dtype=np.float64)
    interval = np.searchsorted(steps, transitions) - 1
    at_transition = np.zeros(len(gains), dtype=bool)
    at_transition[interval[(interval >= 0) & (interval < len(gains))]] = True
    found["transition"] = float(gains[at_transition].sum())
    # Elsewhere the gain is taken to be uniform in time between two evaluations.
    gains[at_transition] = 0.0
    rest = np.zeros(len(steps))
    np.cumsum(gains, out=rest[1:])
    for phase in phases:
        found[phase.kind] += float(np.diff(np.interp([phase.start, phase.end], steps, rest))[0])
    found["other"] = max(total - sum(found.values()), 0.0)
    return found


def _random_sign_tail(contrasts: FloatArray, bound: float) -> float:
    """Return the probability that contrasts with random signs have a sum at least as large as the observed one.

    The observed sum is that of the contrasts with their own signs, or `bound` if that is smaller. The sum of random
    signs follows from the sum of those contrasts whose sign is positive, whose distribution is the convolution of
    two-point distributions. Contrasts are rounded to whole units, observed and random ones alike, so that rounding
    changes their weights slightly but keeps the test exact.
    """
    size = np.abs(contrasts)
    if not size.max(initial=0.0) > NEGLIGIBLE:
        return 1.0
    unit = size.sum() / (UNITS + UNITS_PER_CONTRAST * len(size))
    units = np.rint(size / unit).astype(np.int64)
    total = int(units.sum())
    observed = min(float(np.sign(contrasts) @ units), bound / unit)
    positive = max(int(np.ceil((total + observed) / 2 - NEGLIGIBLE)), 0)
    probability = np.zeros(total + 1)
    probability[0], reached = 1.0, 0
    for width in np.sort(units[units > 0]).tolist():  # small ones first, while few sums are reached
        probability[: reached + 1] /= 2
        probability[width : reached + width + 1] += probability[: reached + 1].copy()
        reached += width
    return float(min(probability[positive:].sum(), 1.0))
