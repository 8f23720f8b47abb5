"""`Trace`, the interface of every run, recorded here or read from a log: signals by name."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.signal import Axis, Signal

if TYPE_CHECKING:
    import pandas as pd


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

    def to_dataframe(self) -> pd.DataFrame:
        """Return all signals as a table indexed by step.

        Returns
        -------
        pandas.DataFrame
            One column for each signal, and ``parameter_norm[0.weight]`` and so on for one with axes; NaN where a
            signal has no row at a step.
        """
        import pandas as pd

        frames = [
            pd.DataFrame(columns_of(replace(self[name], name=name)), index=pd.Index(self[name].step, name="step"))
            for name in self.names
        ]
        frames = [frame[~frame.index.duplicated(keep="last")] for frame in frames]
        return pd.concat(frames, axis=1, sort=True).rename_axis("step") if frames else pd.DataFrame()

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


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
