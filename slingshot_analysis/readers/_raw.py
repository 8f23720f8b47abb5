"""What a reader returns: runs of named columns, not yet interpreted as signals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError

Numbers = npt.NDArray[np.float64]

MOST_NAN = 0.5
"""Share of NaN, up to the last number of a column, above which NaN stands for a missing value."""


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a log, unchanged.

    Parameters
    ----------
    values : (n,) float array
        One number for each row.
    step : (n,) float array or None
        Steps of the values, in formats that give each value its own step, such as TensorBoard. None for a column of
        a table, whose steps are another column.
    missing : (n,) bool array or None, optional
        Rows that have no value; their entry in `values` is NaN. Every other NaN is a value that was logged, unless NaN
        fills most rows between numbers: then it stands for no value too.

    Raises
    ------
    InputError
        If the arrays are not of one dimension and length.
    """

    values: Numbers
    step: Numbers | None = None
    missing: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for name, kind in (("values", np.float64), ("step", np.float64), ("missing", np.bool_)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=kind))
        for given in (self.step, self.missing):
            if self.values.ndim != 1 or (given is not None and given.shape != self.values.shape):
                raise InputError("a column holds one number a row, and as many steps if it has its own")

    @property
    def logged(self) -> npt.NDArray[np.bool_]:
        """Rows that hold a value: a number, or a NaN that was logged."""
        present = np.ones(len(self.values), dtype=bool) if self.missing is None else ~self.missing
        return present & ~np.isnan(self.values) if self.is_filled else present

    @property
    def is_filled(self) -> bool:
        """Whether rows without a value were filled with NaN."""
        nan = np.isnan(self.values if self.missing is None else self.values[~self.missing])
        numbers = np.flatnonzero(~nan)
        return bool(nan[: numbers[-1]].sum() > MOST_NAN * numbers[-1]) if len(numbers) else bool(len(nan))

    def rows(self, index: Any) -> Column:
        """Return the column at some rows, given as a NumPy index."""
        step, missing = (None if given is None else given[index] for given in (self.step, self.missing))
        return Column(self.values[index], step, missing)


@dataclass(frozen=True)
class LineTemplate:
    """Lines of a text log that are equal except for their numbers.

    Parameters
    ----------
    text : str
        What they have in common, with ``{name}`` for the numbers that are used and ``{}`` for the others.
    example : str
        The first of them.
    number : int
        The line number of the example, from 1.
    count : int
        How many there are.
    columns : sequence of str
        The columns that they give.
    """

    text: str
    example: str
    number: int
    count: int
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class RawRun:
    """One run of a log.

    Parameters
    ----------
    name : str
        Distinguishes it from the other runs of the file, such as ``seed 3``; empty if it is the only one.
    columns : mapping of str to Column
        In the order of the file. All columns without steps of their own have the same length.
    attributes : mapping of str to value, optional
        Plain values that hold for the whole run, such as its configuration.
    notes : sequence of str, optional
        What was changed or left out while reading, one sentence each.
    templates : sequence of LineTemplate, optional
        The lines of a text from which the columns were read.
    """

    name: str
    columns: Mapping[str, Column]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    templates: Sequence[LineTemplate] = ()


def plain(value: Any) -> Any:
    """Return a NumPy scalar as a Python value. A float32 keeps its shortest decimal form.

    Examples
    --------
    >>> plain(np.float32(0.001)), plain(np.int64(3))
    (0.001, 3)
    """
    return float(str(value)) if isinstance(value, np.floating) else value.item()


class Reader(ABC):
    """A format of log files. A module in ``readers/`` subclasses it and is named in ``readers/__init__.py``.

    Another package gives it as an entry point of the group ``slingshot_analysis.readers``.
    """

    name: ClassVar[str]
    """Name for the argument `format` of `read_log`."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Usual endings of its files, in lower case, with the dot."""

    @abstractmethod
    def recognizes(self, path: Path, head: bytes) -> bool:
        """Return whether a file is of this format, judged by its name and beginning.

        `head` holds the first 64 KiB, or more where lines are long; it is empty for a folder.
        """

    @abstractmethod
    def read(self, path: Path) -> list[RawRun]:
        """Read all runs of a file.

        Raises
        ------
        InputError
            If the file can't be read; the message names the file and the line or key, and what to do.
        """
