"""Read a trace, finished or not."""

from __future__ import annotations

import copy
import os
import sys
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.safe_text import few_lines, in_one_line
from slingshot_analysis.signal import Axis, Signal
from slingshot_analysis.trace._block import UNFILTERED
from slingshot_analysis.trace._file import opened, read_attributes, read_groups
from slingshot_analysis.trace.members import HDF5_ERRORS
from slingshot_analysis.trace.schema import FORMAT, Group, Quantity
from slingshot_analysis.trace.trace import Trace

HEAD = 1 << 16
MOST_LOOKED_AT = 1 << 28
"""Maximum number of bytes of rows that are read to look for damage. The rest of a longer trace is read when needed."""

_Datasets = dict[str, h5py.Dataset]
_Steps = npt.NDArray[np.int64]

NEIGHBOURS, NOT_ZERO = 8, 1e-6
"""A last chunk of zeros is blank, which means damaged, if the eight rows before it all exceed this value."""


def open_trace(path: str | os.PathLike[str]) -> TraceFile:
    """Open a trace file. It may still be growing, and its writer may have been killed.

    Parameters
    ----------
    path : str or path
        The trace file.

    Returns
    -------
    TraceFile
        Rows are read from the file when they are needed.

    Raises
    ------
    InputError
        If there is no such file, it is not a trace, or it was written in a newer format; the message names the key.
    """
    path = Path(path)
    notes: list[str] = []
    with opened(path) as file:
        return TraceFile(path, read_attributes(path, file, notes), read_groups(path, file, notes), notes)


def is_trace(path: Path) -> bool:
    """Return whether an HDF5 file is a trace, as far as its root attribute can be read, or else its first bytes."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = file.attrs.get("format")
    except HDF5_ERRORS:
        with path.open("rb") as raw:
            return FORMAT.encode() in raw.read(HEAD)
    return bool((found.decode(errors="replace") if isinstance(found, bytes) else found) == FORMAT)


class TraceFile(Trace):
    """One recorded run in a trace file. Made by `open_trace`.

    The file is opened and closed for each read. So each read sees the rows that a running writer has added, and nothing
    is locked. `attributes` are the root attributes at the time of `open_trace`; `notes` say what is damaged.
    """

    def __init__(
        self, path: Path, attributes: dict[str, Any], groups: tuple[Group, ...], notes: Sequence[str] = ()
    ) -> None:
        self.path = path
        self.notes = tuple(notes)
        self.name = path.stem
        self.attributes = attributes
        self._groups = {group.name: group for group in groups}
        self._found: dict[str, tuple[str, Quantity]] = {
            quantity.name: (group.name, quantity) for group in groups for quantity in group.quantities
        }
        self._held: dict[str, Signal] | None = None

    def held(self) -> TraceFile:
        """Return the same trace as one that reads each quantity once and keeps it in memory."""
        trace = copy.copy(self)
        trace._held = {}
        return trace

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all quantities."""
        return tuple(self._found)

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Names of the quantities in each group."""
        return {name: tuple(quantity.name for quantity in group.quantities) for name, group in self._groups.items()}

    @property
    def finished(self) -> bool:
        """Whether the run has finished, read from the file now."""
        with opened(self.path) as file:
            return bool(read_attributes(self.path, file)["finished"])

    @property
    def steps(self) -> tuple[int, int] | None:
        """First and last step over all groups, updates; None if there is no row."""
        with opened(self.path) as file:
            ranges = [_range(self._read_steps(self._datasets(file, name))) for name in self._groups]
        found = [span for span in ranges if span]
        return (min(first for first, _ in found), max(last for _, last in found)) if found else None

    def __getitem__(self, name: str) -> Signal:
        """Read one quantity.

        Parameters
        ----------
        name : str
            Such as ``"last_layer_norm"``.

        Returns
        -------
        Signal
            Without rows if none has been written yet.

        Raises
        ------
        InputError
            If the trace has no such quantity, or its rows can't be read.
        """
        return self.read([name])[name]

    def axes(self, name: str) -> tuple[Axis, ...]:
        """Return the axes of a quantity besides the step, without reading it."""
        return tuple(self._found[name][1].axes)

    def read(self, names: Iterable[str]) -> dict[str, Signal]:
        """Return several signals by name. The file is opened once, and the steps of each group are read once."""
        if self._held is None:
            return self._read_from_file(names)
        names = list(names)
        self._held |= self._read_from_file([name for name in names if name not in self._held])
        return {name: self._held[name] for name in names}

    def _read_from_file(self, names: Iterable[str]) -> dict[str, Signal]:
        found: dict[str, Signal] = {}
        datasets: dict[str, _Datasets] = {}
        steps: dict[str, _Steps] = {}
        with opened(self.path) as file:
            for name in names:
                if name not in self._found:
                    raise unknown_name("quantity", name, self._found, str(self.path))
                group = self._found[name][0]
                if group not in steps:
                    datasets[group] = self._datasets(file, group)
                    steps[group] = self._read_steps(datasets[group])
                found[name] = self._read_signal(datasets[group][name], steps[group])
        return found

    def window(self, name: str, first: int, last: int) -> Signal:
        """Read the rows of one quantity from step `first` on and before step `last`, and no others.

        The time that it takes grows with the length of the window, not of the trace.

        Parameters
        ----------
        name : str
            Such as ``"last_layer_norm"``.
        first, last : int, updates
            The window.

        Returns
        -------
        Signal
            Without rows if none was measured there.

        Raises
        ------
        InputError
            If the trace has no such quantity, or its rows can't be read.
        """
        if name not in self._found:
            raise unknown_name("quantity", name, self._found, str(self.path))
        group, quantity = self._found[name]
        with opened(self.path) as file:
            steps, values = file[group]["step"], file[group][name]

            def step_of(row: int) -> int:
                step = int(steps[row])
                return step if step >= 0 else sys.maxsize  # not written yet

            rows = range(min(len(steps), len(values)))
            start, stop = (bisect_left(rows, step, key=step_of) for step in (first, last))
            stop = max(start, stop)
            step, value = np.asarray(steps[start:stop]), np.asarray(values[start:stop])
        return Signal(step, value, name, quantity.unit, quantity.description, quantity.axes)

    def after(self, name: str, step: float) -> Signal:
        """Return the rows of one quantity after a step. Rows before it are not read."""
        return self.window(name, 0 if step < 0 else int(step) + 1, sys.maxsize)

    def without_damage(self) -> TraceFile:
        """Return the trace without what can't be read, which is noted: quantities, and a configuration."""
        notes, attributes = list(self.notes), dict(self.attributes)
        try:
            _ = self.config
        except InputError as error:
            notes.append(f"configuration left out: {str(error).removeprefix(f'{self.path}: ')}")
            del attributes["config"]
        lost: dict[str, list[str]] = {}
        kept, looked_at = [], 0
        with opened(self.path) as file:
            for name, group in self._groups.items():
                quantities: list[Quantity] = []
                datasets: _Datasets = {}
                steps: _Steps | None = None
                for quantity in group.quantities:
                    try:
                        datasets = datasets or self._datasets(file, name)
                        steps = self._read_steps(datasets) if steps is None else steps
                        if looked_at < MOST_LOOKED_AT:
                            looked_at += self._read_signal(datasets[quantity.name], steps).value.nbytes
                        quantities.append(quantity)
                    except (MemoryError, *HDF5_ERRORS) as error:
                        reason = in_one_line(error).removeprefix(f"{self.path}: ")
                        lost.setdefault(reason, []).append(quantity.name)
                if quantities:
                    kept.append(Group(name, quantities, group.schedule))
        notes += [f"left out: {', '.join(names)}: {reason}" for reason, names in lost.items()]
        if not kept:
            raise InputError(f"{self.path}: no quantity can be read: {notes[-1]}")
        return TraceFile(self.path, attributes, tuple(kept), notes)

    def schedule(self, group: str) -> str:
        """Return when the quantities of a group were measured, such as ``every 10``."""
        return self._groups[group].schedule

    def steps_of(self, group: str) -> _Steps:
        """Return the steps of a group; no quantity is read."""
        with opened(self.path) as file:
            return self._read_steps(self._datasets(file, group))

    def describe(self, name: str) -> tuple[str, str]:
        """Return the unit of a quantity and what it is, without reading it."""
        return self._found[name][1].unit, self._found[name][1].description

    def __repr__(self) -> str:
        run = [f"{key} {self.attributes[key]}" for key in ("setup", "seed") if key in self.attributes]
        state = "finished" if self.finished else "unfinished: killed or still being written"
        lines = [f"Trace {self.path.name}: " + ", ".join([*run, state])]
        for name, group in self._groups.items():
            steps = self.steps_of(name)
            schedule = f" ({group.schedule})" if group.schedule else ""
            span = _range(steps)
            where = f", steps {span[0]} to {span[1]}" if span else ""
            lines.append(f"  {name}{schedule}: {len(steps):,} rows{where}")
            lines += [f"    {_describe(quantity)}" for quantity in group.quantities]
        return few_lines(lines)

    def _datasets(self, file: h5py.File, group: str) -> _Datasets:
        """Return the steps and the quantities of a group by name."""
        node = file[group]
        return {name: node[name] for name in ("step", *self.groups[group])}

    def _read_steps(self, datasets: _Datasets) -> _Steps:
        """Return the steps of the complete rows: as many as the shortest dataset of the group has."""
        steps = _read(self.path, datasets["step"], min(len(dataset) for dataset in datasets.values()))
        unwritten = np.flatnonzero(steps < 0)
        steps = steps[: unwritten[0]] if len(unwritten) else steps
        if np.any(np.diff(steps) <= 0):
            row = int(np.flatnonzero(np.diff(steps) <= 0)[0])
            raise InputError(
                f"{self.path}: {datasets['step'].name}: row {row + 1} holds {steps[row + 1]} after {steps[row]}; "
                "steps must increase, so the file is damaged or its writer is wrong"
            )
        return steps

    def _read_signal(self, dataset: h5py.Dataset, steps: _Steps) -> Signal:
        value = _read(self.path, dataset, len(steps))
        if _is_blank(dataset, value) and not self._explains_zeros(dataset, len(steps)):
            blank_from = steps[_last_chunk(dataset, len(value))]
            raise InputError(
                f"{self.path}: {dataset.name}: the last rows, from step {blank_from}, are blank: the file is damaged; "
                "restore it from a copy, or record the run again"
            )
        quantity = self._found[_name(dataset)][1]
        return Signal(steps, value, quantity.name, quantity.unit, quantity.description, quantity.axes)

    def _explains_zeros(self, dataset: h5py.Dataset, rows: int) -> bool:
        """Return whether errors that never change go with an accuracy that is always 0."""
        name = _name(dataset)
        errors = name.replace("_accuracy", "_errors")
        if not name.endswith("_accuracy") or errors not in self._found:
            return name.endswith("_accuracy")
        return bool(np.ptp(_read(self.path, dataset.file[f"{self._found[errors][0]}/{errors}"], rows)) == 0)


def _name(dataset: h5py.Dataset) -> str:
    """Return the name of the quantity that a dataset holds."""
    return str(dataset.name).rpartition("/")[2]


def _last_chunk(dataset: h5py.Dataset, rows: int) -> int:
    """Return the first row of the chunk that holds the last of some rows."""
    size = int(dataset.chunks[0]) if dataset.chunks else rows
    return (rows - 1) // size * size


def _is_blank(dataset: h5py.Dataset, value: npt.NDArray[Any]) -> bool:
    """Return whether the last chunk, the only one without a checksum, holds zeros that were never measured.

    Zeros after rows that are not near 0 were not measured. If the trace has only this chunk, zeros of an accuracy may
    not have been measured; `_explains_zeros` compares them with the errors.
    """
    start = _last_chunk(dataset, len(value)) if len(value) else 0
    if not len(value) or value.dtype.kind != "f" or np.any(value[start:]):
        return False
    kind = dataset.name.rpartition("_")[2]
    if kind not in ("norm", "accuracy", "loss", "float64"):
        return False
    offset = (start, *(0 for _ in value.shape[1:]))
    if not dataset.chunks or dataset.id.get_chunk_info_by_coord(offset).filter_mask != UNFILTERED:
        return False
    before = value[max(start - NEIGHBOURS, 0) : start]
    return bool(before.min() > NOT_ZERO) if len(before) else kind == "accuracy"


def _read(path: Path, dataset: h5py.Dataset, rows: int) -> npt.NDArray[Any]:
    try:
        return np.asarray(dataset[:rows])
    except (OSError, RuntimeError) as error:
        reason = in_one_line(error)
        raise InputError(f"{path}: {dataset.name}: rows can't be read ({reason}); the file is damaged") from error


def _range(steps: _Steps) -> tuple[int, int] | None:
    return (int(steps[0]), int(steps[-1])) if len(steps) else None


def _describe(quantity: Quantity) -> str:
    axes = ", ".join(f"{axis.name}: {len(axis.labels)}" for axis in quantity.axes)
    return " ".join(filter(None, [quantity.name, f"({axes})" if axes else "", quantity.unit]))
