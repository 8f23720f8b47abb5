"""Phases of a weight norm (growth, plateau, decay), and the sharp breaks from growth to plateau."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import ruptures

from slingshot_analysis.canonical import MAD_OF_NORMAL, FloatArray, Samples, as_step, bin_edges, canonical
from slingshot_analysis.events import Phase, PhaseKind

SLOW_SHARE = 0.02
"""Slopes below this share of the run's mean slope are compressed towards zero, so that they all count as slow."""
MINIMUM_NOISE = 0.05
"""Minimum noise of the compressed slope. Without it the segmentation would cut smooth curves to pieces."""
PLATEAU_TO_GROWTH = 2.0
"""Minimum logarithm of the ratio of slopes of growth and of a drifting plateau before it: a factor of 7.4."""
GROWTH_LEVEL = 0.9
"""Minimum compressed slope of a growing or decaying norm, about 2% of the run's mean slope."""
SHARP_SHARE, SLOW_FALL = 0.4, 0.3
"""The end of growth is gradual, as in a hump, if no single step of the level makes this share of its fall and the fall
takes longer than this share of the growth."""
ONSET_SHARE = 0.1
"""Growth begins where the level has covered this share of the way from the plateau to its maximum."""
CHI_SQUARE = 3.84
"""95% quantile of the chi-square distribution with one degree of freedom."""
WINDOW, MINIMUM_WINDOWS = 16, 4
"""Bins of a window in which noise is told from smooth change, and the minimum number of such windows."""
QUARTILE_TO_MEAN = 1.2
"""Ratio of the mean and the lower quartile of the residuals of correlated noise in such windows."""
REFINE_BINS = 3
"""Number of bins on either side of a bound among which its exact sample is searched."""
TRANSIENT_SHARE, TRANSIENT_LENGTH, TRANSIENT_GAIN, TRANSIENTS = 0.1, 0.1, 2.0, 2
"""Growth belongs to the aftermath of a transition if it ends in the first tenth of a cycle, lasts for less than a
tenth of it, and the growth that ends the cycle gains twice as much. Maximum number of such growths in one cycle."""
SHORT_SHARE, SLIGHT_SHARE = 0.12, 0.15
"""Growth and decay are slight if they change the logarithm of the norm by less than 15% of the gain of the growth
before and of the growth after them. Slight decay is part of a plateau, and so is slight growth that lasts for less than
12% of the time between those growths."""
MINIMUM_GAIN = 5.0
"""Minimum change of the logarithm of the norm in a phase of growth or decay, in standard deviations of the noise."""


@dataclass(frozen=True)
class NormOptions:
    """Options of the segmentation of a norm. The defaults need no tuning.

    Parameters
    ----------
    bins : int
        Maximum number of bins over which the norm is averaged. With 250 to 4,000 bins more true breaks are found than
        with all samples, and faster.
    penalty : float
        Penalty of a changepoint, in units of the variance of the noise times log(bins), as in BIC. Superfluous
        changepoints are merged when phases are labelled, so that penalties from 3 to 20 give the same phases.
    min_swing : float
        Minimum difference of two levels of the compressed slope: a factor of e**0.8 = 2.2 in slope.
    min_significance : float
        Minimum difference of the slopes before and after a break, in standard errors.
    """

    bins: int = 2000
    penalty: float = 5.0
    min_swing: float = 0.8
    min_significance: float = 10.0


DEFAULT = NormOptions()


@dataclass(frozen=True)
class NormBreak:
    """A growth phase of the norm that ends in a sharp break.

    Parameters
    ----------
    growth_start, transition, plateau_end : int, updates
        Start of growth, its sharp end, and the start of the next growth phase or the end of the run.
    contrast : float
        Logarithm of the ratio of the slopes before and after the break, where slow slopes are compressed towards zero.
    gain : float
        Growth of the natural logarithm of the norm from `growth_start` to `transition`.
    interval : (int, int), updates
        95% likelihood interval of the transition: the steps at which a split fits nearly as well.
    """

    growth_start: int
    transition: int
    plateau_end: int
    contrast: float
    gain: float
    interval: tuple[int, int]


@dataclass(frozen=True)
class NormSegments:
    """A norm, cut into segments whose compressed slope is constant.

    Parameters
    ----------
    time : (m,) float array, updates
        Mean step of each bin.
    log_norm : (m,) float array
        Mean natural logarithm of the norm in each bin.
    bounds : list of int
        Bins at which segments begin; segment k lies between ``bounds[k]`` and ``bounds[k + 1]``.
    level : list of float
        Compressed slope of each segment.
    noise, wander : float
        Standard deviations of the white noise of the bins, and of all noise including that which is correlated.
    samples : Samples
        Natural logarithm of the norm at each row.
    """

    time: FloatArray
    log_norm: FloatArray
    bounds: list[int]
    level: list[float]
    noise: float
    wander: float
    samples: Samples

    def duration(self, k: int) -> float:
        """Return the length of segment k, in updates."""
        return float(self.time[self.bounds[k + 1]] - self.time[self.bounds[k]])

    def change(self, k: int) -> float:
        """Return the change of the logarithm of the norm in segment k."""
        return float(self.log_norm[self.bounds[k + 1]] - self.log_norm[self.bounds[k]])

    def gain(self, start: float, end: float) -> float:
        """Return the change of the logarithm of the norm between two steps."""
        low, high = np.interp([start, end], *self.samples)
        return float(high - low)

    def significance(self, high: int, low: int) -> float:
        """Return the difference of the slopes of two segments, each by its endpoints, in standard errors."""
        spans = self.duration(high), self.duration(low)
        slope, rest = self.change(high) / spans[0], self.change(low) / spans[1]
        error = np.sqrt(2) * self.wander * np.hypot(1 / spans[0], 1 / spans[1])
        return float((slope - rest) / error) if error > 0 else float("inf")


def segment_norm(step: Any, norm: Any, *, options: NormOptions = DEFAULT) -> list[Phase]:
    """Divide a run into phases of growth, plateau and decay of a norm.

    The logarithm of the norm is averaged in bins, and its slope is compressed by arsinh. The exact search of ruptures'
    KernelCPD with the linear kernel cuts this slope into segments. A segment is growth if its slope is nearer to the
    neighbouring maximum than to the neighbouring minimum. The slope of a plateau is small for this run, not zero.
    Growth that ends in a break (`norm_breaks`) is one phase, and short growth right after other growth is part of the
    plateau. The units of norm and step do not matter.

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
    found = segments_of(canonical(step, norm, "norm"), options)
    return [] if found is None else phases_of(found, options)


def phases_of(found: NormSegments, options: NormOptions) -> list[Phase]:
    """Divide a norm that is cut into segments into phases; see `segment_norm`."""
    # Segments of one kind, with their bounds placed to the sample.
    kinds = _kinds(found, options.min_swing)
    starts = [k for k in range(len(kinds)) if k == 0 or kinds[k] != kinds[k - 1]]
    inner = [_refine(found, found.bounds[k])[0] for k in starts[1:]]
    edges = [float(found.samples.step[0]), *inner, float(found.samples.step[-1])]
    parts = [_Part(kinds[k], *ends) for k, ends in zip(starts, pairwise(edges), strict=True) if ends[1] > ends[0]]

    # Growth that ends in a break is one phase, from its start to the break. What touches it is slower than it.
    broken = [_Part("growth", float(b.growth_start), float(b.transition)) for b in breaks_of(found, options)]
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
    """Return the parts with a new one in place of whatever lies between its edges."""
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


def norm_breaks(step: Any, norm: Any, *, options: NormOptions = DEFAULT) -> list[NormBreak]:
    """Find the sharp ends of growth phases: the only trace of a slingshot if no loss is logged.

    A break ends a maximum of the compressed slope that exceeds the minima on either side by a factor of 2.2 at least.
    Growth from the first step of a run on is fitting and no cycle. A slope that falls gradually is a hump and no break.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the norm was measured.
    norm : (n,) array_like
        Any weight norm. Values that are not positive are ignored.
    options : NormOptions, optional
        Bins, penalty, minimum swing and significance.

    Returns
    -------
    list of NormBreak
        In order.

    Raises
    ------
    InputError
        If the arrays do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(0, 4000, 10)
    >>> norm = np.exp(np.interp(step, [0, 1000, 2000, 4000], [0, 0, 1, 1]))
    >>> norm_breaks(step, norm)[0].transition
    2000
    """
    found = segments_of(canonical(step, norm, "norm"), options)
    return [] if found is None else breaks_of(found, options)


def breaks_of(found: NormSegments, options: NormOptions) -> list[NormBreak]:
    """Find the breaks of a norm that is cut into segments; see `norm_breaks`."""
    extremes = _zigzag(found.level, options.min_swing)
    breaks: list[NormBreak] = []
    maxima = [i for i in range(1, len(extremes) - 1) if found.level[extremes[i]] > found.level[extremes[i - 1]]]
    for i in maxima:
        low, high, after = extremes[i - 1], extremes[i], extremes[i + 1]
        level, beyond = found.level[high], max(found.level[after], 0.0)
        if level < GROWTH_LEVEL:
            continue

        # Growth starts with the first segment that leaves the level of the plateau before it.
        plateau_before = _plateau_before(found, extremes[i - 2] + 1 if i > 1 else low, low, high)
        before = max(found.level[plateau_before], 0.0)
        onset = next(
            k for k in range(plateau_before + 1, high + 1) if found.level[k] >= before + ONSET_SHARE * (level - before)
        )

        # The transition is the largest single fall of the level, placed to the sample like the start of growth.
        drops = [max(found.level[k - 1], 0.0) - max(found.level[k], 0.0) for k in range(high + 1, after + 1)]
        last = high + 1 + int(np.argmax(drops))
        start, (stop, *interval) = _refine(found, found.bounds[onset])[0], _refine(found, found.bounds[last])
        if stop <= start:
            continue

        # The longest slow segment before the next growth stands for the plateau that follows.
        following = extremes[i + 2] if i + 2 < len(extremes) else len(found.level)
        slow = [k for k in range(high + 1, following) if found.level[k] <= (level + beyond) / 2]
        plateau = max(slow, key=found.duration, default=after)

        # Noise, gradual humps and slopes that hardly differ are no breaks.
        gain = found.gain(start, stop)
        fall = found.time[found.bounds[after]] - found.time[found.bounds[high + 1]]
        gradual = max(drops) < SHARP_SHARE * (level - beyond) and fall > SLOW_FALL * (stop - start)
        significant = found.significance(high, plateau) >= options.min_significance
        if gain < MINIMUM_GAIN * found.noise or gradual or not significant:
            continue
        if breaks:
            breaks[-1] = _ended(breaks[-1], start)
        steps = as_step(start), as_step(stop), as_step(found.samples.step[-1])
        breaks.append(NormBreak(*steps, float(level - beyond), gain, (as_step(interval[0]), as_step(interval[1]))))
    return breaks


def _plateau_before(found: NormSegments, first: int, low: int, high: int) -> int:
    """Return the longest slow segment before a maximum: its plateau, not the short dip after a spike."""
    middle = (max(found.level[low], 0.0) + found.level[high]) / 2
    slow = [k for k in range(first, high) if found.level[k] <= max(middle, found.level[high] - PLATEAU_TO_GROWTH)]
    return max(slow, key=found.duration, default=low)


def _ended(norm_break: NormBreak, end: float) -> NormBreak:
    return replace(norm_break, plateau_end=as_step(max(end, norm_break.transition)))


def segments_of(norm: Samples, options: NormOptions = DEFAULT) -> NormSegments | None:
    """Cut the compressed slope of the logarithm of a norm into segments of constant level.

    Parameters
    ----------
    norm : Samples
        In canonical form. Values that are not positive are ignored.
    options : NormOptions, optional
        Bins and penalty.

    Returns
    -------
    NormSegments or None
        None if there are fewer than three positive values.
    """
    positive = (norm.value > 0) & np.isfinite(norm.value)
    samples = Samples(norm.step[positive], np.log(norm.value[positive]))
    if len(samples.step) < 3:
        return None
    # Average in bins, and compress the slope so that all slow slopes are alike.
    edges = bin_edges(len(samples.step), options.bins)
    count = np.diff(np.append(edges, len(samples.step)))
    time, log_norm = (np.add.reduceat(values, edges) / count for values in samples)
    gap = np.diff(time)
    slope = np.diff(log_norm) / gap
    noise = _noise(time, log_norm)
    slow = max(SLOW_SHARE * float(np.ptp(log_norm)) / float(time[-1] - time[0]), np.finfo(float).tiny)
    compressed = np.arcsinh(slope / np.maximum(2 * np.sqrt(2) * noise / gap, slow))
    # Cut it, with a penalty of each cut that is proportional to the noise.
    bounds = [0, len(slope)]
    if len(slope) >= 4:
        spread = max(float(np.median(np.abs(np.diff(compressed)))) / (MAD_OF_NORMAL * np.sqrt(2)), MINIMUM_NOISE)
        penalty = options.penalty * spread**2 * np.log(len(slope))
        search = ruptures.KernelCPD(kernel="linear", min_size=2).fit(compressed[:, None])
        bounds = [0, *search.predict(pen=penalty)]
    level = [float(np.arcsinh((log_norm[b] - log_norm[a]) / (time[b] - time[a]) / slow)) for a, b in pairwise(bounds)]
    return NormSegments(time, log_norm, bounds, level, noise, max(noise, _wander(log_norm)), samples)


def _noise(time: FloatArray, value: FloatArray) -> float:
    """Estimate the standard deviation of white noise from the distance of each sample to the line of its neighbours."""
    share = (time[1:-1] - time[:-2]) / (time[2:] - time[:-2])
    deviation = value[1:-1] - (1 - share) * value[:-2] - share * value[2:]
    return float(np.median(np.abs(deviation) / np.sqrt(1 + share**2 + (1 - share) ** 2))) / MAD_OF_NORMAL


def _wander(value: FloatArray) -> float:
    """Estimate the standard deviation of all noise, including noise that is correlated over a few bins.

    A parabola is fitted to each window of bins. The lower quartile of the residuals excludes windows with a transition.
    """
    windows = value[: len(value) // WINDOW * WINDOW].reshape(-1, WINDOW)
    if len(windows) < MINIMUM_WINDOWS:
        return 0.0
    basis, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, WINDOW), 3))
    residual = windows - windows.mean(axis=1, keepdims=True)
    residual -= residual @ basis @ basis.T
    return float(np.quantile(np.sqrt((residual**2).sum(axis=1) / (WINDOW - 3)), 0.25)) * QUARTILE_TO_MEAN


def _zigzag(level: list[float], swing: float) -> list[int]:
    """Return the turning points of a sequence, including its ends, and ignore swings that are smaller than `swing`.

    The first one is the value nearest to 0 before the first swing.
    """
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


def _kinds(found: NormSegments, swing: float) -> list[PhaseKind]:
    """Return the kind of each segment, from its level and the turning points around it.

    Minima below 0 count as 0. Without a swing, what is half as fast as the whole run or faster is growth.
    """
    turns, level = _zigzag(found.level, swing), found.level
    mean = np.arcsinh(0.5 / SLOW_SHARE)
    kinds: list[PhaseKind] = []
    for k, own in enumerate(level):
        near = [turn for turn in turns if turn <= k][-1:] + [turn for turn in turns if turn >= k][:1]
        around = [level[turn] for turn in near]
        if k in turns:
            place = turns.index(k)
            around = [level[turn] for turn in turns[max(place - 1, 0) : place + 2]]
        low, high = max(min(around), 0.0), max(around)
        threshold = (low + high) / 2 if high - low >= swing else mean
        if abs(found.change(k)) <= MINIMUM_GAIN * found.noise or abs(own) < GROWTH_LEVEL:
            kinds.append("plateau")
        elif own < 0:
            kinds.append("decay")
        else:
            kinds.append("growth" if own >= threshold else "plateau")
    return kinds


def _refine(found: NormSegments, bound: int) -> tuple[float, float, float]:
    """Return the sample at which two least-squares lines around a bound fit best.

    The first and the last sample of its 95% likelihood interval follow.
    """
    low, high = max(bound - REFINE_BINS, 0), min(bound + REFINE_BINS, len(found.time) - 1)
    first, last = found.time[low], found.time[high]
    steps, log_norm = found.samples
    if len(steps) == len(found.time):
        near = max(bound - 1, 0), min(bound + 1, len(found.time) - 1)
        return float(found.time[bound]), float(found.time[near[0]]), float(found.time[near[1]])
    a, b = np.searchsorted(steps, [first, last], side="left")
    b = min(b + 1, len(steps))
    x = (steps[a:b] - first) / (last - first)
    y = log_norm[a:b] - log_norm[a]
    error = (_line_errors(x, y) + _line_errors(x[::-1], y[::-1])[::-1])[2:-2]
    best = int(np.argmin(error))
    alike = np.flatnonzero(error <= error[best] * (1 + CHI_SQUARE / max(len(error), 1)))
    at = steps[a + 2 :]
    return float(at[best]), float(at[alike[0]]), float(at[alike[-1]])


def _line_errors(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the sum of squared residuals of the least-squares line through the first 1, 2, ... points."""
    n = np.arange(1, len(x) + 1)
    mx, my = np.cumsum(x) / n, np.cumsum(y) / n
    sxx, sxy = np.cumsum(x * x) / n - mx**2, np.cumsum(x * y) / n - mx * my
    syy = np.cumsum(y * y) / n - my**2
    slope = np.divide(sxy, sxx, out=np.zeros_like(sxy), where=sxx > 1e-12)
    return np.asarray(np.maximum(n * (syy - slope * sxy), 0.0))
