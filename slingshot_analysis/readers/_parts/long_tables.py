"""Tables with a row for each value, or for each split: one column with steps of its own for each kind of row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._names import built_in_names
from slingshot_analysis.readers._raw import Column

__all__ = ["SPLITS", "LongTable", "is_number", "long_table", "names_of"]

METRIC = ("metric", "metric_name", "metrics", "name", "tag", "key", "variable", "quantity", "measure")
VALUE = ("value", "values", "val", "metric_value", "scalar")
SPLIT = ("split", "input_type", "phase", "set", "subset", "dataset", "data", "mode", "stage", "partition")
LAYER = ("layer", "layer_name", "parameter", "param", "module")
"""Names of the columns of such tables, in lower case."""

SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing", "eval", "evaluation", "dev", "holdout")
"""What a column has to hold at least one of to tell splits apart."""


@dataclass(frozen=True)
class LongTable:
    """How the columns of such a table are used.

    Parameters
    ----------
    step : str
        The column of steps.
    labels : sequence of str
        Columns whose texts, joined with ``/``, name what a row holds.
    values : sequence of str
        Columns of numbers.
    named_by_labels : bool
        Whether the labels are the whole name of a value, or its column's name comes last.
    axes : sequence of str
        Other columns that count steps.
    """

    step: str
    labels: tuple[str, ...]
    values: tuple[str, ...]
    named_by_labels: bool
    axes: tuple[str, ...]

    @property
    def used(self) -> set[str]:
        """The columns that find their way into the result."""
        return {self.step, *self.labels, *self.values, *self.axes}

    def columns(self, cells: pd.DataFrame) -> dict[str, Column]:
        """Return a column for each combination of labels, its rows in the order of the table."""
        found: dict[str, Column] = {}
        filled = cells.fillna(dict.fromkeys(self.labels, ""))
        for labels, rows in filled.groupby(list(self.labels), sort=False):
            prefix = "/".join(str(label) for label in labels if label)
            for column in self.values:
                name = prefix if self.named_by_labels else f"{prefix}/{column}"
                if self.named_by_labels or bool(rows[column].notna().any()):
                    found[name] = Column(rows[column].to_numpy(), rows[self.step].to_numpy())
        for axis in self.axes:
            rows = cells[[self.step, axis]].dropna().drop_duplicates()
            found.setdefault(axis, Column(rows[axis].to_numpy(), rows[self.step].to_numpy()))
        return found


def long_table(cells: pd.DataFrame, path: Path) -> LongTable | None:
    """Tell how a table is to be read if it has a row for each value or each split; None for any other.

    Parameters
    ----------
    cells : DataFrame
        Columns of float64, and columns of text.
    path : Path
        To name in errors.

    Raises
    ------
    InputError
        If it is such a table without a column of steps.
    """
    texts = [column for column in names_of(cells) if not is_number(cells[column])]
    numbers = [column for column in names_of(cells) if is_number(cells[column])]
    metric, value = _named(texts, METRIC), _named(numbers, VALUE)
    split, layer = _named(texts, SPLIT), _named(texts, LAYER)
    is_long = metric is not None and value is not None
    if not is_long and (split is None or not _tells_splits(cells, split, numbers)):
        return None
    step = built_in_names().step_of([column for column in numbers if bool(cells[column].notna().any())])
    if step is None:
        kind = "value" if is_long else "split"
        raise InputError(
            f"{path}: the table has a row for each {kind} but no column of steps; add one named 'step' "
            f"(columns: {', '.join(names_of(cells))})"
        )
    axes = tuple(column for column in numbers if column != step and built_in_names().step_of([column]))
    if metric is not None and value is not None:
        labels = tuple(label for label in (split, metric, layer) if label is not None)
        return LongTable(step, labels, (value,), True, tuple(axis for axis in axes if axis != value))
    values = tuple(column for column in numbers if column != step and column not in axes)
    return LongTable(step, tuple(label for label in (split, layer) if label is not None), values, False, axes)


def names_of(cells: pd.DataFrame) -> list[str]:
    """Return the names of the columns."""
    return [str(name) for name in cells.columns]


def is_number(series: pd.Series[Any]) -> bool:
    """Tell a column of numbers from one of text."""
    return bool(series.dtype == np.float64)


def _named(columns: list[str], names: tuple[str, ...]) -> str | None:
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in names if name in lower), None)


def _tells_splits(cells: pd.DataFrame, column: str, numbers: list[str]) -> bool:
    words = cells[column].dropna().unique()
    if not any(str(word).lower() in SPLITS for word in words):
        return False
    named = any(number.lower().startswith(SPLITS) for number in numbers)
    return not (named and len(words) == 1)
