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
"""Number of rows before a sudden rise in which the rate hardly changes. In a warm-up it rises there too."""
REACH, SLACK_ROWS = 0.05, 8
"""Maximum distance of a rise and the spike after it, as a share of the run, and the rows of the loss by which the start
of a lasting spike may be placed too early."""
NAME, TITLE = "learning-rate step", "a sudden rise of the learning rate"


def judge(evidence: Evidence) -> Cause | None:
    """Look for rises of the learning rate just before what happened."""
    if not evidence.happenings:
        return None
    rate = evidence.signal("learning rate")
    if rate is None:
        return Cause(NAME, TITLE, (), (Check("learning rate", "whether it rose before the spike"),))
    starts = np.array([one.start for one in evidence.happenings])
    reach, slack = REACH * (evidence.span[1] - evidence.span[0]), SLACK_ROWS * evidence.stride
    for at, ratio in zip(*sudden_rises(rate), strict=True):
        if ((starts >= at - slack) & (starts <= at + reach)).any():
            rise = f"the learning rate rises {ratio:.3g}-fold at {at:,.10g}, where the loss rises"
            return Cause(NAME, TITLE, (Sign(rise, 5.0),), remedies=(remedies.LOWER_STEP, remedies.WARM_UP))
    return Cause(NAME, TITLE, (Sign("the learning rate does not rise suddenly before any spike", -4.0),))


def sudden_rises(rate: Samples) -> tuple[FloatArray, FloatArray]:
    """Return where a learning rate rises from one row to the next without having changed before, and by how much.

    Examples
    --------
    >>> rate = Samples(np.arange(20.0), np.where(np.arange(20) < 12, 1e-3, 4e-3))
    >>> [found.tolist() for found in sudden_rises(rate)]
    [[12.0], [4.0]]
    """
    step, value = rate
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = value[1:] / value[:-1]
        change = np.maximum(ratio, 1 / ratio)
    rows = [row for row in np.flatnonzero(np.isfinite(ratio) & (ratio >= RISE)).tolist() if row]
    calm = np.array([row for row in rows if change[max(row - CALM_ROWS, 0) : row].max() <= CALM], dtype=int)
    return step[calm + 1], ratio[calm]
