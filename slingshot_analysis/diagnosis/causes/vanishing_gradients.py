"""Gradients vanish beside ε once the training set is fitted: the slingshot mechanism."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Check, Sign
from slingshot_analysis.diagnosis.evidence import Evidence, level, spikes

FITTED = 1e-2
"""Maximum loss just before a slingshot, in nats."""
SMALL_EPSILON, LARGE_EPSILON = 1e-7, 1e-5
"""ε up to which the paper sees slingshots, and from which on it sees none."""
PRECISION = ("zero gradients", "zero losses", "softmax collapse")
NAME, TITLE = (
    "vanishing gradients",
    "gradients that vanish beside a small ε once the training set is fitted (slingshot)",
)


def judge(evidence: Evidence) -> Cause | None:
    """Look at the loss before the spikes, the norm, vanishing gradients and ε."""
    happenings = evidence.happenings
    if evidence.loss is None or not happenings:
        return None
    signs, unchecked = [], []
    before = [level(evidence.loss, one.start) for one in happenings]
    high = [value for value in before if not value <= FITTED]
    if len(high) > 0.5 * len(before):
        return Cause(
            NAME, TITLE, (Sign(f"the loss is {min(high):.3g} before the spikes: nothing vanishes there", -4.0),)
        )
    signs.append(
        Sign(f"the training set is fitted before the spikes, at a loss of {float(np.median(before)):.2g}", 1.0)
    )
    full = [event for event in evidence.slingshots if event.tier == "full"]
    if full:
        signs.append(Sign(f"the norm of the weights grows before {spikes(len(full))} and then rests", 2.5))
    elif evidence.without_growth and not evidence.slingshots:
        signs.append(Sign("the norm of the weights does not grow before the spikes", -1.5))
    elif not any("norm" in name and "grad" not in name for name in evidence.signals):
        unchecked.append(Check("norm of the last layer", "whether it grows before the spikes"))
    shown = [role for role in PRECISION if _rises(evidence, role)]
    if shown:
        signs.append(Sign(f"{', '.join(shown)} before the spikes", 2.0))
    elif all(evidence.signal(role) is None for role in PRECISION):
        unchecked.append(
            Check("share of gradients that are exactly zero", "whether gradients vanish before the spikes")
        )
    epsilon = evidence.setting("eps", "epsilon", "adam_eps", "adam_epsilon", "optimizer_eps")
    if not isinstance(epsilon, int | float):
        unchecked.append(Check("ε, in the configuration", "whether gradients come near it"))
    elif epsilon <= SMALL_EPSILON:
        signs.append(Sign(f"ε is {epsilon:g}", 1.0))
    elif epsilon >= LARGE_EPSILON:
        signs.append(Sign(f"ε is {epsilon:g}, where the paper sees no slingshots", -2.0))
    if "64" in str(evidence.setting("loss_dtype") or evidence.setting("dtype") or ""):
        signs.append(Sign("the loss is computed in float64", -2.0))
    helps = (remedies.LARGER_EPSILON, remedies.PRECISE_LOSS, remedies.STABLEMAX)
    return Cause(NAME, TITLE, tuple(signs), tuple(unchecked), helps)


def _rises(evidence: Evidence, role: str) -> bool:
    """Return whether a share is above one half, or twice its first value, before most spikes."""
    signal = evidence.signal(role)
    if signal is None:
        return False
    return float(np.median([level(signal, one.start) for one in evidence.happenings])) >= 0.5
