"""Which keys of the configuration slingshots depend on: an exact test of each key that differs between the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from slingshot_analysis.association import contingency
from slingshot_analysis.many_runs._exact import fisher_test, rank_sum_test
from slingshot_analysis.many_runs.groups import configuration_keys, has_configuration, numeric_keys, shown_value

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ValueCount:
    """The runs at one value of a key.

    Parameters
    ----------
    value : str
        The value; "-" where the runs have no such key.
    slingshots, runs : int
        Number of runs with slingshots, and of all runs whose verdict is not "undecided".
    """

    value: str
    slingshots: int
    runs: int


@dataclass(frozen=True)
class KeyTest:
    """Whether runs with different values of a key have slingshots equally often. All p-values are two-sided and exact.

    Parameters
    ----------
    keys : tuple of str
        The key. Keys that divide the runs alike can't be told apart, and are tested together.
    values : tuple of ValueCount
        The runs at each value of the first key.
    boschloo, smallest_boschloo : float or None
        Boschloo's test, for two values, and the smallest p-value that it has for these numbers of runs.
    fisher, smallest_fisher : float or None
        Fisher's test, extended to more than two values by Freeman and Halton, and the smallest p-value for these
        numbers of runs and of runs with slingshots. None if there are too many tables.
    rank_sum, smallest_rank_sum : float or None
        Wilcoxon's rank-sum test, for three numbers or more: do slingshots come at larger or at smaller ones? The
        smallest p-value is that of the same numbers.
    p_adjusted : float or None
        `p_value` after Holm's correction for the number of tests.
    """

    keys: tuple[str, ...]
    values: tuple[ValueCount, ...]
    boschloo: float | None = None
    smallest_boschloo: float | None = None
    fisher: float | None = None
    smallest_fisher: float | None = None
    rank_sum: float | None = None
    smallest_rank_sum: float | None = None
    p_adjusted: float | None = None

    @property
    def tests(self) -> dict[str, tuple[float, float]]:
        """The p-value and the smallest possible p-value by the name of the test, the preferred test first."""
        found = {
            "Boschloo": (self.boschloo, self.smallest_boschloo),
            "rank sum": (self.rank_sum, self.smallest_rank_sum),
            "Fisher": (self.fisher, self.smallest_fisher),
        }
        return {name: (p, least) for name, (p, least) in found.items() if p is not None and least is not None}

    @property
    def p_value(self) -> float | None:
        """The p-value of the preferred test: Boschloo's, else the rank-sum test's, else Fisher's."""
        return next((p for p, _ in self.tests.values()), None)

    @property
    def smallest_p(self) -> float | None:
        """The smallest p-value that the preferred test has for these runs."""
        return next((least for _, least in self.tests.values()), None)


def key_tests(runs: pd.DataFrame) -> list[KeyTest]:
    """Test for each key that differs between the runs whether slingshots depend on it.

    Each key is tested by itself, whatever the other keys are. Where two keys change together, as in a comparison of two
    setups, the test can't say which of them matters.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`. Runs whose verdict is "undecided" and runs without a recorded configuration do not
        count, and seeds are not tested.

    Returns
    -------
    list of KeyTest
        By p-value.

    References
    ----------
    .. [1] R. D. Boschloo, Statistica Neerlandica 24, 1970. doi:10.1111/j.1467-9574.1970.tb00104.x
    .. [2] G. H. Freeman and J. H. Halton, Biometrika 38, 1951. doi:10.1093/biomet/38.1-2.141
    .. [3] S. Holm, Scandinavian Journal of Statistics 6, 1979. http://www.jstor.org/stable/4615733

    Examples
    --------
    >>> import pandas as pd
    >>> runs = pd.DataFrame({"verdict": ["slingshots"] * 3 + ["none"] * 3, "optimizer.eps": [1e-8] * 3 + [1e-6] * 3})
    >>> [found] = key_tests(runs)
    >>> found.keys, found.values[0]
    (('optimizer.eps',), ValueCount(value='1e-08', slingshots=3, runs=3))
    >>> round(found.p_value, 5), found.smallest_p, found.fisher
    (0.03125, 0.03125, 0.1)
    """
    runs = runs[(runs["verdict"] != "undecided") & has_configuration(runs)]
    numeric = numeric_keys(runs)
    divisions: dict[tuple[int, ...], list[str]] = {}
    for key in sorted(configuration_keys(runs), key=lambda key: key not in numeric):
        divisions.setdefault(tuple(runs[key].factorize(use_na_sentinel=False)[0].tolist()), []).append(key)
    found = [_test(runs, together, is_numeric=together[0] in numeric) for together in divisions.values()]
    return _corrected(sorted(found, key=lambda test: 1.0 if test.p_value is None else test.p_value))


def _test(runs: pd.DataFrame, keys: Sequence[str], *, is_numeric: bool) -> KeyTest:
    """Test keys that divide the runs alike."""
    values, slingshots = runs[keys[0]], (runs["verdict"] == "slingshots").to_numpy()
    groups = runs.assign(verdict=slingshots).groupby(keys[0], sort=is_numeric, dropna=False)["verdict"]
    counts = [ValueCount(shown_value(value), int(part.sum()), len(part)) for value, part in groups]
    fisher = fisher_test([count.slingshots for count in counts], [count.runs for count in counts])
    test = KeyTest(tuple(keys), tuple(counts), fisher=fisher[0], smallest_fisher=fisher[1])
    if len(counts) == 2:
        table = contingency((values.map(shown_value) == counts[0].value).tolist(), slingshots.tolist())
        least = None if table.smallest_boschloo is None else 2 * table.smallest_boschloo
        return replace(test, boschloo=table.boschloo_two_sided, smallest_boschloo=least)
    known = values.notna().to_numpy()
    if is_numeric and values.nunique() > 2:
        rank_sum, least = rank_sum_test(values[known].to_numpy(dtype=np.float64), slingshots[known])
        return replace(test, rank_sum=rank_sum, smallest_rank_sum=least)
    return test


def _corrected(tests: Sequence[KeyTest]) -> list[KeyTest]:
    """Return the tests with Holm's correction; they are sorted by p-value."""
    corrected, largest = [], 0.0
    for rank, test in enumerate(tests):
        if test.p_value is None:
            corrected.append(test)
        else:
            largest = max(largest, min((len(tests) - rank) * test.p_value, 1.0))
            corrected.append(replace(test, p_adjusted=largest))
    return corrected
