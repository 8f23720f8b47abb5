"""What rises and is no spike: drifts, humps, the end of a dip, a second level, and restarts of a schedule."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.canonical import FloatArray
from slingshot_analysis.detectors._rise import Rise, level_rows, median, smoothed

LASTING_REACH = 24
"""Rows in which a rise that stays is sudden: a divergence takes longer than a spike."""
SUDDEN_SHARE = 0.5
"""Minimum share of its height that a sudden rise gains in that time."""
JUST_BEFORE, LOOKBACK, EARLIER_SHARE = 3.5, 10, 0.4
"""A rise is gradual if it gains less than 3.5 times what the loss rose in as many rows just before, or less than 0.4 of
what it rose in ten times as many."""
STEEP_ROWS, STEEP_SHARE = 3, 0.4
"""A relative rise gains in some three rows at least 0.4 of what its logarithm rises: a hump of the logarithm does
not."""
DIP_ROWS, DIP_SHARE, DIP_FALL, DIP_BEFORE = 10, 0.3, 5, 8
"""A rise that stays is the end of a dip if the loss fell as suddenly, within five rows, at most ten times the rows of a
level before, and if most of the eight rows before that were within 0.3 of the height of where the loss is now."""
TWO_LEVELS, SAME_SHARE = 3, 0.25
"""Minimum number of rises between two levels, and how far each may begin and end from them, as a share of the
height."""
DWELLING, DWELLING_ROWS, CROSSING = 0.1, 3, 0.25
"""Minimum share of rows at either level, minimum number at the upper one for each rise, and maximum number between the
levels as a share of those at the upper one: there lies the decay of spikes."""
RESTARTS, SLOW_ROWS, SLOW_SHARE, STRAIGHT = 2, 20, 0.5, 2.4
"""Rises of a schedule that restarts: two or more, of which the loss takes at least 20 rows to half of the height, at
least half of the time to the next one, and at most 2.4 times as long to the level as to half; an exponential decay
takes 3.3."""


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
    """Return whether the logarithm of a loss rises evenly from its lowest row nearby to the peak."""
    part = scaled[max(begin, rise.start - 2 * reach) : rise.peak + 1]
    part = part[int(part.argmin()) :]
    gain = (part[STEEP_ROWS:] - part[:-STEEP_ROWS]).max(initial=0.0)
    return len(part) > STEEP_ROWS and bool(gain < STEEP_SHARE * (part[-1] - part[0]))


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
        return None
    levels, tops = (np.array([rise.level + part * rise.height for rise in rises]) for part in (0, 1))
    low, high = float(np.median(levels)), float(np.median(tops))
    slack = SAME_SHARE * (high - low)
    if not (np.abs(levels - low) <= slack).all() or not (np.abs(tops - high) <= slack).all():
        return None
    backs = [rise.back for rise in rises if rise.back is not None]
    place = (values[rises[0].start : backs[-1] if backs else None] - low) / (high - low)
    if (place > 2 / 3).sum() < DWELLING_ROWS * len(backs):
        return None
    above, below = float((place > 2 / 3).mean()), float((place < 1 / 3).mean())
    return (low, high) if min(above, below) >= DWELLING and 1 - above - below <= CROSSING * above else None


def without_restarts(values: FloatArray, rises: list[Rise]) -> list[Rise]:
    """Leave out the rises of a schedule that restarts, after which the loss falls as slowly as before."""
    if len(rises) < RESTARTS:
        return rises
    restarts = []
    for rise, following in zip(rises, [*(rise.start for rise in rises[1:]), len(values)], strict=True):
        stop = min(following, len(values) if rise.back is None else rise.back)
        half = np.flatnonzero(values[rise.peak : stop] < rise.level + rise.height / 2)
        slow = int(half[0]) if len(half) else 0
        lasts = stop - rise.peak >= SLOW_SHARE * (following - rise.peak)
        restarts.append(slow >= SLOW_ROWS and lasts and stop - rise.peak <= STRAIGHT * slow)
    return rises if sum(restarts) < RESTARTS else [r for r, is_one in zip(rises, restarts, strict=True) if not is_one]
