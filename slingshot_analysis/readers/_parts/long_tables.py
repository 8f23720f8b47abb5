"""Read tables with a row for each value or each split. Each kind of row becomes a column with its own steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._names import built_in_names
from slingshot_analysis.readers._parts.cells import Cells, names_of, numbers_of
from slingshot_analysis.readers._parts.points import listed
from slingshot_analysis.readers._raw import Column

if TYPE_CHECKING:
    import pandas as pd

METRIC = ("metric", "metric_name", "metrics", "name", "tag", "key", "variable", "quantity", "measure")
VALUE = ("value", "values", "val", "metric_value", "scalar")
SPLIT = ("split", "input_type", "phase", "set", "subset", "dataset", "data", "mode", "stage", "partition")
CONTEXT = ("metric_context", "context")
LAYER = ("layer", "layer_name", "parameter", "param", "module")
"""Names of the columns of such tables: in lower case, with ``_`` between their words."""

SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing", "eval", "evaluation", "dev", "holdout")
"""Names of splits. A column of splits contains at least one of them."""

WORDS, CAMEL = re.compile(r"[\W_]+"), re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Boundaries between the words of a name, as in ``metric.name`` and ``metricName``."""

TRAINING = ("train", "training")
WORD_OF_CONTEXT = re.compile(r"""['"]?\w+['"]?\s*[:=]\s*['"]?([\w.-]+)""")
"""The value in a context such as ``{'subset': 'train'}``."""


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
        Whether the labels are the whole name of a value. Otherwise the name of its column follows them.
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
        """The columns of the table that are read."""
        return {self.step, *self.labels, *self.values, *self.axes}

    def columns(self, cells: Cells, rows: pd.DataFrame) -> tuple[dict[str, Column], list[str]]:
        """Return a column for each combination of labels, in the order of the table, and notes on their steps."""
        found: dict[str, Column] = {}
        rows, notes = self._with_true_steps(rows)
        filled = rows.assign(**{label: rows[label].fillna("").map(_in_context) for label in self.labels})
        for labels, part in filled.groupby(list(self.labels), sort=False):
            prefix = "/".join(str(label) for label in labels if label)
            for column in self.values:
                name = prefix if self.named_by_labels else f"{prefix}/{column}"
                if self.named_by_labels or bool(part[column].notna().any()):
                    found[name] = cells.column(column, part, self.step)
        for axis in self.axes:
            known = rows[[self.step, axis]].dropna().drop_duplicates()
            found.setdefault(axis, Column(known[axis].to_numpy(), known[self.step].to_numpy()))
        return found, notes

    def _with_true_steps(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
        """Give evaluations the step of the training row above where their own steps count something else.

        Some trainers write the number of batches of the validation set as the step, which is always the same.
        """
        split = self.labels[0]
        if self.named_by_labels:
            return rows, []
        training = rows[split].fillna("").str.lower().isin(TRAINING)
        others = rows[~training]
        constant = others.groupby(split)[self.step].agg(["nunique", "count"])
        wrong = constant[(constant["nunique"] == 1) & (constant["count"] > 1)].index
        if not len(wrong) or not training.any():
            return rows, []
        above = rows[self.step].where(training).ffill()
        replaced = rows[split].isin(wrong) & above.notna()
        rows = rows.assign(**{self.step: rows[self.step].where(~replaced, above)})
        splits = ", ".join(repr(str(word)) for word in wrong)
        return rows, [
            f"{self.step!r} is the same in all rows of {splits}: they take the step of the training row above them"
        ]


def long_table(cells: pd.DataFrame, path: Path) -> LongTable | None:
    """Return how to read a table with a row for each value or each split. None for any other table.

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
    numbers = numbers_of(cells)
    numeric = set(numbers)
    texts = [column for column in names_of(cells) if column not in numeric]
    metric, value = _named(texts, METRIC), _named(numbers, VALUE)
    split, layer = _named(texts, SPLIT) or _named(texts, CONTEXT), _named(texts, LAYER)
    is_long = metric is not None and value is not None
    if not is_long and (split is None or not _tells_splits(cells, split, numbers)):
        return None
    step = built_in_names().step_of([column for column in numbers if bool(cells[column].notna().any())])
    if step is None:
        kind = "value" if is_long else "split"
        raise InputError(
            f"{path}: the table has a row for each {kind} but no column of steps; add one named 'step' "
            f"(columns: {listed(names_of(cells), 8)})"
        )
    axes = tuple(column for column in numbers if column != step and built_in_names().step_of([column]))
    if metric is not None and value is not None:
        labels = tuple(label for label in (split, metric, layer) if label is not None)
        return LongTable(step, labels, (value,), True, tuple(axis for axis in axes if axis != value))
    values = tuple(column for column in numbers if column != step and column not in axes)
    return LongTable(step, tuple(label for label in (split, layer) if label is not None), values, False, axes)


def _named(columns: list[str], names: tuple[str, ...]) -> str | None:
    by_words = {WORDS.sub("_", CAMEL.sub("_", column)).lower(): column for column in reversed(columns)}
    return next((by_words[name] for name in names if name in by_words), None)


def _in_context(label: str) -> str:
    """Return the split in a label such as ``{'subset': 'train'}``, and any other label as it is."""
    if not label.startswith("{"):
        return label
    found = WORD_OF_CONTEXT.search(label)
    return found[1] if found else ""


def _tells_splits(cells: pd.DataFrame, column: str, numbers: list[str]) -> bool:
    words = cells[column].dropna().unique()
    if not any(str(word).lower() in SPLITS for word in words):
        return False
    named = any(number.lower().startswith(SPLITS) for number in numbers)
    return not (named and len(words) == 1)
