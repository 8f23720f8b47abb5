"""Several branches together: whether an arm does more than chance, by exact tests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slingshot_analysis.many_runs._exact import stratified_rank_test
from slingshot_analysis.many_runs.branches import ArmOutcome, Branch
from slingshot_analysis.markup import Shown


@dataclass(frozen=True)
class PooledArm(Shown):
    """One change in several branches.

    Each test compares, within each branch, the rank of the arm with those of the control and the null arms
    (`stratified_rank_test`), so that branches need not be alike.

    Parameters
    ----------
    change : str
        What the arm changes.
    branches : int
        Number of branches with this arm.
    verdicts : mapping of str to int
        Number of branches by verdict.
    event_p_value, event_smallest : float or None
        Two-sided exact p-value of the step of the event, where none by the horizon counts as latest, and the smallest
        one possible. None without a branch whose control has an event.
    val_difference : float or None, fraction in [0, 1]
        Mean over branches of the validation accuracy at the horizon minus the mean of control and null arms.
    val_p_value, val_smallest : float or None
        The same test of the validation accuracy at the horizon.
    """

    change: str
    branches: int
    verdicts: Mapping[str, int]
    event_p_value: float | None
    event_smallest: float | None
    val_difference: float | None
    val_p_value: float | None
    val_smallest: float | None


def pool_branches(branches: Sequence[Branch]) -> list[PooledArm]:
    """Return what each change does in all branches that have an arm with it.

    Parameters
    ----------
    branches : sequence of Branch
        Branches of several runs, or of one run at several steps. Branches of the same run are not independent.
    """
    changes = dict.fromkeys(one.change for branch in branches for one in branch.changed)
    return [_pooled(change, branches) for change in changes]


def _pooled(change: str, branches: Sequence[Branch]) -> PooledArm:
    pairs = [
        (one, [branch.control, *branch.nulls]) for branch in branches for one in branch.changed if one.change == change
    ]
    with_event = [(one, chance) for one, chance in pairs if chance[0].event is not None]
    event = _test([(_step(one), [_step(other) for other in chance]) for one, chance in with_event])
    accuracies = [
        (one.val_accuracy, [other.val_accuracy for other in chance if other.val_accuracy is not None])
        for one, chance in pairs
        if one.val_accuracy is not None
    ]
    val = _test([(own, others) for own, others in accuracies if others])
    differences = [own - float(np.mean(others)) for own, others in accuracies if others]
    return PooledArm(
        change,
        len(pairs),
        dict(Counter(one.verdict for one, _ in pairs)),
        *event,
        float(np.mean(differences)) if differences else None,
        *val,
    )


def _step(one: ArmOutcome) -> float:
    return math.inf if one.event is None else float(one.event)


def _test(strata: Sequence[tuple[float, Sequence[float]]]) -> tuple[float | None, float | None]:
    if not strata:
        return None, None
    return stratified_rank_test([own for own, _ in strata], [others for _, others in strata])
