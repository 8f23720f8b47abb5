"""Group runs by configuration: runs that differ only in the seed belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slingshot_analysis.association import proportion
from slingshot_analysis.configuration import is_seed
from slingshot_analysis.many_runs.table import RESULTS

if TYPE_CHECKING:
    import pandas as pd

NO_CONFIGURATION = "no configuration recorded"
ONE_CONFIGURATION = "one configuration"
MOST_COMMON = "as most runs"
LISTED_IN_FULL = 3
"""Largest number of differing columns that a label lists with all values."""


def varying_keys(runs: pd.DataFrame) -> list[str]:
    """Return the columns of the configuration, seeds included, in which the runs differ.

    Runs without a recorded configuration do not count.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`.

    Returns
    -------
    list of str
        In the order of the columns.
    """
    recorded = runs[has_configuration(runs)]
    return [key for key in runs.columns if key not in RESULTS and recorded[key].nunique(dropna=False) > 1]


def configuration_keys(runs: pd.DataFrame) -> list[str]:
    """Return the columns in which the configurations differ: `varying_keys` without seeds."""
    return [key for key in varying_keys(runs) if not is_seed(key)]


def numeric_keys(runs: pd.DataFrame) -> list[str]:
    """Return those of `configuration_keys` that hold only numbers, and at least two different ones."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return [
        key
        for key in configuration_keys(runs)
        if is_numeric_dtype(runs[key]) and not is_bool_dtype(runs[key]) and runs[key].nunique() > 1
    ]


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each dotted name, or the whole name where two last parts are equal.

    Examples
    --------
    >>> short_names(["optimizer.eps", "data.k", "model.k"])
    {'optimizer.eps': 'eps', 'data.k': 'data.k', 'model.k': 'model.k'}
    """
    last = [key.rpartition(".")[2] for key in keys]
    return {key: short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)}


def labels_of(runs: pd.DataFrame, without: Sequence[str] = ()) -> list[str]:
    """Return a label of the configuration of each run, such as ``"eps=1e-08, lr=0.004"``.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`.
    without : sequence of str, optional
        Columns to leave out.

    Returns
    -------
    list of str
        One for each run; runs of the same configuration have the same label. It lists the columns that differ between
        the runs of the same setup. If these are more than three, it lists only the values that differ from the most
        common one.
    """
    recorded = has_configuration(runs)
    if not recorded.all():
        others = iter(labels_of(runs[recorded], without))
        return [next(others) if one else NO_CONFIGURATION for one in recorded]
    keys = [key for key in configuration_keys(runs) if key not in without]
    if not keys:
        return [ONE_CONFIGURATION] * len(runs)
    labels = [""] * len(runs)
    numbered = runs.reset_index(drop=True)
    within = numbered.groupby("setup", sort=False, dropna=False) if "setup" in keys else [(None, numbered)]
    for setup, part in within:
        first = [] if setup is None else [shown_value(setup)]
        described = _described(part[[key for key in keys if key != "setup"]])
        for row, words in zip(part.index.tolist(), described, strict=True):
            labels[row] = ", ".join(filter(None, [*first, words])) or MOST_COMMON
    return labels


def has_configuration(runs: pd.DataFrame) -> pd.Series:
    """Return a mask of the runs with a recorded configuration."""
    return runs[[key for key in runs.columns if key not in RESULTS]].notna().any(axis=1)


def _described(part: pd.DataFrame) -> list[str]:
    """Describe each row by the columns that vary, or by the values that are not the most common if they are many."""
    own = [key for key in part.columns if part[key].nunique(dropna=False) > 1]
    short = short_names(own)
    words = {key: [shown_value(value) for value in part[key].astype(object)] for key in own}
    common = {key: Counter(words[key]).most_common(1)[0][0] if len(own) > LISTED_IN_FULL else "" for key in own}
    return [
        ", ".join(f"{short[key]}={words[key][row]}" for key in own if words[key][row] != common[key])
        for row in range(len(part))
    ]


def by_configuration(runs: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each configuration: how many of its runs had slingshots, grokked, did both or neither.

    Parameters
    ----------
    runs : DataFrame
        The table of `runs_table`.

    Returns
    -------
    DataFrame
        ``configuration``, its label, and the columns in which configurations differ; ``runs``, their number; the
        numbers ``both``, ``slingshot_only``, ``grokked_only`` and ``neither`` of runs whose verdict is not
        "undecided", and ``undecided``; ``share`` of the decided runs that have slingshots, with its 95% Wilson interval
        ``share_low`` and ``share_high``; medians over runs of ``slingshots``, ``first_transition``, ``grokking_step``
        and the best validation accuracies. Rows are sorted by the numbers of the configuration, then by the order of
        the runs.

    References
    ----------
    .. [1] V. Thilak et al., 2022, Figure 4. arXiv:2206.04817
    """
    import pandas as pd

    keys = configuration_keys(runs)
    sorted_by = [key for key in ("setup", *numeric_keys(runs)) if key in keys]
    ordered = runs.assign(configuration=labels_of(runs))
    if sorted_by:
        ordered = ordered.sort_values(sorted_by, kind="stable")
    rows = [
        {"configuration": label} | {key: part[key].iloc[0] for key in keys} | _counts(part)
        for label, part in ordered.groupby("configuration", sort=False)
    ]
    return pd.DataFrame(rows)


def _counts(part: pd.DataFrame) -> dict[str, Any]:
    decided = part[part["verdict"] != "undecided"]
    slingshot, grokked = decided["verdict"] == "slingshots", decided["grokking_step"].notna()
    found = proportion(int(slingshot.sum()), len(decided))
    low, high = found.interval or (None, None)
    medians = (
        *("slingshots", "first_transition", "grokking_step"),
        *("best_val_accuracy", "best_val_accuracy_before", "best_val_accuracy_after"),
    )
    return {
        "runs": len(part),
        "both": int((slingshot & grokked).sum()),
        "slingshot_only": int((slingshot & ~grokked).sum()),
        "grokked_only": int((~slingshot & grokked).sum()),
        "neither": int((~slingshot & ~grokked).sum()),
        "undecided": len(part) - len(decided),
        "share": found.value,
        "share_low": low,
        "share_high": high,
    } | {name: _median(part[name]) for name in medians}


def _median(column: pd.Series) -> float | None:
    known = column.dropna()
    return float(known.median()) if len(known) else None


def shown_value(value: object) -> str:
    """Return a short text of an entry of a configuration; a missing one is "-"."""
    import pandas as pd

    if pd.isna(value):  # type: ignore[call-overload]
        return "-"
    return f"{value:.12g}" if isinstance(value, float) else str(value)
