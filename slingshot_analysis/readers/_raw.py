"""What a reader makes of a file: runs of named columns, before anybody has asked what the columns mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError

__all__ = ["Column", "RawRun", "Reader", "plain"]

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a log, as it stands there.

    Parameters
    ----------
    values : (n,) float array
        NaN where a row has no value.
    step : (n,) float array or None
        Where the format itself gives each value a step, as TensorBoard does. None for a column of a table, whose
        steps are another column.
    """

    values: Numbers
    step: Numbers | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values, dtype=np.float64))
        if self.step is not None:
            object.__setattr__(self, "step", np.asarray(self.step, dtype=np.float64))
        if self.values.ndim != 1 or (self.step is not None and self.step.shape != self.values.shape):
            raise InputError("a column holds one number a row, and as many steps if it has its own")


@dataclass(frozen=True, eq=False)
class RawRun:
    """One run of a log.

    Parameters
    ----------
    name : str
        What tells it from the other runs of the same file, such as ``seed 3``; empty if it is the only one.
    columns : mapping of str to Column
        In the order of the file. Columns without steps of their own are all of one length.
    attributes : mapping of str to value, optional
        Plain values that hold for the whole run, such as its configuration.
    notes : sequence of str, optional
        What had to be handled on the way and a reader of the result should know, one sentence each.
    """

    name: str
    columns: Mapping[str, Column]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


def plain(value: Any) -> Any:
    """Return a NumPy scalar as a Python value, a float of low precision with the digits that it was given.

    Examples
    --------
    >>> plain(np.float32(0.001)), plain(np.int64(3))
    (0.001, 3)
    """
    return float(str(value)) if isinstance(value, np.floating) else value.item()


class Reader(ABC):
    """A format of log. Subclass it in a file of its own and name it in ``readers/__init__.py``.

    From outside, give an instance as an entry point of the group ``slingshot_analysis.readers``.
    """

    name: ClassVar[str]
    """The name by which ``read_log(path, format=...)`` finds it."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """Ends of the names of its files, lower-case, with the dot."""

    @abstractmethod
    def recognizes(self, path: Path, head: bytes) -> bool:
        """Tell from the name and the beginning whether a file is of this format.

        `head` is 64 KiB, or more where lines are long; empty for a folder.
        """

    @abstractmethod
    def read(self, path: Path) -> list[RawRun]:
        """Read all runs of a file.

        Raises
        ------
        InputError
            If the file can't be read; the message names the file and the line or key, and what to do.
        """
