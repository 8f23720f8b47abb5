"""`Trace`, the interface of every run, recorded here or read from a log: signals by name."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.drawing import drawer
from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.markup import block, quiet, table
from slingshot_analysis.optional import needed
from slingshot_analysis.signal import Axis, Signal

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

MOST_SIGNALS, MOST_NOTES = 100, 10
"""Signals and notes that a notebook shows of a run."""


class Trace(ABC):
    """One run: ``trace["last_layer_norm"]`` is a `Signal`, and iterating gives the names of all signals.

    Made by `open_trace` from a trace file, and by `read_log` from any log.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        Name of the run: the stem of the file, and the run's own name if the file holds several.
    attributes : dict
        Values for the whole run, such as its configuration.
    """

    path: Path
    name: str
    attributes: dict[str, Any]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of all signals."""

    @abstractmethod
    def __getitem__(self, name: str) -> Signal:
        """Return one signal; `InputError` if there is none of that name."""

    def axes(self, name: str) -> tuple[Axis, ...]:
        """Return the axes of a signal besides the step; none for a scalar."""
        return tuple(self[name].axes)

    def read(self, names: Iterable[str]) -> dict[str, Signal]:
        """Return several signals by name; faster than one by one where they are read from a file."""
        return {name: self[name] for name in names}

    def after(self, name: str, step: float) -> Signal:
        """Return the rows of one signal after a step, such as the last one that was read before.

        Parameters
        ----------
        name : str
            Such as ``"last_layer_norm"``.
        step : float, updates
            Minus infinity gives all rows.

        Returns
        -------
        Signal
            Without rows if none came.

        Raises
        ------
        InputError
            If there is no signal of that name, or its rows can't be read.
        """
        signal = self[name]
        new = signal.step.astype(np.float64) > step
        return replace(signal, step=signal.step[new], value=signal.value[new])

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration of the run; empty if none was recorded."""
        try:
            config = json.loads(self.attributes.get("config", "{}"))
        except RecursionError as error:
            raise InputError(f"{self.path}: attribute 'config' is nested too deep") from error
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.path}: attribute 'config' is not JSON ({error})") from error
        if not isinstance(config, dict):
            raise InputError(f"{self.path}: attribute 'config' is {type(config).__name__}; expected a JSON object")
        return config

    @property
    def steps(self) -> tuple[int, int] | None:
        """First and last step over all signals, updates; None if there is no row."""
        spans = [(signal.step.min(), signal.step.max()) for signal in map(self.__getitem__, self.names) if len(signal)]
        return (int(min(first for first, _ in spans)), int(max(last for _, last in spans))) if spans else None

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Names of the signals that were measured at the same steps, by ``every_10`` and so on, or ``irregular``."""
        found: dict[bytes, tuple[str, list[str]]] = {}
        for name, signal in self.read(self.names).items():
            step = signal.step.astype(np.float64)
            found.setdefault(step.tobytes(), (_cadence(step), []))[1].append(name)
        groups: dict[str, tuple[str, ...]] = {}
        counts: Counter[str] = Counter()
        for cadence, names in found.values():
            counts[cadence] += 1
            groups[f"{cadence}_{counts[cadence]}" if counts[cadence] > 1 else cadence] = tuple(names)
        return groups

    def schedule(self, group: str) -> str:
        """Return when the signals of a group were measured, in words; empty if that is not known."""
        return ""

    def steps_of(self, group: str) -> npt.NDArray[Any]:
        """Return the steps of a group."""
        return self[self.groups[group][0]].step

    def to_dataframe(self, group: str | None = None) -> pd.DataFrame:
        """Return the signals as a table indexed by step.

        Parameters
        ----------
        group : str, optional
            Only this one of `groups`. Without it the groups are joined: a step that a group did not measure has NaN
            there.

        Returns
        -------
        pandas.DataFrame
            One column for each signal, and ``parameter_norm[0.weight]`` and so on for one with axes.

        Raises
        ------
        InputError
            If there is no such group, or the rows can't be read.
        """
        import pandas as pd

        groups = self.groups
        if group is not None and group not in groups:
            raise unknown_name("group", group, groups, str(self.path))
        frames = []
        for names in groups.values() if group is None else [groups[group]]:
            signals = self.read(names)
            columns: dict[str, npt.NDArray[Any]] = {}
            for name, signal in signals.items():
                columns |= columns_of(replace(signal, name=name))
            frame = pd.DataFrame(columns, index=pd.Index(signals[names[0]].step, name="step"))
            frames.append(frame[~frame.index.duplicated(keep="last")])
        if len(frames) < 2:
            return frames[0] if frames else pd.DataFrame()
        return pd.concat(frames, axis=1, sort=True).rename_axis("step")

    def to_xarray(self) -> xr.DataTree:
        """Return the signals as a tree with one dataset for each of `groups`.

        Returns
        -------
        xarray.DataTree
            The attributes on the tree; unit and description on each variable.

        Raises
        ------
        SlingshotError
            If xarray is not installed.
        InputError
            If the rows can't be read.
        """
        xarray = needed("xarray", "xarray")
        tree = {"/": xarray.Dataset(attrs=self.attributes)}
        for group, names in self.groups.items():
            signals = self.read(names)
            axes = {axis.name: list(axis.labels) for signal in signals.values() for axis in signal.axes}
            tree[group] = xarray.Dataset(
                {
                    name: (
                        ["step", *(axis.name for axis in signal.axes)],
                        signal.value,
                        {"unit": signal.unit, "description": signal.description},
                    )
                    for name, signal in signals.items()
                },
                coords={"step": signals[names[0]].step} | axes,
                attrs={"schedule": self.schedule(group)},
            )
        found: xr.DataTree = xarray.DataTree.from_dict(tree)
        return found

    def plot(self) -> Figure:
        """Analyze the run and draw it with its phases and events, as ``slingshot analyze --plot`` does.

        Returns
        -------
        matplotlib.figure.Figure
            A notebook shows it; ``savefig`` writes it.

        Raises
        ------
        InputError
            If the run can't be analyzed.
        """
        return drawer("plot_trace")(self)

    def describe(self, name: str) -> tuple[str, str]:
        """Return the unit of a signal and a few words on what was measured."""
        return self[name].unit, self[name].description

    def _repr_html_(self) -> str:
        rows = []
        for group, names in self.groups.items():
            steps = self.steps_of(group)
            span = (steps[0], steps[-1]) if len(steps) else None
            for name in names:
                axes = ", ".join(f"{axis.name}: {len(axis.labels)}" for axis in self.axes(name))
                rows.append((name, *self.describe(name), axes, group, len(steps), span))
        head = ("signal", "unit", "what", "axes", "group", "rows", "steps")
        notes = [quiet(f"note: {note}") for note in getattr(self, "notes", ())]
        left = [quiet(f"and {len(notes) - MOST_NOTES:,} more notes")] if len(notes) > MOST_NOTES else []
        return block(self.name, str(self.path), table(rows, head, MOST_SIGNALS), *notes[:MOST_NOTES], *left)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _cadence(step: npt.NDArray[np.float64]) -> str:
    """Return the name of a group with these steps."""
    strides = np.unique(np.diff(step)).tolist()
    return f"every_{int(strides[0])}" if len(strides) == 1 and strides[0] >= 1 and strides[0] % 1 == 0 else "irregular"


def columns_of(signal: Signal) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of one signal: one, or one for each combination of labels."""
    columns: dict[str, npt.NDArray[Any]] = {signal.name: np.asarray(signal.value)}
    for depth, axis in enumerate(signal.axes):
        columns = {
            f"{name}[{label}]" if depth == 0 else f"{name[:-1]}, {label}]": value[:, position]
            for name, value in columns.items()
            for position, label in enumerate(axis.labels)
        }
    return columns
