"""The batch grew suddenly: the loss then rises where the length of the batch does."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Check, Sign
from slingshot_analysis.diagnosis.evidence import Evidence, growth, spikes

GROWTH = 1.5
"""Minimum ratio of the length of the batch at a spike and before it."""
NAME, TITLE = "long batch", "a batch that is much longer than those before"


def judge(evidence: Evidence) -> Cause | None:
    """Compare the length of the batch at each spike with that before it."""
    happenings = evidence.happenings
    if not happenings:
        return None
    length = evidence.signals.get("batch_length")
    if length is None or not len(length.step):
        return Cause(NAME, TITLE, (), (Check("length of the batch", "whether the batch of the spike was longer"),))
    ratios = [growth(length, one.start, one.peak) for one in happenings]
    long = int(np.sum(np.array(ratios) >= GROWTH))
    if not long:
        return Cause(NAME, TITLE, (Sign("the batch is no longer at the spikes than before", -2.0),))
    sign = Sign(f"the batch is longer at {spikes(long)} of {len(ratios)}", 4.0 * long / len(ratios))
    return Cause(NAME, TITLE, (sign,), remedies=(remedies.CLIP_GRADIENTS,))
