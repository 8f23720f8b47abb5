"""The search for sudden rises of a series above its level."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from slingshot_analysis.canonical import MAD_OF_NORMAL, FloatArray
from slingshot_analysis.detectors._extremes import Extremes, extremes, level_bounds, peak_bounds
from slingshot_analysis.detectors._no_spikes import ends_a_dip, is_gradual, is_hump
from slingshot_analysis.detectors._rise import Rise, level_rows, median, smoothed
from slingshot_analysis.detectors._scale_drifts import scale_drifts
from slingshot_analysis.detectors._standing import Standing, standing
from slingshot_analysis.excursions import FLOAT32_SPACING, MAXIMUM_ROUNDING_UNIT

MANY_DECADES = 1e3
"""From this ratio of a peak and its level on, a rise is sudden if the values rise suddenly, whether or not their
logarithms do."""
MINIMUM_ROWS = 6
"""Minimum number of finite rows of a series that is searched."""
LATEST_ROWS, LATEST_NOISE = 5, 2.0
"""The median of the last five rows is the level where it is two standard deviations lower than that of more rows, as
after a step down."""
LEAST_HEIGHT, LEAST_SHARE = 0.025, 0.01
"""Minimum height of a spike of the loss, in nats and as a share of its level, however silent the loss. Below a level of
0.025 nat a spike has to double it."""
SINGLE_SHARE = 0.1
"""Minimum height of a spike of one row, as a share of the level: a single batch may be this much harder."""
SIDE_ROWS, SIDE_DEVIATIONS = 16, 5.0
"""A rise exceeds five standard deviations of the noise in the 16 rows on either side of its start. Where noise merely
sets in or ends there is no spike."""
LEAST_HEIGHT_DEVIATIONS = 4.0
"""Minimum height in standard deviations. What stands out from the last three rows alone may be lower than that."""
FLOORS = 100
"""Minimum height beside a level of 0, as a multiple of the resolution of the loss, which flickers there."""
GRADIENT_RATIO = 2.0
"""Minimum ratio of a spike of the gradient norm and its level."""
LEAST_NOISE = 1e-3
"""Smallest noise that is assumed, as a share of the level: beside a silent loss any wiggle would stand out."""
SKEWED, SLIGHTLY_SKEWED, SYMMETRIC = 1.6, 1.3, 1.2
"""Skewness of the noise from which on it is taken as relative too; a slight one counts if that of the logarithm is
below this, to either side."""
WIDE_RANGE = 10.0
"""Ratio of the 0.9 and the 0.1 quantile of a series from which on its noise is taken as relative."""
ONSET_NOISE, ONSET_SHARE = 1.5, 0.1
"""Rows belong to a rise if they lie above the level by 1.5 standard deviations and by a tenth of its height."""
BACK_NOISE, BACK_SHARE = 1.0, 0.1
"""A spike is over once the median of three rows is within one standard deviation, or a tenth of the height, of the
level before."""
BACK_HEIGHT, BACK_LEVEL = 0.1, 0.5
"""Maximum of that tenth, in nats or as a share of the level, whichever is more. After a spike of 1,000 nat, a loss of
100 is not back."""
NEARLY_BACK = 0.25
"""Share of the height below which a spike is over where the next one follows."""
RISING_NOISE, RISING_SHARE = 1.0, 0.5
"""A level that rose by more than this number of standard deviations before a spike rises on, by at most this share of
the spike's height."""
REACH_ROWS, REACH_PART = 6, 100
"""A sudden rise takes at most six rows, or one in a hundred of the log."""
FALL_SHARE, FALL_ROWS = 0.5, 5
"""Where a hump or another spike exceeds a spike later on, that one is over if it lost half of its height, for five
rows."""
CREST_SHARE = 0.1
"""A rise goes on as long as it gains a tenth of its height within the time of a sudden rise."""
SECOND_SHARE = 0.5
"""Minimum rise of a further spike before the last one is over, as a share of that one's height."""


def find_rises(values: FloatArray, *, gradient: bool) -> Iterator[Rise]:
    """Follow a series from rise to rise.

    Parameters
    ----------
    values : (n,) float array
        Finite.
    gradient : bool
        Whether this is a gradient norm, whose noise and heights are relative to its level.

    Yields
    ------
    Rise
        In order.
    """
    n = len(values)
    if n < MINIMUM_ROWS:
        return
    floor = _floor(values)
    relative = gradient or _is_relative(values, floor) or scale_drifts(values)
    scaled = np.log(np.maximum(values, floor)) if relative else values
    least_noise = LEAST_NOISE if relative else LEAST_NOISE * abs(float(np.median(values)))
    stands = standing(scaled, max(least_noise, FLOAT32_SPACING))
    if not relative and values.min() > 0 and stands.skewness > SLIGHTLY_SKEWED:
        as_logarithm = standing(np.log(values), LEAST_NOISE)
        if stands.skewness > SKEWED or max(as_logarithm.skewness, 1 / as_logarithm.skewness) < SYMMETRIC:
            relative, scaled, stands = True, np.log(values), as_logarithm
    smooth = smoothed(values)
    reach = max(REACH_ROWS, n // REACH_PART)
    quick = extremes(values, smooth, reach)
    before = reach + level_rows(n)
    rows = np.flatnonzero(stands.score > stands.limit)
    hopeless = _hopeless(quick, stands, before, reach, relative, floor, gradient=gradient)[rows // quick.size]
    last: Rise | None = None
    for row, too_low in zip(rows.tolist(), hopeless.tolist(), strict=True):
        if last is not None and row <= last.peak:
            continue
        inside = last is not None and (last.back is None or row < last.back)
        begin = 0 if last is None else last.peak + 1 if inside else last.back or 0
        if too_low and row - before >= begin:
            continue
        if inside and last is not None:
            top = float(values[row : row + reach].max())
            if top - last.level < SECOND_SHARE * last.height:
                continue
        noise = stands.deviation_at(row)
        rise = _rise_at(values, smooth, quick, row, begin, reach, noise, relative, floor)
        if rise is None or rise.height < _least_height(rise, floor, gradient=gradient):
            continue
        height = float(scaled[rise.peak]) - (np.log(max(rise.level, floor)) if relative else rise.level)
        if rise.height < LEAST_HEIGHT_DEVIATIONS * rise.deviation or height < SIDE_DEVIATIONS * _noise_around(
            scaled, rise.start
        ):
            continue
        if inside and last is not None and rise.height < SECOND_SHARE * last.height:
            continue
        gradual = is_gradual(scaled, rise, begin, reach, noise) or is_hump(scaled, rise, begin, reach)
        if gradual and not (relative and _is_sudden_in_itself(values, rise, begin, reach)):
            continue
        if ends_a_dip(smooth, rise):
            continue
        if last is not None:
            yield _before_the_next(smooth, last, rise.start)
        last = rise
    if last is not None:
        yield last


def _before_the_next(smooth: FloatArray, rise: Rise, start: int) -> Rise:
    """Return a rise that is followed by another one: it is over if a quarter of its height was left in between."""
    if rise.back is not None and rise.back <= start:
        return rise
    low = np.flatnonzero(smooth[rise.peak + 1 : start - 2] <= rise.level + NEARLY_BACK * rise.height)
    return replace(rise, back=rise.peak + 1 + int(low[0])) if len(low) else rise


def _floor(values: FloatArray) -> float:
    """Return the resolution of a loss: that of float32, or the unit to which the log rounds, if exact zeros show it."""
    least = float(np.min(values, where=values > 0, initial=np.inf)) if (values == 0).any() else 0.0
    return max(FLOAT32_SPACING, least if least <= MAXIMUM_ROUNDING_UNIT else 0.0)


def _is_relative(values: FloatArray, floor: float) -> bool:
    """Return whether a loss falls so far that its noise is proportional to its level."""
    low, high = np.quantile(values[:: max(1, len(values) // 20_000)], [0.1, 0.9])
    if values.min() < 0:
        return False
    return bool(high > WIDE_RANGE * max(low, floor))


def _hopeless(
    quick: Extremes, stands: Standing, before: int, reach: int, relative: bool, floor: float, *, gradient: bool
) -> npt.NDArray[np.bool_]:
    """Return for each block whether the rises that begin in it are certainly lower than the minimum.

    This holds for rises whose level is read from the rows before, none of which belongs to another rise. The bounds are
    those of `_rise_at` and `_least_height`: the height is smaller and the minimum larger than here.
    """
    level = level_bounds(quick, before)
    first = np.arange(len(level)) * quick.size
    ends = (np.minimum(row // stands.size, len(stands.deviation) - 1) for row in (first, first + quick.size - 1))
    noise = np.minimum(*(stands.deviation[block] for block in ends))
    deviation = np.maximum(noise * np.maximum(level, 0.0), FLOAT32_SPACING) if relative else noise
    height = peak_bounds(quick, level + BACK_NOISE * deviation, reach) - level
    if gradient:
        least = (GRADIENT_RATIO - 1) * np.maximum(level, floor)
    else:
        above = np.maximum(level, 0.0)
        least = np.minimum(np.maximum(LEAST_HEIGHT, LEAST_SHARE * above), above + FLOORS * floor)
    return np.asarray(height < least)


def _rise_at(
    values: FloatArray,
    smooth: FloatArray,
    quick: Extremes,
    row: int,
    begin: int,
    reach: int,
    noise: float,
    relative: bool,
    floor: float,
) -> Rise | None:
    """Return the rise that a row belongs to, measured from the level before it."""
    width = level_rows(len(values))
    level = median(values[max(begin, row - width) : row]) if row > begin else float(values[row - 1])
    deviation = max(noise * abs(level), FLOAT32_SPACING) if relative else noise
    before = values[max(row - reach, begin) : row]
    base = max(level, float(smooth[max(row - reach, begin) : max(row - 1, begin + 1)].min()))
    limit = base + max(ONSET_NOISE * deviation, ONSET_SHARE * (values[row : row + reach].max() - base))
    low = (before <= limit).nonzero()[0]
    start = row - len(before) + (int(low[-1]) + 1 if len(low) else 0)
    if start > begin:
        level = median(values[max(begin, start - width) : start])
        latest = median(values[max(begin, start - LATEST_ROWS) : start])
        level = latest if latest < level - LATEST_NOISE * deviation else level
    if not values[row] > level:
        return None
    deviation = max(noise * abs(level), FLOAT32_SPACING) if relative else noise
    slope = _slope(values, start, begin, width, deviation)
    back = _back(values, smooth, quick, row, level, deviation, slope)
    peak = row + int(np.argmax(values[row:back])) if back is not None else _crest(values, row, level, reach)
    if back is None or peak > row + reach:
        crest, fallen = _first_crest(values, smooth, quick, row, level, reach)
        peak, back = (peak, back) if fallen is None else (crest, fallen)
    foot = int(np.argmax(values[start : peak + 1] > level + ONSET_SHARE * (values[peak] - level)))
    if foot:
        start += foot
        level = max(level, median(values[max(begin, start - LATEST_ROWS) : start]))
    return Rise(start, peak, back, level, floor, deviation, float(values[peak]) - level)


def _slope(values: FloatArray, start: int, begin: int, width: int, deviation: float) -> float:
    """Return by how much the level rises per row before a spike, as far as that exceeds the noise."""
    if start - begin < 3 * width:
        return 0.0
    now, earlier = values[start - width : start], values[start - 3 * width : start - 2 * width]
    return max(median(now) - median(earlier) - RISING_NOISE * deviation, 0.0) / (2 * width)


def _back(
    values: FloatArray, smooth: FloatArray, quick: Extremes, row: int, level: float, deviation: float, slope: float
) -> int | None:
    """Return the first row after a rise at which the level, which may be rising on, is reached again."""
    width, highest, first = 64, -np.inf, row
    most = max(BACK_HEIGHT, BACK_LEVEL * abs(level))

    def limits(highs: FloatArray, rows: npt.NDArray[np.intp]) -> FloatArray:
        height = highs - level
        risen = np.minimum(slope * (rows - first), RISING_SHARE * height) if slope else 0.0
        return np.asarray(level + risen + np.maximum(np.minimum(BACK_SHARE * height, most), BACK_NOISE * deviation))

    while True:
        # Compare a part, up to the end of a block, row by row.
        stop = min((row + width) // quick.size * quick.size + quick.size, len(values))
        highs = np.maximum.accumulate(np.maximum(values[row:stop], highest))
        back = (smooth[row:stop] <= limits(highs, np.arange(row, stop))).nonzero()[0]
        if len(back):
            return row + max(int(back[0]), 1) if highest == -np.inf else row + int(back[0])

        # Pass over the blocks that stay above the highest limit in them.
        block = -(-stop // quick.size)
        highs = np.maximum.accumulate(np.append(highs[-1], quick.top[block:]))
        ends = np.arange(block + 1, len(quick.top) + 1) * quick.size
        low = (quick.low[block:] <= limits(highs[1:], ends)).nonzero()[0]
        if not len(low):
            return None
        highest, row, width = float(highs[low[0]]), (block + int(low[0])) * quick.size, 2 * width


def _crest(values: FloatArray, row: int, level: float, reach: int) -> int:
    """Return the row up to which a rise that stays is steep: the next ones add less than a tenth of its height."""
    while True:
        best = row + int(np.argmax(values[row : row + reach + 1]))
        if values[best] - level <= (1 + CREST_SHARE) * (values[row] - level):
            return best
        row = best


def _first_crest(
    values: FloatArray, smooth: FloatArray, quick: Extremes, row: int, level: float, reach: int
) -> tuple[int, int | None]:
    """Return the first crest of a rise, and the row to which it falls most before a later rise exceeds it, if far."""
    crest = row + int(np.argmax(values[row : row + reach + 1]))
    if not (quick.top[(crest + 1) // quick.size :] > values[crest]).any():
        return crest, None
    higher = _first_above(smooth, crest + 1, float(values[crest]))
    after = smooth[crest + 1 : higher]
    if higher is None or len(after) < FALL_ROWS:
        return crest, None
    low = int(after.argmin())
    rest = median(after[low : low + FALL_ROWS]) - level
    return crest, crest + 1 + low if rest <= (1 - FALL_SHARE) * (values[crest] - level) else None


def _first_above(series: FloatArray, start: int, limit: float) -> int | None:
    """Return the first row from a start on at which a series exceeds a limit."""
    width = 64
    while start < len(series):
        above = (series[start : start + width] > limit).nonzero()[0]
        if len(above):
            return start + int(above[0])
        start, width = start + width, 2 * width
    return None


def _least_height(rise: Rise, floor: float, *, gradient: bool) -> float:
    level = rise.level
    if gradient:
        return (GRADIENT_RATIO - 1) * max(level, floor)
    share = SINGLE_SHARE if rise.back == rise.start + 1 else LEAST_SHARE
    least = max(LEAST_HEIGHT, share * abs(level))
    return min(least, level + FLOORS * floor) if level >= 0 else least


def _is_sudden_in_itself(values: FloatArray, rise: Rise, begin: int, reach: int) -> bool:
    """Return whether a rise of many decades, which its logarithm makes in several steps, is sudden in its own unit."""
    decades = (rise.level + rise.height) / max(rise.level, rise.floor) >= MANY_DECADES
    return decades and not is_gradual(values, rise, begin, reach, rise.deviation)


def _noise_around(values: FloatArray, start: int) -> float:
    """Return the standard deviation of the noise before or from a row on, the larger, read from how the rows bend."""
    sides = values[max(start - SIDE_ROWS - 2, 0) : start], values[start : start + SIDE_ROWS + 2]
    whole = (side for side in sides if len(side) == SIDE_ROWS + 2)
    bends = (median(np.abs(side[2:] - 2 * side[1:-1] + side[:-2])) for side in whole)
    return max((bend / (MAD_OF_NORMAL * np.sqrt(6)) for bend in bends), default=0.0)
