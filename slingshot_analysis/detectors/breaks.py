"""Breaks of a weight norm: the sharp ends of its growth, read from the levels that `_norm_levels` describes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from slingshot_analysis.canonical import as_step, canonical
from slingshot_analysis.detectors._norm_levels import (
    DEFAULT,
    GROWTH_LEVEL,
    MINIMUM_GAIN,
    NormOptions,
    NormSegments,
    exact_bound,
    segments_of,
    turning_points,
)

PLATEAU_TO_GROWTH = 2.0
"""Minimum logarithm of the ratio of slopes of growth and of a drifting plateau before it: a factor of 7.4."""
SHARP_SHARE, SLOW_FALL = 0.4, 0.3
"""The end of growth is gradual, as in a hump, if no single step of the level makes this share of its fall and the fall
takes longer than this share of the growth."""
ONSET_SHARE = 0.1
"""Growth begins where the level has covered this share of the way from the plateau to its maximum."""


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


def norm_breaks(step: Any, norm: Any, *, options: NormOptions = DEFAULT) -> list[NormBreak]:
    """Find the sharp ends of growth phases: the only trace of a slingshot if no loss is logged.

    A break ends growth that is at least 2.2 times as fast as the slowest parts before and after it. Growth that begins
    at the first step of a run belongs to fitting and is no cycle. A slope that falls gradually is a hump and no break.

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
    # Each maximum of the level between two minima may be growth that ends in a break.
    extremes = turning_points(found.level, options.min_swing)
    breaks: list[NormBreak] = []
    maxima = [i for i in range(1, len(extremes) - 1) if found.level[extremes[i]] > found.level[extremes[i - 1]]]
    for i in maxima:
        low, high, after = extremes[i - 1], extremes[i], extremes[i + 1]
        level, beyond = found.level[high], max(found.level[after], 0.0)
        if level < GROWTH_LEVEL:
            continue

        # Growth starts with the first segment that is clearly faster than the plateau before it.
        plateau_before = _plateau_before(found, extremes[i - 2] + 1 if i > 1 else low, low, high)
        before = max(found.level[plateau_before], 0.0)
        onset = next(
            k for k in range(plateau_before + 1, high + 1) if found.level[k] >= before + ONSET_SHARE * (level - before)
        )

        # The transition is the largest single fall of the level. It is placed to the sample, like the start of growth.
        drops = [max(found.level[k - 1], 0.0) - max(found.level[k], 0.0) for k in range(high + 1, after + 1)]
        last = high + 1 + int(np.argmax(drops))
        start, (stop, *interval) = exact_bound(found, found.bounds[onset])[0], exact_bound(found, found.bounds[last])
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

        # The plateau of the break before ends where this growth starts.
        if breaks:
            breaks[-1] = replace(breaks[-1], plateau_end=as_step(max(start, breaks[-1].transition)))
        steps = as_step(start), as_step(stop), as_step(found.samples.step[-1])
        breaks.append(NormBreak(*steps, float(level - beyond), gain, (as_step(interval[0]), as_step(interval[1]))))
    return breaks


def _plateau_before(found: NormSegments, first: int, low: int, high: int) -> int:
    """Return the longest slow segment before a maximum: its plateau, and not the short dip after a spike."""
    middle = (max(found.level[low], 0.0) + found.level[high]) / 2
    slow = [k for k in range(first, high) if found.level[k] <= max(middle, found.level[high] - PLATEAU_TO_GROWTH)]
    return max(slow, key=found.duration, default=low)
