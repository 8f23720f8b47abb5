"""The signals of a run that are exported, by the names that they get."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.readers import Log
from slingshot_analysis.signal import Axis, Signal
from slingshot_analysis.trace import Trace, TraceFile

LARGEST_STEP = 2.0**53


class Selection(Trace):
    """Signals of a run; of a log also its other columns of numbers.

    Parameters
    ----------
    run : Trace
        The run.
    signals : sequence of str, optional
        Those that are wanted; by default all.

    Raises
    ------
    InputError
        If the run has no such signal.
    """

    def __init__(self, run: Trace, signals: Sequence[str] | None = None) -> None:
        self.path, self.name, self.attributes = run.path, run.name, run.attributes
        self._run = run
        self._others: dict[str, Signal] = {}
        for column, signal in (run.others if isinstance(run, Log) else {}).items():
            name = column
            while name in ("step", *run.names, *self._others):
                name = f"{name}_column"
            self._others[name] = signal
        held = (*run.names, *self._others)
        for name in signals or ():
            if name not in held:
                raise unknown_name("signal", name, held, str(run.path))
        self._names = tuple(name for name in held if signals is None or name in signals)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the signals."""
        return self._names

    def __getitem__(self, name: str) -> Signal:
        return self._others[name] if name in self._others else self._run[name]

    def axes(self, name: str) -> tuple[Axis, ...]:
        """Return the axes of a signal besides the step, without reading it."""
        return () if name in self._others else self._run.axes(name)

    def read(self, names: Iterable[str]) -> dict[str, Signal]:
        """Return several signals by name."""
        names = list(names)
        found = self._run.read(name for name in names if name not in self._others)
        return {name: self._others[name] if name in self._others else found[name] for name in names}

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Names of the signals that share their steps; of a trace, those of each of its groups."""
        if not isinstance(self._run, TraceFile):
            return super().groups
        groups = {group: tuple(name for name in names if name in self) for group, names in self._run.groups.items()}
        return {group: names for group, names in groups.items() if names}

    def schedule(self, group: str) -> str:
        """Return when the signals of a group were measured, in words; empty if that is not known."""
        return self._run.schedule(group)

    def width(self, name: str) -> int:
        """Return the number of columns that a signal becomes."""
        return prod(len(axis.labels) for axis in self.axes(name))

    def without(self, names: Sequence[str]) -> Selection:
        """Return the selection without some signals."""
        return Selection(self._run, [name for name in self.names if name not in names])

    def only(self, group: str) -> Selection:
        """Return the signals of one group."""
        return Selection(self._run, self.groups[group])

    def whole_steps(self, name: str, what: str) -> npt.NDArray[np.int64]:
        """Return the steps of a signal as integers.

        Raises
        ------
        InputError
            If they are fractions; the message says that `what` can't hold them.
        """
        step: npt.NDArray[Any] = self[name].step
        if step.dtype.kind == "f" and not (np.all(step % 1 == 0) and np.all(np.abs(step) < LARGEST_STEP)):
            raise InputError(
                f"{self.path}: steps of {name!r} are no whole numbers, which {what} needs; name another column with "
                "map=, such as step=iteration, or export as csv, parquet or netcdf"
            )
        return step.astype(np.int64)
