"""One measured quantity along a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.markup import block, table
from slingshot_analysis.safe_text import printable

MOST_LABELS = 5
"""Labels of an axis that a notebook shows."""


@dataclass(frozen=True)
class Axis:
    """A named axis of a vector quantity, such as ``parameter`` or ``layer``.

    Parameters
    ----------
    name : str
        Name of the axis.
    labels : sequence of str
        One label for each position along it.
    """

    name: str
    labels: Sequence[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))


@dataclass(frozen=True, eq=False)
class Signal:
    """A quantity and the steps it was measured at. Irregular steps are normal.

    Parameters
    ----------
    step : (n,) array, updates
        Optimizer updates done when each row was measured.
    value : (n,) or (n, k, ...) array, in `unit`
        One row per step. NaN means that NaN was measured; what was not measured has no row.
    name : str
        Canonical name, such as ``last_layer_norm``.
    unit : str, optional
        Unit of the values; empty for pure numbers.
    description : str, optional
        One sentence on what was measured.
    axes : sequence of Axis, optional
        What the further axes of `value` run over.

    Raises
    ------
    InputError
        If `step` or `value` can't be made arrays, they differ in length, or `axes` do not fit the shape of `value`.

    Examples
    --------
    >>> norm = Signal([0, 10, 20], [1.0, 1.5, 2.0], "last_layer_norm")
    >>> norm
    Signal('last_layer_norm', 3 rows, steps 0 to 20)
    """

    step: npt.NDArray[np.generic]
    value: npt.NDArray[np.generic]
    name: str = ""
    unit: str = ""
    description: str = ""
    axes: Sequence[Axis] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", as_array(self.step, f"signal {self.name!r}: step"))
        object.__setattr__(self, "value", as_array(self.value, f"signal {self.name!r}: value"))
        object.__setattr__(self, "axes", tuple(self.axes))
        if self.step.ndim != 1 or self.value.shape[:1] != self.step.shape:
            raise InputError(
                f"signal {self.name!r}: step has shape {self.step.shape} and value {self.value.shape}; "
                "give one value for each step"
            )
        if self.axes and tuple(len(axis.labels) for axis in self.axes) != self.value.shape[1:]:
            raise InputError(
                f"signal {self.name!r}: axes of length {[len(axis.labels) for axis in self.axes]} "
                f"do not fit values of shape {self.value.shape}"
            )

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        rows = f"{len(self)} rows" + (f", steps {self.step[0]} to {self.step[-1]}" if len(self) else "")
        axes = "".join(f", {axis.name}: {len(axis.labels)}" for axis in self.axes)
        unit = f", {self.unit}" if self.unit else ""
        return printable(f"Signal({self.name!r}, {rows}{axes}{unit})")

    def _repr_html_(self) -> str:
        rows: list[tuple[str, object]] = [("rows", len(self))]
        if len(self):
            rows.append(("steps", (self.step[0], self.step[-1])))
        if self.unit:
            rows.append(("unit", self.unit))
        for axis in self.axes:
            labels = [*axis.labels[:MOST_LABELS], *(["..."] if len(axis.labels) > MOST_LABELS else [])]
            rows.append((axis.name, f"{len(axis.labels):,}: {', '.join(labels)}"))
        if self.value.dtype.kind in "biuf" and self.value.size:
            numbers = self.value.astype(np.float64)
            finite = numbers[np.isfinite(numbers)]
            rows += [("values", (finite.min(), finite.max()))] if len(finite) else []
            rows.append(("not finite", numbers.size - finite.size))
        return block(self.name, self.description, table(rows))

    def select(self, **labels: str) -> Signal:
        """Return the signal at one label of one or more axes.

        Parameters
        ----------
        **labels : str
            Axis name and label, such as ``parameter="4.weight"``.

        Returns
        -------
        Signal
            With the chosen axes gone.

        Raises
        ------
        InputError
            If there is no such axis or label; the message lists those there are.
        """
        value, axes = self.value, list(self.axes)
        for axis_name, label in labels.items():
            names = [axis.name for axis in axes]
            if axis_name not in names:
                raise unknown_name(f"axis of {self.name!r}", axis_name, names)
            position = names.index(axis_name)
            if label not in axes[position].labels:
                raise unknown_name(axis_name, label, axes[position].labels)
            value = np.take(value, axes[position].labels.index(label), axis=position + 1)
            del axes[position]
        chosen = ", ".join(labels.values())
        return Signal(self.step, value, f"{self.name}[{chosen}]", self.unit, self.description, axes)


def as_array(given: Any, name: str) -> npt.NDArray[Any]:
    """Return numbers as an array: tensors without their graph, what is masked as NaN.

    Parameters
    ----------
    given : array_like
        Also a tensor, or a list of them.
    name : str
        What to call it in an error.

    Returns
    -------
    array
        Of the type of what was given.

    Raises
    ------
    InputError
        If NumPy can't make an array of it.
    """
    if isinstance(given, list | tuple):
        given = [_detached(item) for item in given]
    try:
        if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given) and given.dtype.kind in "biuf":
            return np.asarray(np.ma.filled(given.astype(np.float64), np.nan))
        return np.asarray(_detached(given))
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(
            f"{name}: could not be read as an array of numbers ({error}); give a type that NumPy has"
        ) from error


def _detached(given: Any) -> Any:
    return given.detach().cpu() if hasattr(given, "detach") else given
