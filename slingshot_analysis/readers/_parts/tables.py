"""Make runs of a table: separate its runs, then read each one in wide or long layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slingshot_analysis.errors import InputError
from slingshot_analysis.readers._names import built_in_names
from slingshot_analysis.readers._parts.cells import Cells, Literals, names_of, numbers_of, to_cells
from slingshot_analysis.readers._parts.long_tables import long_table
from slingshot_analysis.readers._parts.points import listed
from slingshot_analysis.readers._raw import Numbers, RawRun

if TYPE_CHECKING:
    import pandas as pd

RUN = re.compile(r"(seed|run|trial|replicate|experiment)([ ._-]?(id|name|index|number|hash|key|uuid))?", re.IGNORECASE)
"""Names of columns that identify the runs of a table."""

SAME_START = 0.1
"""Maximum spread of the first steps of numbered runs, as a share of all steps. Parts of a resumed run exceed it."""

MOST_COMPARED = 1000
"""Maximum number of columns of a table whose rows are compared with each other."""

PREFIXED = re.compile(r"(?P<run>.+?) - (?P<metric>.+?)(?P<bound>__(MIN|MAX))?")
"""Column of an exported chart: the run, the metric, and perhaps the minimum or maximum of averaged points."""


def runs_of_table(
    frame: pd.DataFrame,
    path: Path,
    attributes: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    literals: Literals | None = None,
) -> list[RawRun]:
    """Make runs of a table.

    Parameters
    ----------
    frame : DataFrame
        Rows in the order of the file; the names of its columns are unique strings. See `to_cells` for missing values.
    path : Path
        To name in errors.
    attributes : mapping, optional
        What is known of every run already.
    notes : sequence of str, optional
        What was noted of the file already.
    literals : mapping of str to (n,) bool array, optional
        Rows in which NaN was logged, for columns of numbers.

    Returns
    -------
    list of RawRun
        One, unless a column such as ``seed``, or the names of an exported chart, tell several apart.

    Raises
    ------
    InputError
        If there are no rows or no numbers, or a long table has no steps.
    """
    if frame.empty:
        raise InputError(f"{path}: the table has no rows; nothing was logged to it")
    cells = to_cells(frame, literals)
    table = cells.frame
    if not any(bool(table[column].notna().any()) for column in numbers_of(table)):
        raise InputError(
            f"{path}: no column holds numbers (columns: {listed(names_of(table), 8)}); is this a training log?"
        )
    noted = [*notes, *cells.notes]
    noted += repeated_rows([table[column].to_numpy() for column in numbers_of(table)], lambda: table)
    known = dict(attributes or {})
    if charts := _charts(table):
        return _runs_of_charts(cells, charts, path, known, noted)
    marks = _run_marks(table)
    if not marks:
        return [_run("", cells, table, path, known, noted)]
    runs = []
    for values, rows in table.groupby(marks, sort=False, dropna=False):
        mark = dict(zip(marks, map(_plain, values), strict=True))
        name = ", ".join(f"{column} {value}" for column, value in mark.items())
        runs.append(_run(name, cells, rows.drop(columns=marks), path, known | mark, noted))
    return runs


def _run(
    name: str, cells: Cells, rows: pd.DataFrame, path: Path, known: Mapping[str, Any], notes: Sequence[str]
) -> RawRun:
    """Make one run of the rows that belong to it; text that is the same in all of them is an attribute of the run."""
    table = long_table(rows, path)
    constant: dict[str, Any] = {}
    dropped: list[str] = []
    numbers = numbers_of(rows)
    numeric = set(numbers)
    for column in names_of(rows):
        text = column not in numeric
        if (table is not None and column in table.used) or not (text or table is not None or RUN.fullmatch(column)):
            continue
        values = rows[column].dropna().unique()
        if len(values) == 1 and (text or RUN.fullmatch(column)):
            constant[column] = _plain(values[0])
        elif text or table is not None:
            dropped.append(column)
    if table is not None:
        columns, more = table.columns(cells, rows)
        notes = [*notes, *more]
    else:
        columns = {column: cells.column(column, rows) for column in numbers if column not in constant}
    if not columns:
        raise InputError(f"{path}: no column but {listed(names_of(rows), 8)} holds numbers; is this a training log?")
    left_out = f"columns left out, being text or beside the values of a long table: {listed(map(repr, dropped), 8)}"
    return RawRun(name, columns, {**known, **constant}, [*notes, left_out] if dropped else list(notes))


def _charts(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return for each run of an exported chart its columns by metric; nothing for any other table."""
    numbers = numbers_of(table)
    step = built_in_names().step_of(numbers)
    found = {column: PREFIXED.fullmatch(column) for column in numbers if column != step}
    if step is None or not found or not all(found.values()):
        return {}
    charts: dict[str, dict[str, str]] = {}
    for column, match in found.items():
        if match is not None and match["bound"] is None:
            charts.setdefault(match["run"], {})[match["metric"]] = column
    return charts


def _runs_of_charts(
    cells: Cells, charts: Mapping[str, Mapping[str, str]], path: Path, known: Mapping[str, Any], notes: Sequence[str]
) -> list[RawRun]:
    taken = {column for columns in charts.values() for column in columns.values()}
    bounds = sum(column.endswith(("__MIN", "__MAX")) for column in names_of(cells.frame))
    notes = [*notes, f"columns left out, being bounds of the values beside them: {bounds}"] if bounds else list(notes)
    runs = []
    for run, columns in charts.items():
        others = [column for column in numbers_of(cells.frame) if " - " not in column]
        rows = cells.frame[[*others, *columns.values()]]
        names = {column: metric for metric, column in columns.items()}
        made = _run("", cells, rows.drop(columns=sorted(taken - set(names) & set(rows.columns))), path, known, notes)
        renamed = {names.get(name, name): column for name, column in made.columns.items()}
        runs.append(replace(made, name=run if len(charts) > 1 else "", columns=renamed))
    return runs


def _run_marks(table: pd.DataFrame) -> list[str]:
    """Return the columns that identify several runs."""
    counts = {column: table[column].nunique() for column in names_of(table) if RUN.fullmatch(column)}
    several = [column for column, count in counts.items() if 1 < count <= len(table) / 2]
    numeric = set(numbers_of(table)) if several else set()
    return [column for column in several if column not in numeric or _restarts(table, column)]


def _restarts(table: pd.DataFrame, column: str) -> bool:
    """Return whether all runs of a column of run numbers start at about the same step."""
    if bool((table[column].dropna() % 1 != 0).any()):
        return False
    step = built_in_names().step_of(name for name in numbers_of(table) if name != column)
    if step is None:
        return True
    starts = table.groupby(column)[step].min()
    return bool(starts.max() - starts.min() <= SAME_START * (table[step].max() - starts.min()))


def repeated_rows(numbers: Sequence[Numbers], table: Callable[[], pd.DataFrame]) -> list[str]:
    """Note how many rows of a table repeat an earlier one. None does if a column of numbers increases."""
    if len(numbers) > MOST_COMPARED or any(bool((column[1:] > column[:-1]).all()) for column in numbers):
        return []
    whole = table()
    count = int(whole.duplicated().sum()) if len(whole.columns) <= MOST_COMPARED else 0
    return [f"rows that repeat an earlier row exactly: {count}; they are left in"] if count else []


def frame_of(numbers: Sequence[Numbers]) -> pd.DataFrame:
    """Return columns of numbers as a table, named by their positions."""
    import pandas as pd

    return pd.DataFrame(dict(enumerate(numbers)))


def _plain(value: Any) -> Any:
    """Return a cell as a Python value, an integral number as an int."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(value)
    return str(value)
