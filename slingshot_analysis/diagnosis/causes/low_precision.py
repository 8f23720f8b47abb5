"""Numbers of too low precision: overflow in half precision, or a loss that is rounded to it."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.canonical import MAD_OF_NORMAL, FloatArray
from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Check, Sign
from slingshot_analysis.diagnosis.evidence import Evidence, Happening

GRIDS = {"bfloat16": 8, "float16": 11}
"""Significant bits of the formats."""
SMALLEST_FLOAT16, LARGEST_FLOAT16 = 2.0**-14, 65_504.0
MINIMUM_VALUES = 30
"""Minimum number of distinct values from which a grid can be told."""
ON_GRID, CHANCE = 0.98, 0.2
"""Minimum share of values on the grid of a format, and maximum share of them that would lie there by chance, given the
digits that are printed."""
DIGITS = 12
LAST_ROWS, EARLIER_ROWS, NOISE_FACTOR = 5, 300, 4.0
"""A loss has risen before it is lost if the median of its last rows exceeds that of up to 200 earlier ones by four
standard deviations of their noise."""
SHARE_BEFORE = 0.02
"""A scale is read this share of the run before what happened."""
DTYPES = ("dtype", "precision", "mixed_precision", "autocast", "loss_dtype")
FLAGS = ("fp16", "bf16", "amp", "half")
"""Settings that name a dtype, and those that switch half precision on."""
NAME, TITLE = "low precision", "too low a precision of the loss or of the logits"


def judge(evidence: Evidence) -> Cause | None:
    """Look for values that are not finite, falls of the loss scale, and a loss on a coarse grid."""
    happenings = evidence.happenings
    if evidence.loss is None or not happenings:
        return None
    signs, unchecked = [], []
    grid = coarse_grid(evidence.loss.value)
    if grid is not None:
        signs.append(Sign(f"every loss is a number of {grid}", 5.5))
    lost = [one for one in happenings if one.outcome == "not finite"]
    sudden = [one for one in lost if _is_sudden(evidence, one)]
    if sudden:
        signs.append(Sign(f"the loss is not finite from {sudden[0].start:,.10g} on, without a rise before", 2.0))
    elif lost:
        signs.append(Sign("the loss rises before it is not finite", -0.5))
    else:
        signs.append(Sign("all losses are finite", -1.0))
    scale = evidence.signal("loss scale")
    if scale is not None:
        before = SHARE_BEFORE * (evidence.span[1] - evidence.span[0])
        falls = [one for one in happenings if _falls(scale.step, scale.value, one.start - before, one.peak + before)]
        if falls:
            signs.append(Sign(f"the loss scale falls at {falls[0].start:,.10g}: gradients overflowed", 2.5))
    said = " ".join(str(value) for word in DTYPES if (value := evidence.setting(word)) not in (None, "same", "none"))
    flags = " ".join(word for word in FLAGS if evidence.setting(word) not in (None, False, 0))
    words = " and ".join(f"{said} {flags}".lower().split())
    if "16" in words or "half" in words or "amp" in words:
        signs.append(Sign(f"the configuration says {words}", 1.5))
    elif "32" in said or "64" in said:
        signs.append(Sign(f"the configuration says {said.strip()}", -2.0))
    else:
        unchecked.append(Check("dtype of the loss, in the configuration", "whether it can overflow"))
    return Cause(NAME, TITLE, tuple(signs), tuple(unchecked), (remedies.PRECISE_LOSS, remedies.LOSS_SCALING))


def coarse_grid(value: FloatArray) -> str | None:
    """Return the format of half precision whose numbers all values are, up to the digits that were printed.

    Examples
    --------
    >>> coarse_grid(np.round(np.arange(130.0, 256.0) / 64, 5))
    'bfloat16'
    >>> coarse_grid(np.random.default_rng(0).normal(4, 0.1, 100)) is None
    True
    """
    values = np.unique(value[(value >= SMALLEST_FLOAT16) & (value <= LARGEST_FLOAT16)])
    if len(values) < MINIMUM_VALUES:
        return None
    printed = _printed(values)
    for name, bits in GRIDS.items():
        spacing = 2.0 ** (np.floor(np.log2(values)) - bits + 1)
        off = np.abs(values / spacing - np.round(values / spacing)) * spacing
        by_chance = np.minimum(printed / spacing, 1.0)
        if float(np.mean(by_chance)) <= CHANCE and float(np.mean(off <= printed / 2 * (1 + 1e-6))) >= ON_GRID:
            return name
    return None


def _printed(values: FloatArray) -> FloatArray:
    """Return the unit of the last digit that the values were printed with."""
    for digits in range(1, DIGITS):
        unit = 10.0 ** (np.floor(np.log10(values)) - digits + 1)
        if np.allclose(values / unit, np.round(values / unit), rtol=0, atol=1e-6):
            return np.asarray(unit)
    return np.asarray(values * 10.0**-DIGITS)


def _is_sudden(evidence: Evidence, one: Happening) -> bool:
    """Return whether the last finite losses are no higher than those well before."""
    if evidence.loss is None:
        return False
    step, value = evidence.loss
    before = value[(step < one.start) & np.isfinite(value)]
    last, earlier = before[-LAST_ROWS:], before[-EARLIER_ROWS : -EARLIER_ROWS // 3]
    if len(earlier) < LAST_ROWS:
        return False
    usual = float(np.median(earlier))
    noise = float(np.median(np.abs(earlier - usual))) / MAD_OF_NORMAL
    return float(np.median(last)) <= usual + NOISE_FACTOR * noise


def _falls(step: FloatArray, value: FloatArray, first: float, last: float) -> bool:
    near = value[(step >= first) & (step <= last)]
    return len(near) > 1 and float(near.min()) < 0.9 * float(near[0])
