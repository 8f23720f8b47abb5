"""One batch, or a few, that are unlike the others."""

from __future__ import annotations

import numpy as np

from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Check, Sign
from slingshot_analysis.diagnosis.evidence import Evidence, Happening, growth

ABRUPT_ROWS = 3
"""Maximum number of rows of the loss that a spike by a batch takes to rise."""
FEW = 3
"""Maximum number of spikes that single batches explain."""
JUMP = 2.0
"""Minimum ratio of the gradient norm at the spike and before it."""
QUICK = 0.03
"""Maximum time until the loss is back, as a share of the run."""
NAME, TITLE = "bad batch", "a batch unlike the others"


def judge(evidence: Evidence) -> Cause | None:
    """Look for spikes that nothing announces, and from which the loss comes back at once."""
    happenings = evidence.happenings
    if not happenings or evidence.loss is None:
        return None
    signs = []
    rows = [_rows(evidence.loss.step, one) for one in happenings]
    if max(rows) <= ABRUPT_ROWS:
        signs.append(Sign(f"the loss rises within {max(rows)} row{'s' if max(rows) > 1 else ''}", 1.0))
    elif min(rows) > ABRUPT_ROWS:
        signs.append(Sign(f"the loss takes {min(rows)} rows or more to rise", -2.0))
    if len(happenings) > FEW:
        signs.append(Sign(f"{len(happenings)} spikes are more than a few bad batches", -1.5))
    share = [(one.end - one.start) / (evidence.span[1] - evidence.span[0]) for one in happenings]
    back = all(one.outcome == "recovered" for one in happenings)
    if back and max(share) <= QUICK:
        signs.append(Sign("the loss is back soon after each spike", 0.75))
    elif not back:
        signs.append(Sign("the loss does not come back", -1.0))
    gradient = evidence.signal("gradient norm")
    if gradient is not None:
        ratio = min(growth(gradient, one.start, one.peak) for one in happenings)
        if ratio >= JUMP:
            signs.append(Sign(f"the gradient norm jumps {ratio:.3g}-fold with the loss", 1.0))
    measured = [lead for lead in evidence.leads.values() if lead.finding != "not measured"]
    moved = [lead.name for lead in measured if evidence.moves(lead)]
    if moved:
        signs.append(Sign(f"{moved[0]} moves before the spikes", -2.0))
    elif measured:
        names = ", ".join(sorted(lead.name for lead in measured)[:3])
        signs.append(Sign(f"nothing that was logged moves before the spikes ({names})", 1.0))
    unchecked = (
        []
        if any("sample" in name for name in evidence.signals)
        else [Check("sample identities of each batch", "which samples stood in the batch of the spike")]
    )
    return Cause(NAME, TITLE, tuple(signs), tuple(unchecked), (remedies.SKIP_BATCHES, remedies.CLIP_GRADIENTS))


def _rows(step: np.ndarray, one: Happening) -> int:
    return int(np.searchsorted(step, one.peak) - np.searchsorted(step, one.start)) + 1
