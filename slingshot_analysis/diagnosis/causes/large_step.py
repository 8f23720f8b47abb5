"""Steps beyond the edge of stability: the curvature along the update is too high for the learning rate."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Check, Sign
from slingshot_analysis.diagnosis.evidence import Evidence, largest, spikes

BEFORE = 0.01
"""The bound is looked at over this share of the run before each spike."""
SEVERAL = 3
"""Minimum number of spikes from which their end can be compared with the fall of the learning rate."""
DECAYED = 0.5
"""The learning rate has decayed if its last value is at most this share of that at the last spike."""
NAME, TITLE = "large step", "steps beyond the edge of stability (learning rate too high for the curvature)"


def judge(evidence: Evidence) -> Cause | None:
    """Look for sharpness above its bound, a growing gradient, and spikes that cease as the learning rate falls."""
    happenings = evidence.happenings
    if not happenings:
        return None
    signs, unchecked = [], []
    ratio = evidence.signal("preconditioned sharpness")
    if ratio is None:
        unchecked.append(Check("preconditioned sharpness", "whether it passes its bound before the spikes"))
    else:
        reach = BEFORE * (evidence.span[1] - evidence.span[0])
        over = [one for one in happenings if largest(ratio, one.start - reach, one.start) > 1]
        if len(over) > 0.5 * len(happenings):
            signs.append(Sign(f"the preconditioned sharpness passes its bound before {spikes(len(over))}", 3.0))
        else:
            signs.append(Sign("the preconditioned sharpness stays below its bound before the spikes", -2.0))
    gradient = evidence.lead("gradient norm")
    if gradient is None:
        if evidence.signal("gradient norm") is None:
            unchecked.append(Check("gradient norm", "whether it grows before the loss"))
    elif evidence.moves(gradient, "up"):
        signs.append(Sign(f"the gradient norm grows before the loss, by {gradient.lead:,.10g} updates", 1.5))
    elif gradient.finding == "flat":
        signs.append(Sign("the gradient norm does not grow before the loss", -1.0))
    rate = evidence.signal("learning rate")
    if rate is not None and len(happenings) >= SEVERAL:
        last = float(np.interp(happenings[-1].start, *rate))
        if float(rate.value[-1]) < DECAYED * last:
            signs.append(Sign("the spikes cease as the learning rate falls", 1.0))
    if happenings[-1].outcome in ("diverged", "not finite"):
        signs.append(Sign("the loss does not come back", 1.0))
    attention = evidence.lead("attention logits")
    helps = [remedies.LOWER_STEP, remedies.WARM_UP, remedies.CLIP_UPDATES]
    if attention is not None and evidence.moves(attention, "up"):
        signs.append(Sign(f"{attention.name} grows before the loss", 1.5))
        helps = [remedies.QK_NORM, remedies.Z_LOSS, *helps]
    return Cause(NAME, TITLE, tuple(signs), tuple(unchecked), tuple(helps))
