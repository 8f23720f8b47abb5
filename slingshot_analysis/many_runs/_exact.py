"""Exact tests of whether runs at different values of a key have slingshots equally often."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from math import comb

import numpy as np
import numpy.typing as npt

MAXIMUM_TABLES = 100_000
"""Maximum number of different kinds of tables that Fisher's test enumerates."""
MAXIMUM_RANKED = 150
"""Maximum number of runs of an exact rank-sum test. For more runs the normal approximation is as good."""


def fisher_test(successes: Sequence[int], runs: Sequence[int]) -> tuple[float | None, float | None]:
    """Test whether groups of runs have equal success rates: Fisher's test, extended by Freeman and Halton.

    Parameters
    ----------
    successes, runs : (k,) sequence of int
        Number of successes and of runs in each group.

    Returns
    -------
    p_value, smallest : float or None
        Two-sided p-value, and the smallest one of all tables with the same margins. Both are None if there are too many
        tables.

    References
    ----------
    .. [1] G. H. Freeman and J. H. Halton, Biometrika 38, 1951. doi:10.1093/biomet/38.1-2.141

    Examples
    --------
    >>> fisher_test([3, 0], [3, 3])
    (0.1, 0.1)
    """
    # Given the margins, a table has probability weight / comb(sum(runs), sum(successes)), where its weight is a product
    # of binomial coefficients. Tables of equal sum and weight are counted together, group by group.
    tables: dict[tuple[int, int], int] = {(0, 1): 1}
    for size in runs:
        longer: defaultdict[tuple[int, int], int] = defaultdict(int)
        for (total, weight), count in tables.items():
            for more in range(min(size, sum(successes) - total) + 1):
                longer[total + more, weight * comb(size, more)] += count
        tables = longer
        if len(tables) > MAXIMUM_TABLES:
            return None, None
    weights = {weight: count for (total, weight), count in tables.items() if total == sum(successes)}
    observed = 1
    for success, size in zip(successes, runs, strict=True):
        observed *= comb(size, success)
    all_tables = comb(sum(runs), sum(successes))
    as_extreme = sum(weight * count for weight, count in weights.items() if weight <= observed)
    rarest = min(weights)
    return as_extreme / all_tables, rarest * weights[rarest] / all_tables


def rank_sum_test(values: npt.ArrayLike, success: npt.ArrayLike) -> tuple[float, float]:
    """Test whether successes occur at higher or lower values: Wilcoxon's rank-sum test, exact also with equal values.

    Parameters
    ----------
    values : (n,) array_like
        The value of each run.
    success : (n,) array_like of bool
        Whether it was a success.

    Returns
    -------
    p_value, smallest : float
        Two-sided p-value, and the smallest one of all ways to distribute the successes over the runs. Beyond 150 runs
        they come from the normal approximation.

    References
    ----------
    .. [1] F. Wilcoxon, Biometrics Bulletin 1, 1945. doi:10.2307/3001968

    Examples
    --------
    >>> rank_sum_test([1, 2, 3, 4, 5, 6], [True, True, True, False, False, False])
    (0.1, 0.1)
    """
    from scipy import stats

    doubled = np.rint(2 * stats.rankdata(values)).astype(np.int64)  # midranks of equal values are halves
    chosen = np.asarray(success, dtype=bool)
    count, total = int(chosen.sum()), int(doubled.sum())
    if count in (0, len(doubled)):
        return 1.0, 1.0
    if len(doubled) > MAXIMUM_RANKED:
        found = stats.mannwhitneyu(doubled[chosen], doubled[~chosen], method="asymptotic")
        ordered = np.sort(doubled)
        extreme = stats.mannwhitneyu(ordered[:count], ordered[count:], method="asymptotic")
        return float(found.pvalue), float(extreme.pvalue)
    # ways[k, t]: number of choices of k runs whose doubled ranks sum to t.
    ways = np.zeros((count + 1, total + 1))
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : total + 1 - rank].copy()
    distance = np.abs(np.arange(total + 1) * len(doubled) - count * total)  # from the mean, in whole numbers
    share = ways[count] / ways[count].sum()
    own = abs(int(doubled[chosen].sum()) * len(doubled) - count * total)
    largest = distance[share > 0].max()
    return float(share[distance >= own].sum()), float(share[distance >= largest].sum())


def stratified_rank_test(values: Sequence[float], others: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Test whether one run of each group ranks higher or lower than the rest of its group: a stratified rank-sum test.

    If the run is one of its group like any other, each of the ranks of the group is its own with equal probability. The
    sum of these ranks over the groups, each divided by the size of its group, has the exact distribution that follows.

    Parameters
    ----------
    values : (k,) sequence of float
        Value of the run of each group; infinity is allowed.
    others : (k,) sequence of sequences of float
        Values of the other runs of each group.

    Returns
    -------
    p_value, smallest : float
        Two-sided p-value, and the smallest one that is possible with these groups.

    References
    ----------
    .. [1] P. van Elteren, Bulletin of the International Statistical Institute 37, 1960, pages 351-361.

    Examples
    --------
    >>> stratified_rank_test([9, 9, 9], [[1, 2, 3]] * 3)
    (0.03125, 0.03125)
    """
    from scipy import stats

    ways: dict[Fraction, Fraction] = {Fraction(0): Fraction(1)}
    observed = Fraction(0)
    for value, rest in zip(values, others, strict=True):
        doubled = (
            np.rint(2 * stats.rankdata([value, *rest])).astype(int).tolist()
        )  # midranks of equal values are halves
        scores = [Fraction(rank - len(doubled) - 1, len(doubled)) for rank in doubled]  # of mean 0
        observed += scores[0]
        longer: defaultdict[Fraction, Fraction] = defaultdict(Fraction)
        for total, share in ways.items():
            for score in scores:
                longer[total + score] += share / len(scores)
        ways = longer
    largest = max(map(abs, ways))
    p_value = sum(share for total, share in ways.items() if abs(total) >= abs(observed))
    return float(p_value), float(sum(share for total, share in ways.items() if abs(total) == largest))
