"""The optimizer lost its moments, as at a resume that loads the weights alone."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.canonical import FloatArray, Samples
from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Check, Sign
from slingshot_analysis.diagnosis.evidence import Evidence, growth

REACH = 0.02
"""Maximum distance of a restart and what it brings, as a share of the run."""
FALL, FALL_ROWS = 0.4, 3
"""Maximum ratio of the norm of a moment after and before it is lost, and the number of rows within which it falls."""
JUMP = 1.7
"""Minimum ratio of the update norm where the moments are lost and before."""
NAME, TITLE = "lost moments", "moments of the optimizer that were lost at a resume"


def judge(evidence: Evidence) -> Cause | None:
    """Look for restarts, for a sudden fall of the second moment, and for updates that grow with it."""
    signs, unchecked = [], []
    reach = REACH * (evidence.span[1] - evidence.span[0])
    starts = np.array([one.start for one in evidence.happenings])
    restarts = [at for at in evidence.restarts if (np.abs(starts - at) <= reach).any()]
    if restarts:
        signs.append(Sign(f"the log goes back to {restarts[0]:,.10g}, where the loss rises", 3.0))
    moment, update = evidence.signal("second moment"), evidence.signal("update norm")
    fallen = None if moment is None else sudden_fall(moment)
    if fallen is not None:
        at, ratio = fallen
        signs.append(Sign(f"the norm of the second moment falls to {ratio:.2%} at {at:,.10g}", 4.0))
        if (np.abs(starts - at) <= reach).any():
            signs.append(Sign("the loss rises there", 1.0))
        if update is not None and (jump := growth(update, at, at + reach)) >= JUMP:
            signs.append(Sign(f"the update norm grows {jump:.2g}-fold there", 1.0))
    elif not len(starts):
        return None
    elif moment is not None:
        signs.append(Sign("the second moment never falls suddenly", -4.0))
    else:
        unchecked.append(Check("norm of the second moment", "whether the optimizer's state was lost"))
        if not restarts:
            signs.append(Sign("the steps of the log never go back", -1.0))
    return Cause(NAME, TITLE, tuple(signs), tuple(unchecked), (remedies.KEEP_MOMENTS, remedies.WARM_UP))


def sudden_fall(moment: Samples) -> tuple[float, float] | None:
    """Return where the norm of a moment falls most within three rows, and to which share; None if nowhere enough.

    Examples
    --------
    >>> sudden_fall(Samples(np.arange(9.0), np.array([1, 2, 2, 2, 2, 0.1, 0.2, 0.3, 0.4])))
    (5.0, 0.05)
    """
    step, value = moment
    if len(value) <= 2 * FALL_ROWS:
        return None
    ratio = _ratios(value, FALL_ROWS)
    least = float(ratio.min())
    if least > FALL:
        return None
    first = int(np.argmin(ratio))  # the fall itself is the steepest step of the three
    steepest = _ratios(value[first : first + FALL_ROWS + 1], 1)
    row = first + 1 + int(np.argmin(steepest))
    return float(step[row]), float(steepest.min())


def _ratios(value: FloatArray, rows: int) -> FloatArray:
    """Return the ratio of each value and the one so many rows before; 1 where that is no positive number."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = value[rows:] / value[:-rows]
    return np.where(np.isfinite(ratio) & (value[:-rows] > 0), ratio, 1.0)
