"""The learning rate was high from the first update on."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Check, Sign
from slingshot_analysis.diagnosis.evidence import Evidence, level

EARLY, LATE = 0.1, 0.33
"""Shares of the run in which a missing warm-up usually shows, and in which it may."""
FULL, RAMP = 0.9, 0.5
"""Share of its largest value from which on a first learning rate is full, and below which it is warmed up."""
FALLEN = 0.3
"""Training was past its start if the loss had fallen to this share of its first value before the rise."""
WARMUP = ("warmup_steps", "warmup", "num_warmup_steps", "warmup_iters", "warmup_ratio", "warmup_updates")
"""Settings of the length of a warm-up."""
NAME, TITLE = "no warm-up", "a learning rate that is high from the start"


def judge(evidence: Evidence) -> Cause | None:
    """Look at what happened early, and at the learning rate then."""
    happenings = evidence.happenings
    if not happenings:
        return None
    first, last = evidence.span
    early = [one for one in happenings if one.start - first <= LATE * (last - first)]
    if not early:
        return Cause(NAME, TITLE, (Sign(f"nothing happens before step {happenings[0].start:,.10g}", -4.0),))
    very_early = early[0].start - first <= EARLY * (last - first)
    signs = [Sign(f"the loss rises early, at {early[0].start:,.10g}", 1.5 if very_early else 0.5)]
    unchecked = []
    rate = evidence.signal("learning rate")
    warmup = evidence.setting(*WARMUP)
    if rate is not None:
        start, top = float(rate.value[0]), float(np.max(rate.value))
        if top > 0 and start >= FULL * top:
            signs.append(Sign(f"the learning rate is at {start / top:.0%} of its largest value in the first row", 2.0))
        elif start < RAMP * top:
            signs.append(Sign("the learning rate is warmed up", -4.0))
    elif warmup is None:
        unchecked.append(Check("learning rate", "whether it was warmed up"))
    if warmup is not None and not isinstance(warmup, str):
        signs.append(
            Sign("the configuration has no warm-up", 1.5) if not warmup else Sign(f"warm-up of {warmup}", -2.0)
        )
    if evidence.loss is not None and len(evidence.loss.value) > 1:
        value = evidence.loss.value[np.searchsorted(evidence.loss.step, early[0].start) :]
        initial, top = float(evidence.loss.value[0]), float(np.max(value, initial=-np.inf, where=np.isfinite(value)))
        before = level(evidence.loss, early[0].start)
        if before < FALLEN * initial:
            signs.append(Sign(f"the loss had fallen from {initial:.3g} to {before:.2g} by then", -2.0))
        if top > initial:
            signs.append(Sign(f"the loss rises above its first value, from {initial:.3g} to {top:.3g}", 1.0))
    return Cause(NAME, TITLE, tuple(signs), tuple(unchecked), (remedies.WARM_UP, remedies.LOWER_STEP))
