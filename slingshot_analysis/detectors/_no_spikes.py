"""What rises and is no spike: drifts, humps, the end of a dip, a second level, and restarts of a schedule."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from slingshot_analysis.canonical import FloatArray
from slingshot_analysis.detectors._rise import Rise, level_rows, median, smoothed

LASTING_REACH = 24
"""Rows in which a rise that stays is sudden: a divergence takes longer than a spike."""
SUDDEN_SHARE = 0.5
"""Minimum share of its height that a sudden rise gains in that time."""
JUST_BEFORE, LOOKBACK, EARLIER_SHARE = 3.5, 10, 0.4
"""A rise is gradual if it gains less than 3.5 times what the loss gained in as many rows just before it. It is so too
if it gains less than 0.4 of what the loss gained in the ten times as many rows before it."""
STEEP_ROWS, STEEP_SHARE, STEEP_LASTING = 3, 0.4, 0.2
"""A rise gains 0.4 of its height, or 0.2 if the loss stays up, within three rows or half of those that a sudden rise
may take. An even hump does not."""
DIP_ROWS, DIP_SHARE, DIP_FALL, DIP_BEFORE = 10, 0.3, 5, 8
"""A rise that stays is the end of a dip on two conditions. The loss fell within five rows, not longer ago than ten
times the rows of a level. And most of the eight rows before that fall were at the present level, give or take 0.3 of
the height."""
TWO_LEVELS, SAME_SHARE = 3, 0.25
"""Minimum number of rises between two levels, and how far each may begin and end from them, as a share of the
height."""
CLOSE = 0.1
"""Maximum of the median distance from the nearer level, as a share of the height, where few rises stand out."""
SAMPLED = 20_000
"""Number of rows from which the two levels are estimated then."""
DWELLING, DWELLING_ROWS, CROSSING = 0.1, 3, 0.25
"""Minimum share of rows at either level, minimum number of rows at the upper one for each rise, and maximum number of
rows between the levels as a share of those at the upper one. Spikes that decay have more rows between."""
RESTARTS, SLOW_ROWS, SLOW_SHARE, STRAIGHT = 2, 20, 0.5, 2.4
"""A schedule restarts if there are two or more rises of this kind: the loss takes 20 rows or more to half of the
height, and at most 2.4 times as long to the level, which is half of the time to the next rise or more. An exponential
decay takes 3.3 times as long."""
LONG_STAGE, LONG_STAGE_SHARE, SEVERAL_STAGES = 80, 0.025, 0.02
"""After a model has grown, the loss takes this number of rows and this share of the log, or more, to half of the
height. A single such rise counts if the loss ends lower than before. Of several ones only the longest has to last so
long; half of the rows and the lower share do for the others."""
FURTHER_STAGE, FURTHER_SHARE = 20, 0.01
"""Minimum number of rows, and share of the log, of any other stage where these two or more are found."""
SHORT_STAGE = 4
"""Minimum number of these rows in a short log. There all rises, two or more, are of this kind, and the loss ends lower
after each."""
LONG_FALL, SHORT_FALL = 0.1, 0.2
"""How far below the level before a rise the loss ends, as a share of the height, for a long stage and for a short
one."""
FIRST_ROWS, FIRST_SHARE = 5, 0.6
"""A rise comes at once if the median of its first five rows is above 0.6 of the height."""
MEAN_ROWS, MEAN_EPOCHS, MEAN_SEARCHED = 20, 4, 1 << 15
"""Minimum number of rows between the restarts of a running mean, minimum number of such stretches, and maximum number
of rows that are searched."""
MEAN_ALIKE, MEAN_NEARLY, MEAN_BLUR = 0.25, 0.8, 10
"""Minimum correlation of the changes, as logarithms, at the distance of the restarts, and the share of the highest one
that a shorter distance needs. The noise of the correlation blurs a distance by up to a tenth."""
MEAN_SLOPE, MEAN_FIT, MEAN_RISING = (0.8, 1.6), 0.93, 0.8
"""Exponent with which the changes decrease, minimum correlation of its fit, and maximum share of restarts at which the
series rises: periodic spikes always rise."""
MEAN_LARGEST, MEAN_OFTEN = 0.1, 0.5
"""Part after each restart that holds the largest change of a stretch, and the minimum share of such stretches."""
MEAN_FIRST, MEAN_HEIGHT = 0.25, 8.0
"""In this part of each stretch the mean is of few values. A rise counts there only if it is so many times as high as
the usual jump at a restart."""


def is_gradual(values: FloatArray, rise: Rise, begin: int, reach: int, noise: float) -> bool:
    """Return whether a series, or its logarithm, rose before as it rises here: in a drift or a hump."""
    if rise.back is None:
        reach = max(reach, LASTING_REACH)
    before = values[max(begin, rise.start - LOOKBACK * reach) : rise.start]
    level = median(before[-level_rows(len(values)) :]) if len(before) else float(values[rise.start])
    base = median(before[-3:]) if len(before) else level
    gain = float(values[rise.start : rise.start + reach].max()) - max(base, level)
    height = float(values[rise.peak]) - level
    drift = 0.0
    if len(before) > reach:
        just_before = median(before[max(len(before) - reach - 3, 0) : -reach])
        lowest = float(smoothed(before).min())
        near, far = (max(base - low - times * noise, 0.0) for low, times in ((just_before, 2), (lowest, 4)))
        drift = max(JUST_BEFORE * near, EARLIER_SHARE * far)
    return gain < max(SUDDEN_SHARE * height, drift)


def is_hump(scaled: FloatArray, rise: Rise, begin: int, reach: int) -> bool:
    """Return whether a series, or its logarithm, rises evenly from its lowest row nearby to the peak."""
    part = scaled[max(begin, rise.start - 2 * reach) : rise.peak + 1]
    part = part[int(part.argmin()) :]
    rows = max(STEEP_ROWS, reach // 2)
    gain = (part[rows:] - part[:-rows]).max(initial=0.0)
    share = STEEP_LASTING if rise.back is None else STEEP_SHARE
    return len(part) > rows and bool(gain < share * (part[-1] - part[0]))


def ends_a_dip(smooth: FloatArray, rise: Rise) -> bool:
    """Return whether the loss had suddenly fallen to this level shortly before, and now stays where it was."""
    after = smooth[rise.peak : rise.back][: 3 * DIP_BEFORE]
    if rise.back is not None and len(after) < 3 * DIP_BEFORE:
        return False
    slack = DIP_SHARE * rise.height
    now = median(after[:DIP_BEFORE])
    before = smooth[max(rise.start - DIP_ROWS * level_rows(len(smooth)), 0) : max(rise.start - 2, 0)]
    high = np.flatnonzero(before >= now - slack)
    later = median(after[-DIP_BEFORE:])
    if not len(high) or later < max(now - slack, rise.level + 2 * slack):
        return False
    fall = int(high[-1]) + 1
    same = np.abs(before[max(fall - DIP_BEFORE, 0) : fall] - now) <= slack
    return bool(2 * same.sum() > DIP_BEFORE and before[fall : fall + DIP_FALL].min(initial=now) <= rise.level + slack)


def two_levels(values: FloatArray, rises: list[Rise]) -> tuple[float, float] | None:
    """Return the two levels between which a series moves by these rises, if it rests at both."""
    if len(rises) < TWO_LEVELS:
        return _two_values(values) if len(values) else None
    levels, tops = (np.array([rise.level + part * rise.height for rise in rises]) for part in (0, 1))
    low, high = float(np.median(levels)), float(np.median(tops))
    slack = SAME_SHARE * (high - low)
    if not (np.abs(levels - low) <= slack).all() or not (np.abs(tops - high) <= slack).all():
        return None
    backs = [rise.back for rise in rises if rise.back is not None]
    return _if_rests(values[rises[0].start : backs[-1] if backs else None], low, high, len(backs))


def _two_values(values: FloatArray) -> tuple[float, float] | None:
    """Return the two values between which a series moves so often that few of its rises stand out."""
    sample = values[:: max(1, len(values) // SAMPLED)]
    middle = float(np.quantile(sample, [DWELLING / 2, 1 - DWELLING / 2]).mean())
    upper = sample > middle
    if not upper.any() or upper.all():
        return None
    low, high = median(sample[~upper]), median(sample[upper])
    near = median(np.minimum(np.abs(sample - low), np.abs(sample - high)))
    if near > CLOSE * (high - low):
        return None
    place = (values - low) / (high - low)
    far = place[np.abs(place - 0.5) > 1 / 6] > 0.5
    ups = int((far[1:] & ~far[:-1]).sum())
    return _if_rests(values, low, high, ups) if ups >= TWO_LEVELS else None


def _if_rests(values: FloatArray, low: float, high: float, rises: int) -> tuple[float, float] | None:
    """Return two levels if a series that rises so often from the lower one rests at both."""
    place = (values - low) / (high - low)
    if (place > 2 / 3).sum() < DWELLING_ROWS * rises:
        return None
    above, below = float((place > 2 / 3).mean()), float((place < 1 / 3).mean())
    return (low, high) if min(above, below) >= DWELLING and 1 - above - below <= CROSSING * above else None


def without_restarts(values: FloatArray, rises: list[Rise]) -> list[Rise]:
    """Leave out the rises of a schedule that restarts or of a model that grows, after which the loss falls slowly."""
    starts = np.array([*(rise.start for rise in rises), len(values)])
    ends = starts[np.searchsorted(starts, starts[:-1], side="right")]  # two rises may begin at the same row
    stages = [_stage(values, rise, int(following)) for rise, following in zip(rises, ends, strict=True)]
    restarts = [stage.restarts for stage in stages]
    long, several = max(LONG_STAGE, LONG_STAGE_SHARE * len(values)), SEVERAL_STAGES * len(values)
    grown = [stage.at_once and stage.slow >= max(LONG_STAGE / 2, several) for stage in stages]
    many = sum(grown) >= RESTARTS and max(stage.slow for stage in stages) >= long
    short = [stage.at_once and stage.fall > SHORT_FALL and stage.slow >= max(SHORT_STAGE, several) for stage in stages]
    left_out = [
        (restarts[i] and sum(restarts) >= RESTARTS)
        or (many and stage.at_once and stage.slow >= max(FURTHER_STAGE, FURTHER_SHARE * len(values)))
        or (grown[i] and stage.fall > LONG_FALL and stage.slow >= long)
        or (all(short) and len(short) >= RESTARTS)
        for i, stage in enumerate(stages)
    ]
    return [rise for rise, out in zip(rises, left_out, strict=True) if not out]


class _Stage(NamedTuple):
    """What tells a rise that begins a stage of training from a spike.

    Parameters
    ----------
    slow : int
        Rows at more than half of the height.
    at_once : bool
        Whether the first rows have most of the height, and the loss comes back.
    fall : float
        How far below the level before the loss ends, as a share of the height.
    restarts : bool
        Whether it falls evenly for most of the time to the next rise.
    """

    slow: int
    at_once: bool
    fall: float
    restarts: bool


def _stage(values: FloatArray, rise: Rise, following: int) -> _Stage:
    stop = min(following, len(values) if rise.back is None else rise.back)
    height = values[rise.start : following] - rise.level
    slow = int((height[: stop - rise.start] > rise.height / 2).sum())
    first = height[:FIRST_ROWS]
    at_once = bool(first[0] > rise.height / 2 and median(first) > FIRST_SHARE * rise.height and rise.back is not None)
    length = stop - rise.start
    fall = -median(height[-FIRST_ROWS:]) / rise.height
    evenly = slow >= SLOW_ROWS and SLOW_SHARE * len(height) <= length <= STRAIGHT * slow and fall > -0.5
    return _Stage(slow, at_once, fall, evenly)


class RunningMean(NamedTuple):
    """A series that is the mean of all values since the last restart, as progress bars print it.

    Parameters
    ----------
    first : int
        First row at which it begins afresh.
    period : int
        Rows from one restart to the next.
    jump : float
        Usual change at a restart.
    """

    first: int
    period: int
    jump: float


def running_mean(values: FloatArray) -> RunningMean | None:
    """Find out whether a series is a running mean that begins afresh at a regular distance.

    Its changes are large after each restart and then decrease as one over the number of values, and it falls at
    restarts as well as it rises.
    """
    change = np.abs(np.diff(values[:MEAN_SEARCHED]))
    if len(change) < MEAN_EPOCHS * MEAN_ROWS or not change.any():
        return None
    size = np.log(np.maximum(change, change[change > 0].min()))
    period = _period(size)
    if period is None:
        return None
    profile = np.median(size[: len(size) // period * period].reshape(-1, period), axis=0)
    if not np.ptp(profile):
        return None
    rows = np.arange(1, period + 1)
    falling = -np.log(rows)
    offset = int(np.fft.irfft(np.fft.rfft(profile) * np.fft.rfft(falling).conj(), period).argmax())
    octave = np.log2(rows).astype(int)
    falling, profile = (
        np.bincount(octave, each) / np.bincount(octave) for each in (falling, np.roll(profile, -offset))
    )
    slope, fit = np.polyfit(falling, profile, 1)[0], np.corrcoef(falling, profile)[0, 1]
    starts = np.arange(offset + 1, len(values), period)
    jumps = values[starts] - values[starts - 1]
    stretches = (len(change) - offset) // period
    largest = change[offset : offset + stretches * period].reshape(stretches, period).argmax(axis=1)
    at_first = (largest < MEAN_LARGEST * period).mean() > MEAN_OFTEN
    alike = MEAN_SLOPE[0] <= slope <= MEAN_SLOPE[1] and fit >= MEAN_FIT
    if not (alike and at_first) or (jumps > 0).mean() > MEAN_RISING:
        return None
    return RunningMean(int(starts[0]), period, median(np.abs(jumps)))


def _period(series: FloatArray) -> int | None:
    """Return the shortest distance at which a series resembles itself about as well as at any."""
    centred = series - series.mean()
    n = len(centred)
    power = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    alike = np.fft.irfft(power)[: n // MEAN_EPOCHS + 2]
    if not alike[0] or len(alike) <= MEAN_ROWS:
        return None
    alike = alike / alike[0] * n / (n - np.arange(len(alike)))
    crests = 1 + np.flatnonzero((alike[1:-1] >= alike[:-2]) & (alike[1:-1] >= alike[2:]))
    crests = crests[crests >= MEAN_ROWS]
    most = float(alike[crests].max(initial=0.0))
    if most < MEAN_ALIKE:
        return None
    first = int(crests[alike[crests] >= MEAN_NEARLY * most][0])
    nearby = first + first // MEAN_BLUR
    return first + int(alike[first : nearby + 1].argmax())


def without_first_rows(rises: list[Rise], mean: RunningMean) -> list[Rise]:
    """Leave out the rises in the first rows after each restart of a running mean, unless they are very high."""

    def is_first(rise: Rise) -> bool:
        return (rise.start - mean.first) % mean.period < MEAN_FIRST * mean.period

    return [rise for rise in rises if not is_first(rise) or rise.height > MEAN_HEIGHT * mean.jump]
