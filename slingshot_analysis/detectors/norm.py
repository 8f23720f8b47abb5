"""Phases of a weight norm: growth, plateau, decay, and the breaks from growth to plateau."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import ruptures

from slingshot_analysis.canonical import FloatArray, as_step, bin_edges, canonical
from slingshot_analysis.events import Phase, PhaseKind

__all__ = ["NormBreak", "NormOptions", "norm_breaks", "segment_norm"]

SLOW_SHARE = 0.02
"""A slope of 2% of the run's mean slope is told from none; below it slopes are compressed towards zero."""
LEAST_NOISE = 0.05
"""Noise of the compressed slope that is assumed where there is none, so that smooth curves are not cut to pieces."""
CLEARLY = 2.0
"""A plateau that drifts is slower than the growth after it by a factor e**2 = 7.4 at least."""
GROWTH_LEVEL = 0.9
"""Compressed slope from which a norm can be said to move: about 2% of the run's mean slope."""
SHARP_SHARE, SLOW_FALL = 0.4, 0.3
"""A transition loses 40% of the slope's fall at once, or falls within 30% of the growth's length; else it is a hump."""
LEFT = 0.1
"""Growth begins where the level has left the plateau by a tenth of its way to the high."""
CHI_SQUARE = 3.84
"""95% quantile of chi-square with one degree of freedom."""
WINDOW, LEAST_WINDOWS = 16, 4
"""Bins of a window in which noise is told from smooth change, and windows without which it is not."""
QUARTILE_TO_MEAN = 1.2
"""The lower quartile of correlated noise in windows, to its mean."""
REFINE_BINS = 3
"""Bins on either side in which a break is placed to the sample."""


@dataclass(frozen=True)
class NormOptions:
    """Choices of the norm's segmentation. The defaults need no tuning.

    Parameters
    ----------
    bins : int
        Bins over which the norm is averaged. 250 to 4,000 find more true breaks than all samples do, and fast.
    penalty : float
        Of a changepoint, times the variance of the noise and log(bins), as in BIC. Breaks too many are merged when
        phases are labelled, so that 3 to 20 give the same.
    min_swing : float
        Least difference of two levels of compressed slope that counts: a factor of e**0.8 = 2.2 in slope.
    min_significance : float
        Standard errors by which the slope before a break exceeds that after it.
    """

    bins: int = 2000
    penalty: float = 5.0
    min_swing: float = 0.8
    min_significance: float = 10.0


DEFAULT = NormOptions()


@dataclass(frozen=True)
class NormBreak:
    """A growth phase of the norm and the sharp break that ends it.

    Parameters
    ----------
    growth_start, transition, plateau_end : int, updates
        Start of growth, its sharp end, and the start of the next growth (or the end of the run).
    contrast : float
        Logarithm of the ratio of the slopes before and after the break, with slow slopes compressed towards zero.
    gain : float
        Growth of the natural logarithm of the norm from `growth_start` to `transition`.
    interval : (int, int), updates
        Where the transition may lie: the splits that fit nearly as well, a 95% likelihood interval.
    """

    growth_start: int
    transition: int
    plateau_end: int
    contrast: float
    gain: float
    interval: tuple[int, int]


@dataclass(frozen=True)
class _Segments:
    time: FloatArray
    log_norm: FloatArray
    bounds: list[int]
    level: list[float]
    noise: float
    wander: float
    raw_time: FloatArray
    raw_log_norm: FloatArray

    def duration(self, k: int) -> float:
        """Return how long segment k lasts, updates."""
        return float(self.time[self.bounds[k + 1]] - self.time[self.bounds[k]])

    def significance(self, high: int, low: int) -> float:
        """Return by how many standard errors the slope of one segment exceeds that of another, by their endpoints."""
        spans = self.duration(high), self.duration(low)
        slopes = [
            float(self.log_norm[self.bounds[k + 1]] - self.log_norm[self.bounds[k]]) / span
            for k, span in zip((high, low), spans, strict=True)
        ]
        error = np.sqrt(2) * self.wander * np.hypot(1 / spans[0], 1 / spans[1])
        return float((slopes[0] - slopes[1]) / error) if error > 0 else float("inf")


def segment_norm(step: Any, norm: Any, *, options: NormOptions = DEFAULT) -> list[Phase]:
    """Divide a run into phases of growth, plateau and decay of a norm.

    The slope of the logarithm of the norm, averaged into bins and compressed by arsinh, is cut by the exact search of
    ruptures' KernelCPD with the linear kernel. A phase is growth where its slope is nearer to the neighbouring high
    than to the neighbouring low; a plateau is low for this run, not zero. Units of norm and step cancel.

    Parameters
    ----------
    step : (n,) array_like, updates
        Where the norm was measured.
    norm : (n,) array_like
        Any weight norm; values that are not positive are left out.
    options : NormOptions, optional
        Bins, penalty and least swing.

    Returns
    -------
    list of Phase
        From the first step measured to the last, in order and without gaps; empty with fewer than three rows.

    Raises
    ------
    InputError
        If the arrays do not fit.

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
    found = _segments(step, norm, options)
    if found is None:
        return []
    kinds = _kinds(found, options.min_swing)
    starts = [k for k in range(len(kinds)) if k == 0 or kinds[k] != kinds[k - 1]]
    inner = [_refine(found, found.bounds[k])[0] for k in starts[1:]]
    edges = [float(found.raw_time[0]), *inner, float(found.raw_time[-1])]
    phases: list[Phase] = []
    for k, start, end in zip(starts, edges[:-1], edges[1:], strict=True):
        if end <= start:
            continue
        phase = _phase(found, kinds[k], start, end)
        if phases and phases[-1].kind == phase.kind:
            phase = _phase(found, phase.kind, phases.pop().start, end)
        phases.append(phase)
    return phases


def _phase(found: _Segments, kind: PhaseKind, start: float, end: float) -> Phase:
    """Make a phase between two refined edges; where they leave no growth or decay, what is left is a plateau."""
    low, high = np.interp([start, end], found.raw_time, found.raw_log_norm)
    rate = float((high - low) / (end - start))
    if (kind == "growth" and rate <= 0) or (kind == "decay" and rate >= 0):
        kind = "plateau"
    return Phase(kind, as_step(start), as_step(end), rate)


def norm_breaks(step: Any, norm: Any, *, options: NormOptions = DEFAULT) -> list[NormBreak]:
    """Find the sharp ends of growth phases, the only trace of a slingshot where no loss is logged.

    A break is a high of the compressed slope between two lows, at least a factor of 2.2 above each. The first growth of
    a run, from its first step on, is fitting and no cycle; a slope that falls gradually is a hump and no break.

    Parameters
    ----------
    step : (n,) array_like, updates
        Where the norm was measured.
    norm : (n,) array_like
        Any weight norm.
    options : NormOptions, optional
        Bins, penalty, least swing and significance.

    Returns
    -------
    list of NormBreak
        In order.

    Raises
    ------
    InputError
        If the arrays do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(0, 4000, 10)
    >>> norm = np.exp(np.interp(step, [0, 1000, 2000, 4000], [0, 0, 1, 1]))
    >>> norm_breaks(step, norm)[0].transition
    2000
    """
    found = _segments(step, norm, options)
    if found is None:
        return []
    extremes = _zigzag(found.level, options.min_swing)
    breaks: list[NormBreak] = []
    highs = [i for i in range(1, len(extremes) - 1) if found.level[extremes[i]] > found.level[extremes[i - 1]]]
    for i in highs:
        low, high, after = extremes[i - 1], extremes[i], extremes[i + 1]
        level, beyond = found.level[high], max(found.level[after], 0.0)
        if level < GROWTH_LEVEL:
            continue
        rest = _rest(found, extremes[i - 2] + 1 if i > 1 else low, low, high)
        before = max(found.level[rest], 0.0)
        onset = next(k for k in range(rest + 1, high + 1) if found.level[k] >= before + LEFT * (level - before))
        drops = [max(found.level[k - 1], 0.0) - max(found.level[k], 0.0) for k in range(high + 1, after + 1)]
        last = high + 1 + int(np.argmax(drops))
        start, (stop, *interval) = _refine(found, found.bounds[onset])[0], _refine(found, found.bounds[last])
        if stop <= start:
            continue
        gain = float(np.diff(np.interp([start, stop], found.raw_time, found.raw_log_norm))[0])
        fall = found.time[found.bounds[after]] - found.time[found.bounds[high + 1]]
        gradual = max(drops) < SHARP_SHARE * (level - beyond) and fall > SLOW_FALL * (stop - start)
        following = extremes[i + 2] if i + 2 < len(extremes) else len(found.level)
        slow = [k for k in range(high + 1, following) if found.level[k] <= (level + beyond) / 2]
        plateau = max(slow, key=found.duration, default=after)
        if gain < 5 * found.noise or gradual or found.significance(high, plateau) < options.min_significance:
            continue
        if breaks:
            breaks[-1] = _ended(breaks[-1], start)
        steps = as_step(start), as_step(stop), as_step(found.raw_time[-1])
        breaks.append(NormBreak(*steps, float(level - beyond), gain, (as_step(interval[0]), as_step(interval[1]))))
    return breaks


def _rest(found: _Segments, first: int, low: int, high: int) -> int:
    """Return the segment that stands for the plateau before a high: the longest slow one, not the dip after a spike."""
    middle = (max(found.level[low], 0.0) + found.level[high]) / 2
    slow = [k for k in range(first, high) if found.level[k] <= max(middle, found.level[high] - CLEARLY)]
    return max(slow, key=found.duration, default=low)


def _ended(norm_break: NormBreak, end: float) -> NormBreak:
    return replace(norm_break, plateau_end=as_step(max(end, norm_break.transition)))


def _segments(step: Any, norm: Any, options: NormOptions) -> _Segments | None:
    """Cut the compressed slope of the logarithm of the norm into pieces of one level each."""
    steps, values = canonical(step, norm, "norm")
    positive = (values > 0) & np.isfinite(values)
    steps, raw = steps[positive], np.log(values[positive])
    if len(steps) < 3:
        return None
    edges = bin_edges(len(steps), options.bins)
    count = np.diff(np.append(edges, len(steps)))
    time, log_norm = np.add.reduceat(steps, edges) / count, np.add.reduceat(raw, edges) / count
    gap = np.diff(time)
    slope = np.diff(log_norm) / gap
    noise = _noise(time, log_norm)
    slow = max(SLOW_SHARE * float(np.ptp(log_norm)) / float(time[-1] - time[0]), np.finfo(float).tiny)
    compressed = np.arcsinh(slope / np.maximum(2 * np.sqrt(2) * noise / gap, slow))
    bounds = [0, len(slope)]
    if len(slope) >= 4:
        spread = max(float(np.median(np.abs(np.diff(compressed)))) / (0.6745 * np.sqrt(2)), LEAST_NOISE)
        penalty = options.penalty * spread**2 * np.log(len(slope))
        search = ruptures.KernelCPD(kernel="linear", min_size=2).fit(compressed[:, None])
        bounds = [0, *search.predict(pen=penalty)]
    level = [float(np.arcsinh((log_norm[b] - log_norm[a]) / (time[b] - time[a]) / slow)) for a, b in pairwise(bounds)]
    return _Segments(time, log_norm, bounds, level, noise, max(noise, _wander(log_norm)), steps, raw)


def _noise(time: FloatArray, value: FloatArray) -> float:
    """Standard deviation of the noise, from the deviation of each sample from the line between its neighbours."""
    share = (time[1:-1] - time[:-2]) / (time[2:] - time[:-2])
    deviation = value[1:-1] - (1 - share) * value[:-2] - share * value[2:]
    return float(np.median(np.abs(deviation) / np.sqrt(1 + share**2 + (1 - share) ** 2))) / 0.6745


def _wander(value: FloatArray) -> float:
    """Standard deviation of all noise, that which is correlated over a few bins included, about smooth curves.

    Parabolas are fitted to windows of bins; the lower quartile of their residuals leaves out windows with a transition.
    """
    windows = value[: len(value) // WINDOW * WINDOW].reshape(-1, WINDOW)
    if len(windows) < LEAST_WINDOWS:
        return 0.0
    basis, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, WINDOW), 3))
    residual = windows - windows.mean(axis=1, keepdims=True)
    residual -= residual @ basis @ basis.T
    return float(np.quantile(np.sqrt((residual**2).sum(axis=1) / (WINDOW - 3)), 0.25)) * QUARTILE_TO_MEAN


def _zigzag(level: list[float], swing: float) -> list[int]:
    """Return the turning points of a sequence, neglecting lesser swings; its ends belong to them."""
    turns, direction = [0], 0
    for k in range(1, len(level)):
        last = level[turns[-1]]
        if direction == 0 and abs(level[k] - last) >= swing:
            direction = 1 if level[k] > last else -1
            turns.append(k)
        elif direction and (level[k] - last) * direction >= 0:
            turns[-1] = k
        elif direction and (last - level[k]) * direction >= swing:
            direction = -direction
            turns.append(k)
        elif direction == 0 and len(turns) == 1 and abs(level[k]) < abs(last):
            turns[0] = k
    return turns


def _kinds(found: _Segments, swing: float) -> list[PhaseKind]:
    """Name each segment by its level and the turning points around it."""
    turns, level = _zigzag(found.level, swing), found.level
    mean = np.arcsinh(0.5 / SLOW_SHARE)
    kinds: list[PhaseKind] = []
    for k, own in enumerate(level):
        change = found.log_norm[found.bounds[k + 1]] - found.log_norm[found.bounds[k]]
        near = [turn for turn in turns if turn <= k][-1:] + [turn for turn in turns if turn >= k][:1]
        around = [level[turn] for turn in near]
        if k in turns:
            place = turns.index(k)
            around = [level[turn] for turn in turns[max(place - 1, 0) : place + 2]]
        low, high = max(min(around), 0.0), max(around)
        threshold = (low + high) / 2 if high - low >= swing else mean
        if abs(change) <= 5 * found.noise or abs(own) < GROWTH_LEVEL:
            kinds.append("plateau")
        elif own < 0:
            kinds.append("decay")
        else:
            kinds.append("growth" if own >= threshold else "plateau")
    return kinds


def _refine(found: _Segments, bound: int) -> tuple[float, float, float]:
    """Place a break to the sample: the split of two least-squares lines around it with the smallest error.

    With it come the first and the last split whose error is within chi-square's 95% quantile of the smallest.
    """
    low, high = max(bound - REFINE_BINS, 0), min(bound + REFINE_BINS, len(found.time) - 1)
    first, last = found.time[low], found.time[high]
    if len(found.raw_time) == len(found.time):
        near = max(bound - 1, 0), min(bound + 1, len(found.time) - 1)
        return float(found.time[bound]), float(found.time[near[0]]), float(found.time[near[1]])
    a, b = np.searchsorted(found.raw_time, [first, last], side="left")
    b = min(b + 1, len(found.raw_time))
    x = (found.raw_time[a:b] - first) / (last - first)
    y = found.raw_log_norm[a:b] - found.raw_log_norm[a]
    error = (_line_errors(x, y) + _line_errors(x[::-1], y[::-1])[::-1])[2:-2]
    best = int(np.argmin(error))
    alike = np.flatnonzero(error <= error[best] * (1 + CHI_SQUARE / max(len(error), 1)))
    at = found.raw_time[a + 2 :]
    return float(at[best]), float(at[alike[0]]), float(at[alike[-1]])


def _line_errors(x: FloatArray, y: FloatArray) -> FloatArray:
    """Sum of squared residuals of the least-squares line through the first 1, 2, ... points."""
    n = np.arange(1, len(x) + 1)
    mx, my = np.cumsum(x) / n, np.cumsum(y) / n
    sxx, sxy = np.cumsum(x * x) / n - mx**2, np.cumsum(x * y) / n - mx * my
    syy = np.cumsum(y * y) / n - my**2
    slope = np.divide(sxy, sxx, out=np.zeros_like(sxy), where=sxx > 1e-12)
    return np.asarray(np.maximum(n * (syy - slope * sxy), 0.0))
