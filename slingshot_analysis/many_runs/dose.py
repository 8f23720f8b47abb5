"""Slingshots and accuracy against one number of the configuration (dose response) or two (cells of a grid)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.association import proportion
from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.many_runs.groups import labels_of, numeric_keys

if TYPE_CHECKING:
    import pandas as pd

MEASURED = ("slingshots", "best_val_accuracy")
"""Columns of `runs_table` whose means over runs are reported."""

LEAST_RUNS = 5
"""Smallest number of runs for a bootstrap interval; of fewer it would be far too narrow."""


def dose_response(runs: pd.DataFrame, key: str, *, resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Summarize the runs at each value of one number of their configuration, such as ``optimizer.eps``.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`.
    key : str
        A column of numbers in which runs differ.
    resamples : int, optional
        Number of bootstrap samples of the runs.
    seed : int, optional
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        One row for each value of `key` and each configuration of the other keys. Its columns are `key`; ``others``,
        the label of the other keys; ``runs``, and ``decided``, the number of runs whose verdict is not "undecided";
        ``share`` of the decided runs that have slingshots, with its Wilson interval; and the means over runs of
        ``slingshots`` and ``best_val_accuracy``, with bootstrap percentile intervals. The columns of 95% intervals end
        in ``_low`` and ``_high``. Fewer than five runs have no bootstrap interval.

    Raises
    ------
    InputError
        If `key` is no number that differs between the runs.

    References
    ----------
    .. [1] E. B. Wilson, JASA 22, 1927. doi:10.1080/01621459.1927.10502953
    .. [2] A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997, chapter 5.
       doi:10.1017/CBO9780511802843
    """
    import pandas as pd

    check_key(runs, key)
    random = np.random.default_rng(seed)
    told = runs.assign(others=labels_of(runs, without=[key])).dropna(subset=[key]).sort_values(key, kind="stable")
    rows = []
    for (others, value), part in told.groupby(["others", key], sort=False):
        row: dict[str, Any] = {key: value, "others": others} | _share(part)
        for name in MEASURED:
            measured = part[name].dropna().to_numpy(dtype=np.float64)
            low, high = _interval(measured, random, resamples)
            mean = float(measured.mean()) if len(measured) else np.nan
            row |= {name: mean, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def cells(runs: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Summarize the runs at each pair of values of two numbers of their configuration, such as β₁ and β₂.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`.
    x, y : str
        Columns of numbers in which runs differ. Runs are pooled over all other keys.

    Returns
    -------
    DataFrame
        One row for each pair that occurs: `x`, `y`, ``runs``, ``decided``, ``share`` with its Wilson interval, and
        the means over runs of ``slingshots`` and ``best_val_accuracy``.

    Raises
    ------
    InputError
        If `x` or `y` is no number that differs between the runs.
    """
    import pandas as pd

    for key in (x, y):
        check_key(runs, key)
    rows = [
        {x: at[0], y: at[1]} | _share(part) | {name: float(part[name].astype(float).mean()) for name in MEASURED}
        for at, part in runs.groupby([x, y])
    ]
    return pd.DataFrame(rows)


def is_telling(runs: pd.DataFrame, key: str) -> bool:
    """Return whether a number differs between any two runs that agree in all other keys."""
    import pandas as pd

    others = pd.Series(labels_of(runs, without=[key]), index=runs.index)
    return bool((runs.groupby(others)[key].nunique() > 1).any())


def fills_a_grid(runs: pd.DataFrame, x: str, y: str) -> bool:
    """Return whether runs cover half of all pairs of values, and more than one row and one column of them."""
    pairs = runs[[x, y]].dropna().drop_duplicates()
    rows, columns = pairs[x].nunique(), pairs[y].nunique()
    return len(pairs) >= rows * columns / 2 and len(pairs) > rows + columns - 1


def split_against(words: str) -> tuple[str, ...]:
    """Return the keys of a text such as ``"optimizer.eps"`` or ``"optimizer.beta1,optimizer.beta2"``.

    Raises
    ------
    InputError
        If there are more than two, or one twice.

    Examples
    --------
    >>> split_against("optimizer.beta1,optimizer.beta2")
    ('optimizer.beta1', 'optimizer.beta2')
    """
    keys = tuple(words.split(","))
    if len(keys) > 2 or len(set(keys)) < len(keys) or not all(keys):
        raise InputError(f"against={words!r}: give one KEY for a dose response, or KEY,KEY for a heatmap")
    return keys


def check_key(runs: pd.DataFrame, key: str) -> None:
    """Raise InputError unless this is a column of numbers in which runs differ."""
    allowed = numeric_keys(runs)
    if key not in allowed:
        raise unknown_name("number that differs between these runs", key, allowed)


def _share(part: pd.DataFrame) -> dict[str, Any]:
    decided = part[part["verdict"] != "undecided"]
    found = proportion(int((decided["verdict"] == "slingshots").sum()), len(decided))
    low, high = found.interval or (np.nan, np.nan)
    value = np.nan if found.value is None else found.value
    return {"runs": len(part), "decided": len(decided), "share": value, "share_low": low, "share_high": high}


def _interval(values: npt.NDArray[np.float64], random: np.random.Generator, resamples: int) -> tuple[float, float]:
    if len(values) < LEAST_RUNS:
        return np.nan, np.nan
    means = values[random.integers(0, len(values), (resamples, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
