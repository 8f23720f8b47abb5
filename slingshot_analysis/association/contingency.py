"""Association of slingshots with grokking across runs: the 2 x 2 contingency table and its exact tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MAXIMUM_BOSCHLOO_RUNS = 500
"""Boschloo's test compares all pairs of tables. For more runs it takes seconds, and Fisher's test nearly agrees."""


@dataclass(frozen=True)
class Proportion:
    """A fraction of runs, with its confidence interval.

    Parameters
    ----------
    count, runs : int
        Number of runs with the property, and of all runs.
    value : float or None
        The fraction; None without runs.
    interval : (float, float) or None
        Wilson's 95% interval.
    """

    count: int
    runs: int
    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Contingency:
    """Runs counted by slingshots and grokking, with tests. What can't be computed is None, and `notes` say why.

    Parameters
    ----------
    both, slingshot_only, grokked_only, neither : int
        Numbers of runs.
    fisher_greater, fisher_two_sided : float or None
        Fisher's exact p-values. "greater" asks whether runs with slingshots grok more often.
    boschloo_greater, boschloo_two_sided : float or None
        Boschloo's exact p-values, given the numbers of runs with and without slingshots. More powerful than Fisher's,
        because the number of runs that grok is not fixed beforehand.
    odds_ratio : float or None
        Conditional maximum likelihood estimate; infinite if slingshots without grokking, or grokking
        without slingshots, never occurs.
    odds_ratio_interval : (float, float) or None
        Its 95% interval.
    grokked_with_slingshot, grokked_without_slingshot : Proportion
        P(grok | slingshot) and P(grok | no slingshot).
    smallest_fisher : float or None
        Smallest "greater" p-value of all tables with these margins.
    smallest_boschloo : float or None
        Smallest "greater" p-value of all tables with these numbers of runs with and without slingshots.
    notes : tuple of str
        Why a value is None, or why it must be 1.
    """

    both: int
    slingshot_only: int
    grokked_only: int
    neither: int
    fisher_greater: float | None
    fisher_two_sided: float | None
    boschloo_greater: float | None
    boschloo_two_sided: float | None
    odds_ratio: float | None
    odds_ratio_interval: tuple[float, float] | None
    grokked_with_slingshot: Proportion
    grokked_without_slingshot: Proportion
    smallest_fisher: float | None
    smallest_boschloo: float | None
    notes: tuple[str, ...]

    def summary(self) -> pd.DataFrame:
        """Return one row for each number, with its interval and the number of runs it is based on."""
        import pandas as pd

        runs = self.both + self.slingshot_only + self.grokked_only + self.neither
        cells = ("both", "slingshot_only", "grokked_only", "neither")
        shares = ("grokked_with_slingshot", "grokked_without_slingshot")
        fisher = ("fisher_greater", "fisher_two_sided", "smallest_fisher")
        boschloo = ("boschloo_greater", "boschloo_two_sided", "smallest_boschloo")
        rows: list[tuple[str, float | None, tuple[float, float] | None, int]] = []
        rows += [(name, getattr(self, name), None, runs) for name in cells]
        for name in shares:
            share: Proportion = getattr(self, name)
            rows.append((name, share.value, share.interval, share.runs))
        rows.append(("odds_ratio", self.odds_ratio, self.odds_ratio_interval, runs))
        rows += [(name, getattr(self, name), None, runs) for name in (*fisher, *boschloo)]
        return pd.DataFrame(
            [(name, value, *(interval or (None, None)), n) for name, value, interval, n in rows],
            columns=["quantity", "value", "low", "high", "runs"],
        ).astype({"value": float, "low": float, "high": float})


def contingency(slingshot: Sequence[bool], grokked: Sequence[bool]) -> Contingency:
    """Test whether runs with slingshots grok more often than runs without.

    Parameters
    ----------
    slingshot : (n,) array_like of bool
        Whether each run had slingshots.
    grokked : (n,) array_like of bool
        Whether each run grokked.

    Returns
    -------
    Contingency
        Cells, tests, odds ratio and fractions.

    Raises
    ------
    InputError
        If the two differ in length or contain anything but truth values.

    References
    ----------
    .. [1] R. D. Boschloo, Statistica Neerlandica 24, 1970. doi:10.1111/j.1467-9574.1970.tb00104.x
    .. [2] E. B. Wilson, JASA 22, 1927. doi:10.1080/01621459.1927.10502953
    .. [3] V. Thilak et al., 2022, Figure 4. arXiv:2206.04817

    Examples
    --------
    >>> found = contingency([True] * 7 + [False] * 5, [True] * 5 + [False] * 7)
    >>> (found.both, found.slingshot_only, found.grokked_only, found.neither)
    (5, 2, 0, 5)
    >>> round(found.fisher_greater, 4), round(found.boschloo_greater, 4), round(found.smallest_boschloo, 4)
    (0.0265, 0.0085, 0.0003)
    """
    left, right = _truths(slingshot, "slingshot"), _truths(grokked, "grokked")
    if len(left) != len(right):
        raise InputError(f"slingshot has {len(left)} runs and grokked {len(right)}; give one truth value for each run")
    return _cross(*(int(cell.sum()) for cell in (left & right, left & ~right, ~left & right, ~left & ~right)))


@lru_cache(maxsize=256)
def _cross(both: int, slingshot_only: int, grokked_only: int, neither: int) -> Contingency:
    from scipy import stats

    table = np.array([[both, slingshot_only], [grokked_only, neither]])
    (withs, withouts), (groks, fails) = table.sum(axis=1).tolist(), table.sum(axis=0).tolist()
    notes: list[str] = []
    fisher: tuple[float | None, float | None] = (None, None)
    boschloo: tuple[float | None, float | None] = (None, None)
    smallest: tuple[float | None, float | None] = (None, None)
    odds: float | None = None
    odds_interval: tuple[float, float] | None = None
    if not withs or not withouts:
        notes.append(f"no test, no odds ratio: no run {'with' if not withs else 'without'} slingshots")
    elif not groks or not fails:
        notes.append(f"no odds ratio, and p is 1: {'no' if not groks else 'every'} run grokked")
        fisher = boschloo = (1.0, 1.0)
        smallest = (1.0, _smallest_boschloo(withs, withouts))
    else:
        fisher = _fisher(table, "greater"), _fisher(table, "two-sided")
        smallest = (
            float(stats.hypergeom.pmf(min(withs, groks), withs + withouts, withs, groks)),
            _smallest_boschloo(withs, withouts),
        )
        if withs + withouts <= MAXIMUM_BOSCHLOO_RUNS:
            boschloo = _boschloo(table)
        else:
            notes.append(f"no Boschloo test: it takes too long beyond {MAXIMUM_BOSCHLOO_RUNS} runs")
        found = stats.contingency.odds_ratio(table)
        interval = found.confidence_interval(0.95)
        odds, odds_interval = float(found.statistic), (float(interval.low), float(interval.high))
    return Contingency(
        both,
        slingshot_only,
        grokked_only,
        neither,
        *fisher,
        *boschloo,
        odds,
        odds_interval,
        proportion(both, withs),
        proportion(grokked_only, withouts),
        *smallest,
        tuple(notes),
    )


def _fisher(table: npt.NDArray[np.int64], alternative: str) -> float:
    from scipy import stats

    return float(min(stats.fisher_exact(table, alternative=alternative).pvalue, 1.0))


def _boschloo(table: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return the p-values "greater" and two-sided; SciPy expects the groups of fixed size as columns."""
    from scipy import stats

    greater, less = (
        float(stats.boschloo_exact(table.T, alternative=alternative).pvalue) for alternative in ("greater", "less")
    )
    return greater, min(2 * min(greater, less), 1.0)


def _smallest_boschloo(withs: int, withouts: int) -> float:
    """Return the p-value of the most extreme table, in which exactly the runs with slingshots grok.

    If runs grok with probability q, the table has probability q^withs (1 - q)^withouts, which is largest at
    q = withs / runs.
    """
    share = withs / (withs + withouts)
    return float(share**withs * (1 - share) ** withouts)


def proportion(count: int, runs: int) -> Proportion:
    """Return a fraction of runs with its confidence interval.

    Parameters
    ----------
    count, runs : int
        Number of runs with the property, and of all runs.

    Returns
    -------
    Proportion
        With Wilson's 95% interval; value and interval are None without runs.

    Examples
    --------
    >>> found = proportion(5, 10)
    >>> found.value, [round(end, 3) for end in found.interval]
    (0.5, [0.237, 0.763])
    """
    from scipy import stats

    if not runs:
        return Proportion(count, runs, None, None)
    interval = stats.binomtest(count, runs).proportion_ci(0.95, method="wilson")
    return Proportion(count, runs, count / runs, (float(interval.low), float(interval.high)))


def _truths(given: Sequence[bool], name: str) -> npt.NDArray[np.bool_]:
    values = np.asarray(given)
    if values.ndim != 1 or not (values.dtype == np.bool_ or np.isin(values, [0, 1]).all()):
        raise InputError(f"{name}: give a flat sequence of True and False, one for each run")
    return values.astype(np.bool_)
