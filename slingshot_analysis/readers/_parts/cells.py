"""Turn the cells of a table into numbers, in any usual spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.readers._names import built_in_names
from slingshot_analysis.readers._raw import Column
from slingshot_analysis.safe_text import printable

if TYPE_CHECKING:
    import pandas as pd

MINIMUM_NUMBERS = 0.5
"""Minimum share of numbers among the cells of a column of numbers. Its other cells count as missing."""

MISSING = ("", "-", "--", "none", "null", "na", "n/a", "#n/a", "#na", "<na>", "nil", "nat")
"""Texts of cells without a value, in lower case."""

WORDS = {"true": 1.0, "false": 0.0, "1.#inf": np.inf, "+1.#inf": np.inf, "-1.#inf": -np.inf}
NAN = re.compile(r"[-+]?(1\.#)?([qs]?nan|ind)\d*(\(.*\))?", re.IGNORECASE)
"""Spellings of NaN in programs, such as ``-nan(ind)``."""

OBJECT = re.compile(r"[a-z_][\w.]*\(\[?([^\]\[(),]+),?\]?(?:,[^()]*)?\)|\[([^\]\[(),]+)\]", re.IGNORECASE)
"""A number as an object prints it, such as ``tensor(0.5, device='cuda:0')`` or ``[0.5]``."""

UNITS = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}
"""Suffixes of large numbers, as in ``1.3M``."""

DECIMAL = re.compile(r"[-+]?\d+,\d+(e[-+]?\d+)?%?", re.IGNORECASE)
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
COUNT = re.compile(r"(?!.*per_)(.*[^a-z])?(errors|tokens|samples|steps)([^a-z].*)?", re.IGNORECASE)
"""Names of columns of whole numbers."""

Literals = Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Cells:
    """A table of float64 and text columns.

    Parameters
    ----------
    frame : DataFrame
        Rows numbered from 0.
    literals : mapping of str to (n,) bool array
        Rows in which NaN was logged, by column. Everywhere else NaN stands for a cell without a value.
    notes : list of str
        What had to be interpreted, one sentence each.
    """

    frame: pd.DataFrame
    literals: Literals
    notes: list[str] = field(default_factory=list)

    def column(self, name: str, rows: pd.DataFrame, step: str | None = None) -> Column:
        """Return a column at some of the rows of `frame`; `step` names the column of its own steps, if it has any."""
        values = rows[name].to_numpy()
        missing = np.isnan(values)
        if name in self.literals:
            missing &= ~self.literals[name][rows.index.to_numpy()]
        return Column(values, None if step is None else rows[step].to_numpy(), missing)


def to_cells(frame: pd.DataFrame, literals: Literals | None = None) -> Cells:
    """Turn a table of anything into columns of float64 and of text.

    Parameters
    ----------
    frame : DataFrame
        Columns of numbers, with NaN for a missing value, and columns of objects, with None for one.
    literals : mapping of str to (n,) bool array, optional
        Rows in which NaN was logged, for columns of numbers.
    """
    import pandas as pd

    columns: dict[str, pd.Series[Any]] = {}
    found = dict(literals or {})
    notes: list[str] = []
    for name, series in ((str(name), series) for name, series in frame.reset_index(drop=True).items()):
        if pd.api.types.is_numeric_dtype(series) and series.dtype.kind != "c":
            columns[name] = pd.Series(series.to_numpy(dtype=np.float64, na_value=np.nan))
            continue
        numbers, logged = _of_objects(series)
        if numbers is None:
            columns[name], logged, said = _of_words(name, series)
            notes += said
        else:
            columns[name] = pd.Series(numbers)
        if logged is not None and logged.any():
            found[name] = logged
    return Cells(pd.DataFrame(columns), found, notes)


def names_of(frame: pd.DataFrame) -> list[str]:
    """Return the names of the columns."""
    return [str(name) for name in frame.columns]


def numbers_of(frame: pd.DataFrame) -> list[str]:
    """Return the names of the columns of numbers; the others hold text."""
    return [str(name) for name, kind in frame.dtypes.items() if kind == np.float64]


def _of_objects(series: pd.Series[Any]) -> tuple[npt.NDArray[np.float64] | None, npt.NDArray[np.bool_] | None]:
    """Return the numbers of a column of plain numbers and None, and the rows where NaN was logged."""
    objects = series.to_numpy(dtype=object)
    try:
        numbers = np.array(objects, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None, None
    return numbers, np.isnan(numbers) & ~_missing(series)


def _of_words(name: str, series: pd.Series[Any]) -> tuple[pd.Series[Any], npt.NDArray[np.bool_] | None, list[str]]:
    """Return a column of text as numbers if most of its cells are numbers, the rows where NaN was logged, and notes."""
    rows = len(series)
    words = series.dropna().map(_text).str.strip()
    words = words[~words.str.lower().isin(MISSING)]
    words, notes = _without_commas(name, words)
    distinct = words.unique()
    numbers = words.map({word: _number(word) for word in distinct}).astype(np.float64)
    literal = words.isin([word for word in distinct if NAN.fullmatch(word)])
    odd = words[numbers.isna() & ~literal]
    if len(odd) > MINIMUM_NUMBERS * len(words):
        return words.reindex(range(rows)).astype(object), None, notes
    if len(odd):
        notes.append(f"{name!r}: {len(odd)} cells are no numbers and count as missing, first {odd.iloc[0][:60]!r}")
    if any(word.endswith("%") for word in distinct):
        notes.append(f"{name!r}: written with %, divided by 100")
    logged = np.zeros(rows, dtype=bool)
    logged[literal[literal].index.to_numpy()] = True
    logged |= series.isna().to_numpy() & ~_missing(series)
    return numbers.reindex(range(rows)), logged, notes


def _missing(series: pd.Series[Any]) -> Any:
    """Return which cells have no value. Among objects a float NaN is a value; a column of strings can't hold one."""
    missing = series.isna().to_numpy(dtype=bool)
    if series.dtype != object:
        return missing
    floats = np.fromiter((isinstance(cell, float) for cell in series), dtype=bool, count=len(series))
    return missing & ~floats


def _text(cell: Any) -> str:
    try:
        return printable(str(cell), 1000)
    except (ValueError, RecursionError):  # an integer of thousands of digits
        return "inf" if isinstance(cell, int) and cell > 0 else "-inf" if isinstance(cell, int) else ""


def _without_commas(name: str, words: pd.Series[str]) -> tuple[pd.Series[str], list[str]]:
    """Return the words of a column with commas removed or made decimal points, if all commas have the same meaning.

    Commas that may have either meaning separate thousands in a column of steps or counts, and beside whole numbers
    below 1,000. In any other column these words are left out.
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
    """Return whether a column holds whole numbers, judged by its name or by its words without commas."""
    is_count = built_in_names().step_of([name]) is not None or COUNT.fullmatch(name) is not None
    return is_count or bool(others.str.fullmatch(r"[-+]?\d{1,3}").any())


def _number(word: str) -> float:
    """Return the number that a word stands for, NaN if it is none."""
    word = word[:200]
    if found := OBJECT.fullmatch(word):
        word = (found[1] or found[2]).strip()
    scale = 1.0
    if word.endswith("%"):
        word, scale = word[:-1], 0.01
    elif word[-1:] in UNITS and word[:-1].rstrip()[-1:].isdigit():
        word, scale = word[:-1], UNITS[word[-1]]
    if word.lower() in WORDS:
        return WORDS[word.lower()]
    try:
        return round(float(word) * scale, 15) if scale == 0.01 else float(word) * scale
    except ValueError:
        return np.nan
