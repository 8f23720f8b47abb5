"""The learning rate rose suddenly."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.canonical import FloatArray, Samples
from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Check, Sign
from slingshot_analysis.diagnosis.evidence import Evidence

RISE, CALM = 1.2, 1.03
"""Minimum ratio of a sudden rise from one row to the next, and maximum ratio of any change in the rows before it."""
CALM_ROWS = 5
"""Number of rows before a sudden rise; in a warm-up they rise too."""
REACH = 0.05
"""Maximum distance of a rise and the spike that it brings, as a share of the run."""
NAME, TITLE = "learning-rate step", "a sudden rise of the learning rate"


def judge(evidence: Evidence) -> Cause | None:
    """Look for rises of the learning rate just before what happened."""
    rate = evidence.signal("learning rate")
    happenings = evidence.happenings
    if not happenings:
        return None
    if rate is None:
        return Cause(NAME, TITLE, (), (Check("learning rate", "whether it rose before the spike"),))
    rises, ratios = sudden_rises(rate)
    reach = REACH * (evidence.span[1] - evidence.span[0])
    near = [
        (at, ratio)
        for at, ratio in zip(rises, ratios, strict=True)
        for one in happenings
        if 0 <= one.start - at <= reach
    ]
    if not near:
        return Cause(NAME, TITLE, (Sign("the learning rate does not rise suddenly before any spike", -4.0),))
    at, ratio = near[0]
    signs = (Sign(f"the learning rate rises {ratio:.3g}-fold at {at:,.10g}, just before the loss", 5.0),)
    return Cause(NAME, TITLE, signs, remedies=(remedies.LOWER_STEP, remedies.WARM_UP))


def sudden_rises(rate: Samples) -> tuple[FloatArray, FloatArray]:
    """Return where a learning rate rises from one row to the next without having changed before, and by how much."""
    step, value = rate
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = value[1:] / value[:-1]
    change = np.maximum(ratio, 1 / ratio)
    calm = np.array([len(part) > 0 and bool((part <= CALM).all()) for part in _before(change)], dtype=bool)
    found = np.flatnonzero((ratio >= RISE) & np.isfinite(ratio) & calm)
    return step[found + 1], ratio[found]


def _before(change: FloatArray) -> list[FloatArray]:
    return [change[max(row - CALM_ROWS, 0) : row] for row in range(len(change))]
