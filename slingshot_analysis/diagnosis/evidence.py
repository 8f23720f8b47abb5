"""What a diagnosis may look at: events of a run, its signals, what moved before the events, and the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from slingshot_analysis.association import SignalLead
from slingshot_analysis.canonical import Samples
from slingshot_analysis.configuration import Plain
from slingshot_analysis.events import LossSpike, NotFinite, Slingshot

ROLES = {
    "learning rate": r"(^|[^a-z])(lr|learning_?rate|step_?size)([^a-z]|$)",
    "loss scale": r"loss_?scale|grad_?scale|amp_?scale|scaler",
    "gradient norm": r"^gradient_norm$|gnorm|grad(ient)?s?_?(total_)?norm",
    "update norm": r"update_?norm|norm_?of_?update",
    "first moment": r"first_?moment|exp_avg(?!_?sq)|(^|_)m_?norm",
    "second moment": r"second_?moment|exp_avg_?sq|(^|_)v_?norm",
    "zero gradients": r"zero_?gradient",
    "zero losses": r"zero_?loss",
    "softmax collapse": r"softmax_?collapse",
    "preconditioned sharpness": r"preconditioned",
    "attention logits": r"att(entio)?n.*(logit|score|entropy)|max_?logit",
}
"""Names that a signal of each kind goes by, as regular expressions on lower-case names with underscores."""
CHANCE = 0.05
"""Maximum p-value of one signal that moves before spikes, without correction: a sign is no proof."""
NEAR_ROWS = 8
"""Number of rows before a step whose median is the level of a signal there."""


class Happening(NamedTuple):
    """A loss spike, or the first value that is not finite.

    Parameters
    ----------
    start, peak, end : float, updates
        First step of the rise, step of its peak, and step at which the loss is back; the end of the log if it is not.
    outcome : str
        Of a loss spike, and "not finite".
    """

    start: float
    peak: float
    end: float
    outcome: str


@dataclass(frozen=True)
class Evidence:
    """The evidence that causes are judged by.

    Parameters
    ----------
    loss : Samples or None
        The training loss in which spikes are looked for, with its NaN.
    signals : mapping of str to Samples
        All other scalars of the log, known by name or not.
    config : mapping of str to plain value
        The configuration by dotted names.
    spikes : sequence of LossSpike
        Of the loss.
    not_finite : sequence of NotFinite
        Where signals are NaN or infinite.
    slingshots, without_growth : sequence of Slingshot
        Those of confidence 0.5 or more.
    leads : mapping of str to SignalLead
        What moved before the spikes.
    restarts : sequence of int, updates
        Where the log goes on after its steps went back.
    span : (float, float), updates
        First and last step.
    """

    loss: Samples | None
    signals: Mapping[str, Samples]
    config: Mapping[str, Plain] = field(default_factory=dict)
    spikes: Sequence[LossSpike] = ()
    not_finite: Sequence[NotFinite] = ()
    slingshots: Sequence[Slingshot] = ()
    without_growth: Sequence[Slingshot] = ()
    leads: Mapping[str, SignalLead] = field(default_factory=dict)
    restarts: Sequence[int] = ()
    span: tuple[float, float] = (0.0, 0.0)

    @property
    def happenings(self) -> list[Happening]:
        """Return the loss spikes, and the first value that is not finite unless a spike leads to it."""
        found = [Happening(spike.start, spike.peak, spike.end, spike.outcome) for spike in self.spikes]
        lost = min((part.start for part in self.not_finite), default=None)
        if lost is not None and not any(one.start <= lost <= one.end or one.outcome == "not finite" for one in found):
            found.append(Happening(lost, lost, self.span[1], "not finite"))
        return sorted(found)

    @property
    def stride(self) -> float:
        """Return the usual distance of the rows of the loss, in updates."""
        return 0.0 if self.loss is None or len(self.loss.step) < 2 else float(np.median(np.diff(self.loss.step)))

    def names(self, role: str) -> list[str]:
        """Return the names of the signals of a kind of `ROLES`."""
        pattern = re.compile(ROLES[role])
        return [name for name in self.signals if pattern.search(_plain(name))]

    def signal(self, role: str) -> Samples | None:
        """Return the first signal of a kind that has values, or None."""
        return next((self.signals[name] for name in self.names(role) if len(self.signals[name].step)), None)

    def lead(self, role: str) -> SignalLead | None:
        """Return what a signal of a kind did before the spikes, or None if none was measured."""
        found = [self.leads[name] for name in self.names(role) if name in self.leads]
        return next((lead for lead in found if lead.finding != "not measured"), None)

    def moves(self, lead: SignalLead | None, direction: str | None = None) -> bool:
        """Return whether a signal moves before most spikes, further than before 95% of random times."""
        if lead is None or lead.p_value is None or lead.p_value > CHANCE or lead.moved <= 0.5 * lead.events:
            return False
        return direction is None or lead.direction == direction

    def setting(self, *words: str) -> Plain | None:
        """Return the first setting whose last name is one of these words, or None."""
        plain = {_plain(key.rpartition(".")[2]): value for key, value in self.config.items()}
        return next((plain[word] for word in words if plain.get(word) is not None), None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def spikes(count: int) -> str:
    """Return a number of spikes in words.

    Examples
    --------
    >>> spikes(1), spikes(3)
    ('1 spike', '3 spikes')
    """
    return f"{count} spike{'' if count == 1 else 's'}"


def level(samples: Samples, at: float, rows: int = NEAR_ROWS) -> float:
    """Return the median of the last rows before a step; NaN if there is none.

    Examples
    --------
    >>> level(Samples(np.arange(5.0), np.array([1.0, 1.0, 2.0, 9.0, 9.0])), 3)
    1.0
    """
    row = int(np.searchsorted(samples.step, at))
    before = samples.value[max(row - rows, 0) : row]
    return float(np.median(before)) if len(before) else float("nan")


def largest(samples: Samples, first: float, last: float) -> float:
    """Return the largest value between two steps, and the next one where there is none between them; NaN at the end.

    Examples
    --------
    >>> largest(Samples(np.arange(5.0), np.array([1.0, 1.0, 2.0, 9.0, 3.0])), 2, 3)
    9.0
    """
    start, stop = np.searchsorted(samples.step, [first, last], side="left")
    stop = max(int(np.searchsorted(samples.step, last, side="right")), int(start) + 1)
    within = samples.value[int(start) : stop]
    return float(np.max(within)) if len(within) else float("nan")


def growth(samples: Samples, first: float, last: float) -> float:
    """Return the ratio of the largest value between two steps and the level before them; NaN if there is none above 0.

    Examples
    --------
    >>> growth(Samples(np.arange(5.0), np.array([1.0, 1.0, 2.0, 9.0, 3.0])), 2, 3)
    9.0
    """
    before = level(samples, first)
    return largest(samples, first, last) / before if before > 0 else float("nan")
