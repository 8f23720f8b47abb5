"""One table of a run, joined by step, as CSV or Parquet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.export._selection import LARGEST_STEP, Selection
from slingshot_analysis.files import replaced
from slingshot_analysis.safe_text import without_formula
from slingshot_analysis.trace.trace import columns_of

if TYPE_CHECKING:
    import pandas as pd


def write_csv(run: Selection, path: Path) -> Path:
    """Write a run as CSV: numbers with all digits, an empty cell for what was not measured, ``nan`` for NaN."""
    table = joined(run).rename(columns=without_formula)
    with replaced(path) as aside:
        table.to_csv(aside)
    return path


def write_parquet(run: Selection, path: Path) -> Path:
    """Write a run as Parquet, with null for what was not measured, and NaN for NaN."""
    with replaced(path) as aside:
        joined(run).reset_index().to_parquet(aside, index=False, engine="pyarrow")
    return path


def joined(run: Selection) -> pd.DataFrame:
    """Return the signals as columns that tell what was not measured from NaN, indexed by step."""
    import pandas as pd

    groups = {group: run.steps_of(group) for group in run.groups}
    steps = np.unique(np.concatenate(list(groups.values())))
    columns: dict[str, Any] = {}
    for names in run.groups.values():
        for name, signal in run.read(names).items():
            rows = np.searchsorted(steps, signal.step)
            for column, values in columns_of(replace(signal, name=name)).items():
                columns[column] = _column(values, rows, len(steps))
    if steps.dtype.kind == "f" and np.all(steps % 1 == 0) and np.all(np.abs(steps) < LARGEST_STEP):
        steps = steps.astype(np.int64)
    return pd.DataFrame(columns, index=pd.Index(steps, name="step"))


def _column(values: npt.NDArray[Any], rows: npt.NDArray[np.int64], length: int) -> Any:
    """Return values at some rows of a longer column, in which the other rows are missing; floats as float64."""
    import pandas as pd

    missing = np.ones(length, dtype=bool)
    missing[rows] = False
    if values.dtype.kind in "bi":
        whole = np.zeros(length, np.int64)
        whole[rows] = values
        return pd.arrays.IntegerArray(whole, missing)
    filled = np.zeros(length, np.float64)
    filled[rows] = values
    return pd.arrays.FloatingArray(filled, missing)
