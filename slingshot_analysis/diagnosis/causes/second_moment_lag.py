"""The second moment follows a growing gradient too slowly, so that updates grow."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Check, Sign
from slingshot_analysis.diagnosis.evidence import Evidence, growth

SLOW, FAST = 0.9995, 0.96
"""β2 from which on the second moment is slow, and up to which it is fast."""
JUMP = 2.0
"""Minimum ratio of the update norm at a spike and before it, and of the gradient norm after it and before it."""
REACH = 0.02
"""Share of the run after the start of a spike in which updates grow with the loss."""
NAME, TITLE = "second-moment lag", "a second moment that lags behind the gradient (β2 too large)"


def judge(evidence: Evidence) -> Cause | None:
    """Compare what the update norm, the gradient norm and the two moments do before and at the spikes."""
    if not evidence.happenings:
        return None
    signs, unchecked = [], []
    update, gradient = evidence.signal("update norm"), evidence.signal("gradient norm")
    lead = evidence.lead("update norm")
    if lead is not None and evidence.moves(lead, "up"):
        grows = f"the update norm grows {_times(lead.ratio)}before the loss, by {lead.lead:,.10g} updates"
        signs.append(Sign(grows, 2.0))
    elif update is None:
        unchecked.append(Check("update norm", "whether updates grew before the loss"))
    else:
        reach = REACH * (evidence.span[1] - evidence.span[0])
        grown = [growth(update, one.start, one.start + reach) for one in evidence.happenings]
        known = [times for times in grown if np.isfinite(times)]
        if known and (usual := float(np.median(known))) >= JUMP:
            signs.append(Sign(f"the update norm grows {usual:.2g}-fold with the loss", 1.0))
        elif known:
            signs.append(Sign("the update norm does not grow before the loss or with it", -2.0))
    if gradient is not None and (stays := _stays(evidence)) >= JUMP:
        signs.append(Sign(f"the gradient norm stays {stays:.2g} times higher after it", 1.0))
    first, second = evidence.lead("first moment"), evidence.lead("second moment")
    if first is not None and evidence.moves(first, "up"):
        signs.append(Sign(f"the first moment grows {_times(first.ratio)}before the loss", 1.0))
    if second is None and evidence.signal("second moment") is None:
        unchecked.append(Check("norms of the first and the second moment", "whether the second one lagged"))
    elif second is not None and second.finding == "flat":
        signs.append(Sign("the second moment stays flat before the loss", 1.0))
    beta2 = _beta2(evidence)
    if beta2 is None:
        unchecked.append(Check("β2, in the configuration", "how slowly the second moment follows"))
    elif beta2 >= SLOW:
        memory = 1 / max(1 - beta2, 1e-9)
        signs.append(Sign(f"β2 is {beta2:.6g}: the second moment averages over {memory:,.0f} updates", 2.0))
    elif beta2 <= FAST:
        signs.append(Sign(f"β2 is {beta2:.3g}: the second moment follows within {1 / (1 - beta2):,.0f} updates", -2.0))
    helps = (remedies.SMALLER_BETA2, remedies.CLIP_UPDATES, remedies.RESET_MOMENTS)
    return Cause(NAME, TITLE, tuple(signs), tuple(unchecked), helps)


def _stays(evidence: Evidence) -> float:
    """Return the ratio of the gradient norm in the rows after the first spike has begun and in those before."""
    gradient = evidence.signal("gradient norm")
    if gradient is None:
        return 0.0
    row = int(np.searchsorted(gradient.step, evidence.happenings[0].start))
    rows = max(len(gradient.step) // 10, 3)
    before, after = gradient.value[max(row - rows, 0) : row], gradient.value[row : row + rows]
    usual = float(np.median(before)) if len(before) and len(after) else 0.0
    return float(np.median(after)) / usual if usual > 0 else 0.0


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2g}-fold "


def _beta2(evidence: Evidence) -> float | None:
    found = evidence.setting("beta2", "adam_beta2", "beta_2", "b2")
    return float(found) if isinstance(found, int | float) else None
