"""Make runs of a table: tell its runs apart, then read each one wide or long."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._names import built_in_names
from slingshot_analysis.readers._parts.long_tables import is_number, long_table, names_of
from slingshot_analysis.readers._raw import Column, RawRun

__all__ = ["runs_of_table", "unique_names"]

RUN = re.compile(r"(seed|run|trial|replicate)([ _-]?(id|name|index|number))?", re.IGNORECASE)
"""Names of columns that tell the runs of one table apart."""

SAME_START = 0.1
"""Runs counted by a number start together, within this share of all steps; the parts of a resumed run do not."""

MOSTLY = 0.5
"""A column is one of numbers if at least this share of its cells are; the others are missing values then."""

WORDS = {"true": 1.0, "false": 0.0}
DECIMAL = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?%?", re.IGNORECASE)
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
COUNT = re.compile(r"(?!.*per_)(.*[^a-z])?(errors|tokens|samples|steps)([^a-z].*)?", re.IGNORECASE)
"""Names of columns of whole numbers."""
MISSING = ("", "-", "--", "nan", "-nan", "none", "null", "na", "n/a")


def runs_of_table(
    frame: pd.DataFrame, path: Path, attributes: Mapping[str, Any] | None = None, notes: Sequence[str] = ()
) -> list[RawRun]:
    """Make runs of a table.

    Parameters
    ----------
    frame : DataFrame
        Rows in the order of the file; the names of its columns are unique strings.
    path : Path
        To name in errors.
    attributes : mapping, optional
        What is known of every run already.
    notes : sequence of str, optional
        What was noted of the file already.

    Returns
    -------
    list of RawRun
        One, unless a column such as ``seed`` tells several apart.

    Raises
    ------
    InputError
        If there are no rows or no numbers, or a long table has no steps.
    """
    if frame.empty:
        raise InputError(f"{path}: the table has no rows; nothing was logged to it")
    cells, odd = _cells(frame)
    if not any(is_number(cells[column]) and bool(cells[column].notna().any()) for column in names_of(cells)):
        raise InputError(f"{path}: no column holds numbers (columns: {_listing(cells)}); is this a training log?")
    noted = [*notes, *odd, *_repeated_rows(cells)]
    known = dict(attributes or {})
    marks = _run_marks(cells)
    if not marks:
        return [_run("", cells, path, known, noted)]
    runs = []
    for values, rows in cells.groupby(marks, sort=False, dropna=False):
        mark = dict(zip(marks, map(_plain, values), strict=True))
        name = ", ".join(f"{column} {value}" for column, value in mark.items())
        runs.append(_run(name, rows.drop(columns=marks), path, known | mark, noted))
    return runs


def unique_names(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Make names unique by numbering the later ones, and note which were repeated.

    Examples
    --------
    >>> unique_names(["step", "loss", "loss"])
    (['step', 'loss', 'loss (2)'], ["the header names 'loss' 2 times; the later ones are called 'loss (2)' and so on"])
    """
    given = list(names)
    taken, unique = set(given), []
    for position, name in enumerate(given):
        number = given[:position].count(name) + 1
        candidate = name if number == 1 else f"{name} ({number})"
        while number > 1 and candidate in taken:
            number += 1
            candidate = f"{name} ({number})"
        taken.add(candidate)
        unique.append(candidate)
    return unique, [
        f"the header names {name!r} {given.count(name)} times; the later ones are called '{name} (2)' and so on"
        for name in dict.fromkeys(given)
        if given.count(name) > 1
    ]


def _run(name: str, cells: pd.DataFrame, path: Path, known: Mapping[str, Any], notes: Sequence[str]) -> RawRun:
    """Make one run of the rows that belong to it; what is text in all of them holds for the whole run."""
    table = long_table(cells, path)
    attributes, dropped = dict(known), []
    for column in names_of(cells):
        values = cells[column].dropna().unique()
        text = not is_number(cells[column])
        if table is not None and column in table.used:
            continue
        if len(values) == 1 and (text or RUN.fullmatch(column)):
            attributes[column] = _plain(values[0])
        elif text or table is not None:
            dropped.append(column)
    if table is not None:
        columns = table.columns(cells)
    else:
        numbers = [column for column in names_of(cells) if is_number(cells[column]) and column not in attributes]
        columns = {column: Column(cells[column].to_numpy()) for column in numbers}
    if not columns:
        raise InputError(f"{path}: no column but {_listing(cells)} holds numbers; is this a training log?")
    left_out = f"columns left out, being text or beside the values of a long table: {', '.join(map(repr, dropped))}"
    return RawRun(name, columns, attributes, [*notes, left_out] if dropped else list(notes))


def _cells(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return a table of float64 and text columns, and what cells of the former were no numbers."""
    columns, notes = {}, []
    for name, series in frame.items():
        if pd.api.types.is_numeric_dtype(series) and series.dtype.kind != "c":
            columns[str(name)] = pd.Series(series.to_numpy(dtype=np.float64, na_value=np.nan))
            continue
        words = series.reset_index(drop=True).dropna().astype(str).str.strip()
        words = words[~words.str.lower().isin(MISSING)]
        words, spelling = _without_commas(str(name), words)
        notes += spelling
        numbers = words.map({word: _number(word) for word in words.unique()}).astype(np.float64)
        odd = words[numbers.isna()]
        if len(odd) <= MOSTLY * len(words):
            columns[str(name)] = numbers.reindex(range(len(series)))
            if len(odd):
                notes.append(f"{name!r}: {len(odd)} cells are no numbers and count as missing, first {odd.iloc[0]!r}")
        else:
            columns[str(name)] = words.reindex(range(len(series))).astype(object)
    return pd.DataFrame(columns), notes


def _without_commas(name: str, words: pd.Series[str]) -> tuple[pd.Series[str], list[str]]:
    """Return the words of a column without thousands separators and with decimal points, if all its commas are either.

    Where they may be both, they are the former in a column of steps or counts, and beside whole numbers below 1,000.
    Elsewhere these words are left out.
    """
    with_comma = words.str.contains(",", regex=False)
    commas = words[with_comma]
    if commas.empty:
        return words, []
    decimal = bool(commas.str.fullmatch(DECIMAL).all()) and not bool(words.str.contains(".", regex=False).any())
    thousands = bool(commas.str.fullmatch(THOUSANDS).all())
    if thousands and (not decimal or _is_counted(name, words[~with_comma])):
        return words.str.replace(",", "", regex=False), [f"{name!r}: commas separate thousands"]
    if thousands:
        unclear = f"{name!r}: commas may be decimal points or separate thousands, as in {commas.iloc[0]!r}"
        return words[~with_comma], [f"{unclear}; {len(commas)} cells count as missing"]
    if decimal:
        return words.str.replace(",", ".", regex=False), [f"{name!r}: commas are decimal points"]
    return words, []


def _is_counted(name: str, others: pd.Series[str]) -> bool:
    """Tell whether a column holds whole numbers, by its name or by those of its words that have no comma."""
    is_count = built_in_names().step_of([name]) is not None or COUNT.fullmatch(name) is not None
    return is_count or bool(others.str.fullmatch(r"[-+]?\d{1,3}").any())


def _number(word: str) -> float:
    try:
        return WORDS[word.lower()] if word.lower() in WORDS else float(word.removesuffix("%"))
    except ValueError:
        return np.nan


def _run_marks(cells: pd.DataFrame) -> list[str]:
    """Return the columns that tell several runs apart."""
    counts = {column: cells[column].nunique() for column in names_of(cells) if RUN.fullmatch(column)}
    several = [column for column, count in counts.items() if 1 < count <= len(cells) / 2]
    return [column for column in several if not is_number(cells[column]) or _restarts(cells, column)]


def _restarts(cells: pd.DataFrame, column: str) -> bool:
    """Tell whether the steps of all values of a column of integers start together."""
    if bool((cells[column].dropna() % 1 != 0).any()):
        return False
    step = built_in_names().step_of(name for name in names_of(cells) if name != column and is_number(cells[name]))
    if step is None:
        return True
    starts = cells.groupby(column)[step].min()
    return bool(starts.max() - starts.min() <= SAME_START * (cells[step].max() - starts.min()))


def _repeated_rows(cells: pd.DataFrame) -> list[str]:
    count = int(cells.duplicated().sum())
    return [f"rows that repeat an earlier row exactly: {count}; they are left in"] if count else []


def _plain(value: Any) -> Any:
    """Return a cell as a Python value, an integral number as an int."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(value)
    return str(value)


def _listing(cells: pd.DataFrame) -> str:
    names = names_of(cells)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
