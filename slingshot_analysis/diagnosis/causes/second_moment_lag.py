"""The second moment follows a growing gradient too slowly, so that updates grow."""

from __future__ import annotations

from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Check, Sign
from slingshot_analysis.diagnosis.evidence import Evidence

SLOW, FAST = 0.9995, 0.96
"""β2 from which on the second moment is slow, and up to which it is fast."""
NAME, TITLE = "second-moment lag", "a second moment that lags behind the gradient (β2 too large)"


def judge(evidence: Evidence) -> Cause | None:
    """Compare what the update norm and the two moments did before the spikes."""
    if not evidence.happenings:
        return None
    signs, unchecked = [], []
    update = evidence.lead("update norm")
    if update is None:
        unchecked.append(Check("update norm", "whether updates grew before the loss"))
    elif update.moved > 0.5 * update.events and update.direction == "up":
        signs.append(
            Sign(f"the update norm grows {_times(update.ratio)}before the loss, by {update.lead:,.10g} updates", 2.0)
        )
    elif update.finding == "flat":
        signs.append(Sign("the update norm does not grow before the loss", -2.0))
    first, second = evidence.lead("first moment"), evidence.lead("second moment")
    if first is not None and first.moved > 0.5 * first.events and first.direction == "up":
        signs.append(Sign(f"the first moment grows {_times(first.ratio)}before the loss", 1.0))
    if second is None:
        unchecked.append(Check("norms of the first and the second moment", "whether the second one lagged"))
    elif second.moved <= 0.5 * second.events and (signs or second.finding == "flat"):
        signs.append(Sign("the second moment stays flat before the loss", 1.5))
    beta2 = _beta2(evidence)
    if beta2 is None:
        unchecked.append(Check("β2, in the configuration", "how slowly the second moment follows"))
    elif beta2 >= SLOW:
        signs.append(
            Sign(f"β2 is {beta2:.6g}: the second moment averages over {1 / max(1 - beta2, 1e-9):,.0f} updates", 2.0)
        )
    elif beta2 <= FAST:
        signs.append(Sign(f"β2 is {beta2:.3g}: the second moment follows within {1 / (1 - beta2):,.0f} updates", -2.0))
    helps = (remedies.SMALLER_BETA2, remedies.CLIP_UPDATES, remedies.RESET_MOMENTS)
    return Cause(NAME, TITLE, tuple(signs), tuple(unchecked), helps)


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2g}-fold "


def _beta2(evidence: Evidence) -> float | None:
    found = evidence.setting("beta2", "adam_beta2", "beta_2", "b2")
    return float(found) if isinstance(found, int | float) else None
