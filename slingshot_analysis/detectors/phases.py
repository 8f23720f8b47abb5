"""Phases of a weight norm (growth, plateau, decay), read from the levels that `_norm_levels` describes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from slingshot_analysis.canonical import Samples, as_step, canonical
from slingshot_analysis.detectors._norm_levels import (
    DEFAULT,
    GROWTH_LEVEL,
    MINIMUM_GAIN,
    SLOW_SHARE,
    NormOptions,
    NormSegments,
    exact_bound,
    segments_of,
    turning_points,
)
from slingshot_analysis.detectors.breaks import NormBreak, breaks_of
from slingshot_analysis.events import Phase, PhaseKind

TRANSIENT_SHARE, TRANSIENT_LENGTH, TRANSIENT_GAIN, TRANSIENTS = 0.1, 0.1, 2.0, 2
"""Growth belongs to the aftermath of a transition if it ends in the first tenth of a cycle, lasts for less than a
tenth of it, and the growth that ends the cycle gains twice as much. Maximum number of such growths in one cycle."""
SHORT_SHARE, SLIGHT_SHARE = 0.12, 0.15
"""Growth and decay are slight if they change the logarithm of the norm by less than 15% of the gain of the growth
before and of the growth after them. Slight decay is part of a plateau, and so is slight growth that lasts for less than
12% of the time between those growths."""


def segment_norm(step: Any, norm: Any, *, options: NormOptions = DEFAULT) -> list[Phase]:
    """Divide a run into phases of growth, plateau and decay of a norm.

    The logarithm of the norm is averaged in bins, and its slope is compressed by arsinh. The exact search of ruptures'
    KernelCPD with the linear kernel cuts this slope into segments. A segment is growth if its compressed slope is
    nearer to the neighbouring maximum than to the neighbouring minimum. So a plateau may grow too, if slowly for this
    run. Growth that ends in a break (`norm_breaks`) is one phase, and short growth right after other growth is part of
    the plateau. The units of norm and step do not matter.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the norm was measured.
    norm : (n,) array_like
        Any weight norm. Values that are not positive are ignored.
    options : NormOptions, optional
        Bins, penalty and minimum swing.

    Returns
    -------
    list of Phase
        In order and without gaps, from the first measured step to the last. Empty if there are fewer than three rows.

    Raises
    ------
    InputError
        If the arrays do not fit together.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, section 2.
    .. [2] C. Truong, L. Oudre, N. Vayatis, Signal Processing 167, 2020, doi:10.1016/j.sigpro.2019.107299.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(0, 4000, 10)
    >>> norm = np.exp(np.interp(step, [0, 1000, 2000, 3000, 4000], [0, 0, 1, 1, 2]))
    >>> [(phase.kind, phase.start) for phase in segment_norm(step, norm)]
    [('plateau', 0), ('growth', 1000), ('plateau', 2000), ('growth', 3000)]
    """
    found = cut_norm(canonical(step, norm, "norm"), options)
    return [] if found is None else found.phases


@dataclass(frozen=True)
class CutNorm:
    """The phases and the breaks of a norm.

    Parameters
    ----------
    log_norm : Samples
        Natural logarithm of the norm at each row with a positive value.
    phases : list of Phase
        As `segment_norm` returns them.
    breaks : list of NormBreak
        As `norm_breaks` returns them.
    """

    log_norm: Samples
    phases: list[Phase]
    breaks: list[NormBreak]


def cut_norm(norm: Samples, options: NormOptions) -> CutNorm | None:
    """Find the phases and the breaks of a norm in canonical form; None if fewer than three values are positive."""
    found = segments_of(norm, options)
    if found is None:
        return None
    breaks = breaks_of(found, options)
    return CutNorm(found.samples, _phases(found, breaks, options.min_swing), breaks)


def _phases(found: NormSegments, breaks: list[NormBreak], min_swing: float) -> list[Phase]:
    # Neighbouring segments of one kind are one phase, whose ends are placed to the sample.
    kinds = _kinds(found, min_swing)
    starts = [k for k in range(len(kinds)) if k == 0 or kinds[k] != kinds[k - 1]]
    inner = [exact_bound(found, found.bounds[k])[0] for k in starts[1:]]
    edges = [float(found.samples.step[0]), *inner, float(found.samples.step[-1])]
    parts = [_Part(kinds[k], *ends) for k, ends in zip(starts, pairwise(edges), strict=True) if ends[1] > ends[0]]

    # Growth that ends in a break is one phase. Other growth that touches it is slower, and part of a plateau.
    broken = [_Part("growth", float(b.growth_start), float(b.transition)) for b in breaks]
    for part in broken:
        parts = _painted(parts, part)
    edges = [edge for part in broken for edge in (part.start, part.end)]
    parts = [
        replace(part, kind="plateau")
        if part.kind == "growth" and part not in broken and (part.start in edges or part.end in edges)
        else part
        for part in parts
    ]

    # Short growth right after other growth is its aftermath, and what hardly changes the norm is part of a plateau.
    parts = _joined(_without_transients(found, parts))
    parts = _joined(_without_slight_phases(found, _joined([part.checked(found) for part in parts])))
    return [
        Phase(part.kind, as_step(part.start), as_step(part.end), found.gain(part.start, part.end) / part.duration)
        for part in parts
    ]


def _kinds(found: NormSegments, swing: float) -> list[PhaseKind]:
    """Return the kind of each segment, from its level and those of the turning points around it.

    Minima below 0 count as 0. Where the level hardly changes, a segment is growth if it is at least half as fast as the
    whole run.
    """
    turns, level = turning_points(found.level, swing), found.level
    mean = np.arcsinh(0.5 / SLOW_SHARE)
    kinds: list[PhaseKind] = []
    for k, own in enumerate(level):
        # A turning point is compared with its neighbours, and any other segment with the turning points beside it.
        near = [turn for turn in turns if turn <= k][-1:] + [turn for turn in turns if turn >= k][:1]
        if k in turns:
            place = turns.index(k)
            near = turns[max(place - 1, 0) : place + 2]
        around = [level[turn] for turn in near]
        low, high = max(min(around), 0.0), max(around)
        threshold = (low + high) / 2 if high - low >= swing else mean
        if abs(found.change(k)) <= MINIMUM_GAIN * found.noise or abs(own) < GROWTH_LEVEL:
            kinds.append("plateau")
        elif own < 0:
            kinds.append("decay")
        else:
            kinds.append("growth" if own >= threshold else "plateau")
    return kinds


@dataclass(frozen=True)
class _Part:
    """A phase whose kind and edges are still open to correction."""

    kind: PhaseKind
    start: float
    end: float

    @property
    def duration(self) -> float:
        return self.end - self.start

    def checked(self, found: NormSegments) -> _Part:
        """Return a plateau in place of growth without gain, and of decay without loss."""
        gain = found.gain(self.start, self.end)
        wrong = (self.kind == "growth" and gain <= 0) or (self.kind == "decay" and gain >= 0)
        return replace(self, kind="plateau") if wrong else self


def _painted(parts: list[_Part], new: _Part) -> list[_Part]:
    """Return the phases with a new one in place of whatever lies between its edges."""
    before = [replace(part, end=min(part.end, new.start)) for part in parts if part.start < new.start]
    after = [replace(part, start=max(part.start, new.end)) for part in parts if part.end > new.end]
    return [*before, new, *after]


def _joined(parts: list[_Part]) -> list[_Part]:
    """Join neighbours of one kind."""
    joined: list[_Part] = []
    for part in parts:
        if joined and joined[-1].kind == part.kind:
            joined[-1] = replace(joined[-1], end=part.end)
        else:
            joined.append(part)
    return joined


def _without_transients(found: NormSegments, parts: list[_Part]) -> list[_Part]:
    """Return the parts with plateaus in place of the growth that a transition leaves behind.

    Such growth lies in the first part of a cycle, and the growth that ends the cycle is much larger.
    """
    growths = [part for part in parts if part.kind == "growth"]
    gains = [found.gain(part.start, part.end) for part in growths]
    transients = set()
    last = 0
    for k in range(1, len(growths)):
        following = range(k + 1, min(k + 1 + TRANSIENTS, len(growths)))
        larger = next((j for j in following if gains[j] > TRANSIENT_GAIN * gains[k]), None)
        cycle = 0.0 if larger is None else growths[larger].end - growths[last].end
        short = growths[k].duration < TRANSIENT_LENGTH * cycle
        if short and growths[k].end - growths[last].end < TRANSIENT_SHARE * cycle:
            transients.add(growths[k])
        else:
            last = k
    return [replace(part, kind="plateau") if part in transients else part for part in parts]


def _without_slight_phases(found: NormSegments, parts: list[_Part]) -> list[_Part]:
    """Return the parts with plateaus in place of slight growth and decay, the slightest first."""
    kept = list(parts)
    for part in sorted(parts, key=lambda part: abs(found.gain(part.start, part.end))):
        # Growth from the first step on is fitting, and no measure of a cycle.
        growths = [other for other in kept if other.kind == "growth" and other.start > parts[0].start]
        before = next((other for other in reversed(growths) if other.end <= part.start), None)
        after = next((other for other in growths if other.start >= part.end), None)
        gains = [found.gain(growth.start, growth.end) for growth in (before, after) if growth is not None]
        start = parts[0].start if before is None else before.end
        end = parts[-1].end if after is None else after.start
        slight = abs(found.gain(part.start, part.end)) < SLIGHT_SHARE * min(gains, default=0.0)
        if slight and (part.kind == "decay" or part.duration < SHORT_SHARE * (end - start)):
            kept[kept.index(part)] = replace(part, kind="plateau")
    return kept
