"""The initial weights were too large."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Sign
from slingshot_analysis.diagnosis.evidence import Evidence

GUESS = 12.5
"""Cross-entropy of a guess among 270,000 classes, in nats: no network that starts at random should cost more."""
LARGE_GRADIENT = 30.0
"""Minimum ratio of the first gradient norm and the usual one."""
NAME, TITLE = "initialisation", "initial weights that are too large"


def judge(evidence: Evidence) -> Cause | None:
    """Look at the first rows of the loss and of the gradient norm."""
    if evidence.loss is None or len(evidence.loss.value) < 3:
        return None
    first = float(evidence.loss.value[0])
    signs = []
    if not np.isfinite(first):
        signs.append(Sign("the loss is not finite from the first row on", 3.0))
    elif first > GUESS:
        signs.append(Sign(f"the first loss is {first:.3g} nats; a guess among 270,000 classes costs {GUESS}", 5.0))
    gradient = evidence.signal("gradient norm")
    if gradient is not None and len(gradient.value) > 3:
        usual = float(np.nanmedian(gradient.value))
        ratio = float(gradient.value[0]) / usual if usual > 0 else 0.0
        if signs and ratio >= LARGE_GRADIENT:
            signs.append(Sign(f"the first gradient norm is {ratio:.3g} times the usual one", 2.0))
    if not signs:
        return Cause(NAME, TITLE, (Sign(f"the first loss of {first:.3g} nats is that of a guess or less", -4.0),))
    return Cause(NAME, TITLE, tuple(signs), remedies=(remedies.SMALLER_INITIALISATION, remedies.WARM_UP))
