"""The table of runs: one row for each, with what was found in it and its configuration."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slingshot_analysis.analysis import Analysis
from slingshot_analysis.errors import InputError
from slingshot_analysis.safe_text import without_formula

if TYPE_CHECKING:
    import pandas as pd

RESULTS: dict[str, Any] = {
    "name": object,
    "path": object,
    "verdict": object,
    "slingshots": "int64",
    "spikes_without_norm_growth": "int64",
    "loss_spikes": "int64",
    "spike_score": float,
    "spike_score_1000": float,
    "gradient_spike_score_1000": float,
    "first_transition": "Int64",
    "grokking_step": "Int64",
    "best_val_accuracy": float,
    "best_val_accuracy_before": float,
    "best_val_accuracy_after": float,
    "final_val_accuracy": float,
    "jumps": "int64",
    "jumps_near": "int64",
    "p_value": float,
}
"""The columns of results, and their types; all other columns are the configuration."""
STEPS = ("first_transition", "grokking_step")
RESERVED = {
    *RESULTS,
    *("configuration", "others", "runs", "decided", "undecided", "both", "slingshot_only", "grokked_only", "neither"),
    *(f"{name}{end}" for name in ("share", "slingshots", "best_val_accuracy") for end in ("", "_low", "_high")),
}
"""Columns of results here and in the tables made from this one; no entry of a configuration gets such a name."""


def runs_table(analyses: Sequence[Analysis]) -> pd.DataFrame:
    """Return one row for each run, in the order given.

    Parameters
    ----------
    analyses : sequence of Analysis
        One for each run.

    Returns
    -------
    DataFrame
        ``name``, ``path``, ``verdict``; ``slingshots`` and ``spikes_without_norm_growth``, their numbers from
        confidence 0.5 on; ``loss_spikes``, the number of those of any kind; ``spike_score``, ``spike_score_1000`` and
        ``gradient_spike_score_1000`` of `Analysis`; ``first_transition`` of the slingshots; ``grokking_step``;
        ``best_val_accuracy`` of the run, ``_before`` and ``_after`` the first transition (a run without slingshots lies
        wholly before), and ``final_val_accuracy``; ``jumps``, ``jumps_near`` and ``p_value`` of the run's own
        association test. Steps are integers unless one is fractional. Then there is one column for each entry of the
        configurations, by dotted name, with ``config.`` before it if a column of results has that name. It is missing
        where a run has no such entry.

    Examples
    --------
    >>> import numpy as np
    >>> from slingshot_analysis import Signal, analyze
    >>> run = analyze({"val_accuracy": Signal(np.arange(0, 1000, 10), np.linspace(0, 0.7, 100))})
    >>> table = runs_table([run])
    >>> table["slingshots"].tolist(), table["best_val_accuracy_before"].tolist()
    ([0], [0.7])
    """
    import pandas as pd

    rows = [
        {
            "name": analysis.name,
            "path": analysis.path,
            "verdict": analysis.verdict,
            "slingshots": len(analysis.certain),
            "spikes_without_norm_growth": len(analysis.certain_spikes),
            "loss_spikes": len(analysis.loss_spikes),
            "spike_score": analysis.spike_score,
            "spike_score_1000": analysis.spike_score_1000,
            "gradient_spike_score_1000": analysis.gradient_spike_score_1000,
            "first_transition": min((s.transition for s in analysis.certain), default=None),
            "grokking_step": analysis.grokking_step,
            "best_val_accuracy": max(_bests(analysis), default=None),
            "best_val_accuracy_before": analysis.best_val_accuracy_before,
            "best_val_accuracy_after": analysis.best_val_accuracy_after,
            "final_val_accuracy": analysis.final_val_accuracy,
            "jumps": analysis.association.jumps,
            "jumps_near": analysis.association.jumps_near_transitions,
            "p_value": analysis.association.p_value,
        }
        for analysis in analyses
    ]
    fractional = {name: "Float64" for name in STEPS if any(isinstance(row[name], float) for row in rows)}
    results = pd.DataFrame(rows, columns=list(RESULTS)).astype(RESULTS | fractional)
    keys = list(dict.fromkeys(key for analysis in analyses for key in analysis.config))
    configurations = {
        name: _column([analysis.config.get(key) for analysis in analyses])
        for key, name in zip(keys, _column_names(keys), strict=True)
    }
    return pd.concat([results, pd.DataFrame(configurations, index=results.index)], axis=1)


def check_table_path(path: str | Path) -> Path:
    """Return the path if `write_table` can write a table of that name.

    Raises
    ------
    InputError
        If it ends in neither .csv nor .parquet, or in .parquet and pyarrow is missing.
    """
    path = Path(path)
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise InputError(f"{path}: a table is written as CSV or Parquet; give a name that ends in .csv or .parquet")
    if path.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InputError(f'{path}: needs pyarrow: pip install "slingshot-analysis[parquet]", or give a .csv')
    return path


def write_table(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a table as CSV or Parquet, as the suffix of its name says.

    Parameters
    ----------
    table : DataFrame
        Such as that of `runs_table`; numbers are written with all digits.
    path : path-like
        Ends in .csv or .parquet. Missing folders are made, and an existing file is replaced.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    InputError
        If the name has another suffix, pyarrow is missing for Parquet, or the file can't be written.
    """
    path = check_table_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".csv":
            texts = table.select_dtypes(exclude=["number", "bool", "boolean"]).map(without_formula)
            table.assign(**texts).rename(columns=without_formula).to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False, engine="pyarrow")
    except OSError as error:
        raise InputError(f"{path}: can't be written ({error.strerror or error})") from error
    return path


def _bests(analysis: Analysis) -> list[float]:
    return [best for best in (analysis.best_val_accuracy_before, analysis.best_val_accuracy_after) if best is not None]


def _column_names(keys: Sequence[str]) -> list[str]:
    """Return a column name for each key, with ``config.`` before it as often as it takes to be a new one."""
    taken = RESERVED | set(keys)
    names = []
    for key in keys:
        name = key
        while name in (RESERVED if name == key else taken):
            name = f"config.{name}"
        taken.add(name)
        names.append(name)
    return names


def _column(values: list[object]) -> pd.Series:
    """Return a column of the narrowest type that holds all values and marks missing ones."""
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int}:
        return pd.Series(values, dtype="Int64")
    if kinds <= {int, float}:
        return pd.Series(values, dtype=float)
    return pd.Series([None if value is None else str(value) for value in values], dtype=object)
