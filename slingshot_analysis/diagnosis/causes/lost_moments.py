"""The optimizer lost its moments, as at a resume that loads the weights alone."""

from __future__ import annotations

from slingshot_analysis.diagnosis import remedies
from slingshot_analysis.diagnosis.cause import Cause, Check, Sign
from slingshot_analysis.diagnosis.evidence import Evidence, largest, level

REACH = 0.02
"""Maximum distance of a restart and what it brings, as a share of the run."""
FALL = 0.4
"""Maximum ratio of the norm of the second moment after and before it is lost."""
JUMP = 1.7
"""Minimum ratio of the update norm at the spike and before it."""
NAME, TITLE = "lost moments", "moments of the optimizer that were lost at a resume"


def judge(evidence: Evidence) -> Cause | None:
    """Look for restarts, and for a fall of the second moment, at what happened."""
    happenings = evidence.happenings
    if not happenings:
        return None
    reach = REACH * (evidence.span[1] - evidence.span[0])
    signs, unchecked = [], []
    restarts = [at for at in evidence.restarts for one in happenings if -reach <= one.start - at <= reach]
    if restarts:
        signs.append(Sign(f"the log restarts at {restarts[0]:,.10g}, where the loss rises", 3.5))
    for role, weight in (("second moment", 4.0), ("first moment", 1.5)):
        moment = evidence.signal(role)
        if moment is None:
            continue
        fallen = []
        for one in happenings:
            before = level(moment, one.start - reach / 4)
            near = moment.value[(moment.step >= one.start - reach / 4) & (moment.step <= one.peak)]
            if len(near) and before > 0 and near.min() < FALL * before:
                fallen.append((one.start, float(near.min()) / before))
        if fallen:
            at, ratio = fallen[0]
            signs.append(Sign(f"the {role} falls to {ratio:.2g} of its norm at {at:,.10g}", weight))
        elif role == "second moment":
            signs.append(Sign("the second moment does not fall at any spike", -4.0))
    update, gradient = evidence.signal("update norm"), evidence.signal("gradient norm")
    if update is not None and gradient is not None and signs:
        one = happenings[0]
        ratios = [largest(samples, one.start, one.start) / level(samples, one.start) for samples in (update, gradient)]
        if ratios[0] >= JUMP > ratios[1]:
            signs.append(
                Sign(f"the update norm jumps {ratios[0]:.2g}-fold at the spike, the gradient norm does not", 1.0)
            )
    if evidence.signal("second moment") is None:
        unchecked.append(Check("norm of the second moment", "whether the optimizer's state was lost"))
    if not restarts and evidence.signal("second moment") is None:
        signs.append(Sign("the steps of the log never go back", -1.0))
    return Cause(NAME, TITLE, tuple(signs), tuple(unchecked), (remedies.KEEP_MOMENTS, remedies.WARM_UP))
