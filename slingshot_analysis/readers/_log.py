"""A run of a log, in memory, with a record of how each column was understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slingshot_analysis.errors import unknown_name
from slingshot_analysis.readers._raw import LineTemplate
from slingshot_analysis.safe_text import few_lines
from slingshot_analysis.signal import Signal
from slingshot_analysis.trace import Trace


@dataclass(frozen=True)
class Understood:
    """How one column of a log was understood.

    Parameters
    ----------
    column : str
        Its name in the log.
    signal : str or None
        Canonical signal that it became; None if it is not used.
    rows : int
        Values that it holds.
    remark : str
        How its values were changed, or why the column is not used.
    """

    column: str
    signal: str | None
    rows: int
    remark: str = ""


class Log(Trace):
    """One run of a log. Made by `read_log`.

    Parameters
    ----------
    path : Path
        The file or folder.
    name : str
        The run.
    signals : mapping of str to Signal
        By canonical name; the name of each Signal is that of its column.
    columns : sequence of Understood
        All columns, in the order of the file.
    notes : sequence of str
        What was changed or left out while reading, one sentence each.
    attributes : mapping
        What holds for the whole run.
    templates : sequence of LineTemplate
        The lines of a text from which it was read.
    others : mapping of str to Signal
        Columns of numbers that are no signal, by their names in the log.
    restarts : sequence of int, updates
        Steps at which the log goes on after its steps went back.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        signals: Mapping[str, Signal],
        columns: Sequence[Understood] = (),
        notes: Sequence[str] = (),
        attributes: Mapping[str, Any] | None = None,
        templates: Sequence[LineTemplate] = (),
        others: Mapping[str, Signal] | None = None,
        restarts: Sequence[int] = (),
    ) -> None:
        self.path = path
        self.name = name
        self.attributes = dict(attributes or {})
        self.columns = tuple(columns)
        self.notes = tuple(notes)
        self.templates = tuple(templates)
        self.others = dict(others or {})
        self.restarts = tuple(restarts)
        self._signals = dict(signals)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all signals."""
        return tuple(self._signals)

    def __getitem__(self, name: str) -> Signal:
        if name not in self._signals:
            raise unknown_name("signal", name, self._signals, str(self.path))
        return self._signals[name]

    def describe(self, name: str) -> tuple[str, str]:
        """Return the unit of a signal and the column that it was read from."""
        return self[name].unit, f"column {self[name].name!r}"

    def __repr__(self) -> str:
        lines = [f"Log {self.name}"]
        lines += [f"  {name} = {signal.name!r}, {len(signal):,} rows" for name, signal in self._signals.items()]
        return few_lines([*lines, *(f"  note: {note}" for note in self.notes)])
