"""Levels of a weight norm: segments of the run in which its logarithm grows at a constant rate.

The level of a segment is its compressed slope: arsinh of the slope of the logarithm, in units of a slope that is slow
for this run. Slopes far below that unit are all near 0. Above it, the difference of two levels is the logarithm of the
ratio of the slopes, so that one threshold serves fast and slow runs. `breaks` and `phases` are read from the levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from slingshot_analysis.canonical import MAD_OF_NORMAL, FloatArray, Samples, bin_edges, only
from slingshot_analysis.detectors._cuts import cuts

SLOW_SHARE = 0.02
"""Slopes below this share of the run's mean slope are compressed towards zero, so that they all count as slow."""
MINIMUM_NOISE = 0.05
"""Minimum noise of the compressed slope. Without it the segmentation would cut smooth curves to pieces."""
GROWTH_LEVEL = 0.9
"""Minimum compressed slope of a growing or decaying norm, about 2% of the run's mean slope."""
MINIMUM_GAIN = 5.0
"""Minimum change of the logarithm of the norm in a phase of growth or decay, in standard deviations of the noise."""
WINDOW, MINIMUM_WINDOWS = 16, 4
"""Bins of a window in which noise is told from smooth change, and the minimum number of such windows."""
QUARTILE_TO_MEAN = 1.2
"""Ratio of the mean and the lower quartile of the residuals of correlated noise in such windows."""
REFINE_BINS = 3
"""Number of bins on either side of a bound among which its exact sample is searched."""
CHI_SQUARE = 3.84
"""95% quantile of the chi-square distribution with one degree of freedom."""


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


def segments_of(norm: Samples, options: NormOptions = DEFAULT) -> NormSegments | None:
    """Cut a norm into segments of constant compressed slope, with the exact search of ruptures' KernelCPD.

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
    steps, values = only(positive, *norm)
    samples = Samples(steps, np.log(values))
    if len(samples.step) < 3:
        return None

    # Average the logarithm in bins, which bounds the cost and lowers the noise.
    edges = bin_edges(len(samples.step), options.bins)
    count = np.diff(np.append(edges, len(samples.step)))
    time, log_norm = (np.add.reduceat(values, edges) / count for values in samples)
    gap = np.diff(time)
    slope = np.diff(log_norm) / gap
    noise = _noise(time, log_norm)

    # Compress the slope of each bin. Slopes count as slow if they are slow for this run, or no larger than noise makes.
    slow = max(SLOW_SHARE * float(np.ptp(log_norm)) / float(time[-1] - time[0]), np.finfo(float).tiny)
    compressed = np.arcsinh(slope / np.maximum(2 * np.sqrt(2) * noise / gap, slow))

    # Cut where the compressed slope changes. The penalty of each cut grows with the variance of its noise.
    bounds = [0, len(slope)]
    if len(slope) >= 4:
        spread = max(float(np.median(np.abs(np.diff(compressed)))) / (MAD_OF_NORMAL * np.sqrt(2)), MINIMUM_NOISE)
        penalty = options.penalty * spread**2 * np.log(len(slope))
        bounds = [0, *cuts(compressed, penalty)]

    # The slope of a whole segment is measured between its ends, and needs no allowance for the noise of single bins.
    level = [float(np.arcsinh((log_norm[b] - log_norm[a]) / (time[b] - time[a]) / slow)) for a, b in pairwise(bounds)]
    return NormSegments(time, log_norm, bounds, level, noise, max(noise, _wander(log_norm)), samples)


def turning_points(level: list[float], swing: float) -> list[int]:
    """Return the places of the turning points of a sequence, including its ends. Swings below `swing` are ignored.

    The first turning point is the value nearest to 0 before the first swing.
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


def exact_bound(found: NormSegments, bound: int) -> tuple[float, float, float]:
    """Return the step at which two least-squares lines around a bound of segments fit the samples best.

    Parameters
    ----------
    found : NormSegments
        The segments.
    bound : int
        Bin at which a segment begins.

    Returns
    -------
    step, first, last : float, updates
        The best step, and the ends of its 95% likelihood interval.
    """
    low, high = max(bound - REFINE_BINS, 0), min(bound + REFINE_BINS, len(found.time) - 1)
    first, last = found.time[low], found.time[high]
    steps, log_norm = found.samples
    # Where each bin is one sample, the bound is exact already.
    if len(steps) == len(found.time):
        near = max(bound - 1, 0), min(bound + 1, len(found.time) - 1)
        return float(found.time[bound]), float(found.time[near[0]]), float(found.time[near[1]])

    # Sum the squared residuals of a line up to each sample and of a line from it on. Each takes three samples or more.
    a, b = np.searchsorted(steps, [first, last], side="left")
    b = min(b + 1, len(steps))
    x = (steps[a:b] - first) / (last - first)
    y = log_norm[a:b] - log_norm[a]
    error = (_line_errors(x, y) + _line_errors(x[::-1], y[::-1])[::-1])[2:-2]

    # The interval has all samples that a likelihood ratio test does not tell from the best one.
    best = int(np.argmin(error))
    alike = np.flatnonzero(error <= error[best] * (1 + CHI_SQUARE / len(error)))
    at = steps[a + 2 :]
    return float(at[best]), float(at[alike[0]]), float(at[alike[-1]])


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


def _line_errors(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the sum of squared residuals of the least-squares line through the first 1, 2, ... points."""
    n = np.arange(1, len(x) + 1)
    mx, my = np.cumsum(x) / n, np.cumsum(y) / n
    sxx, sxy = np.cumsum(x * x) / n - mx**2, np.cumsum(x * y) / n - mx * my
    syy = np.cumsum(y * y) / n - my**2
    slope = np.divide(sxy, sxx, out=np.zeros_like(sxy), where=sxx > 1e-12)
    return np.asarray(np.maximum(n * (syy - slope * sxy), 0.0))
