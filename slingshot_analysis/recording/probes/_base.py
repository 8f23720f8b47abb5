"""What a probe is: one measured quantity, declared beforehand and measured on the device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slingshot_analysis.recording.schedule import Every, Schedule
from slingshot_analysis.recording.subject import StatePairs, Subject
from slingshot_analysis.trace import Quantity

__all__ = ["Buffer", "Columns", "Moment", "Probe", "dtype_name"]

Columns = dict[str, npt.NDArray[np.generic]]


@dataclass(slots=True)
class Moment:
    """State `step` of the run and the update that starts from it, as probes see it while they measure.

    The batch is None where no update starts: at the state after the last one.
    """

    step: int = 0
    loss: Tensor | None = None
    logits: Tensor | None = None
    targets: Tensor | None = None


@dataclass(frozen=True)
class Buffer:
    """Space on the device for one measured value per row.

    Parameters
    ----------
    name : str
        Name of the quantity that it holds, or of what :meth:`Probe.derive` makes quantities of.
    shape : tuple of int
        Shape of one row's value.
    dtype : torch.dtype
        Of the values.
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float64


class Probe(ABC):
    """One measured quantity, or a few that share their work. Subclass it in a file of its own.

    A probe declares beforehand what it writes, and measures into slots of preallocated device buffers. Nothing in
    :meth:`measure` and :meth:`compare` may wait for the device: no ``.item()``, no boolean indexing, no copy to the
    host.

    Parameters
    ----------
    every : Schedule, optional
        When to measure; the default is the probe's `default_schedule`.
    """

    name: ClassVar[str]
    """The name by which ``Recorder(probes=[...])`` finds it."""

    default_schedule: ClassVar[Schedule] = Every(1)

    cost: ClassVar[str]
    """What one measurement costs, in words."""

    source: ClassVar[str]
    """Where the quantity is defined: paper, equation or figure."""

    needs_batch: ClassVar[bool] = False
    """True for what belongs to an update, and so has no value at the state after the last one."""

    spans_update: ClassVar[bool] = False
    """True for what compares state t with state t+1: then :meth:`compare` is called instead of :meth:`measure`."""

    waits: ClassVar[bool] = False
    """True for what can't do without waiting for the device, such as an iteration that stops on its residual."""

    def __init__(self, every: Schedule | None = None) -> None:
        self.every = every or self.default_schedule

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        """Return whether the run has what the probe needs; a recorder's default choice leaves out what does not fit."""
        return True

    @abstractmethod
    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        """Prepare for a run; declare the buffers that are measured into and the quantities that are written."""

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        """Write this step's values into `slots`, one for each buffer, on the device and without waiting for it."""
        raise NotImplementedError(f"the probe {self.name!r} has no measure()")

    def compare(self, pairs: StatePairs, columns: Sequence[Tensor]) -> None:
        """Write the values of several updates into `columns`, (capacity, ...) each; called if `spans_update`."""
        raise NotImplementedError(f"the probe {self.name!r} has no compare()")

    def settle(self, buffers: Sequence[Tensor]) -> None:  # noqa: B027
        """Compute on the device, for a block of rows at once, what :meth:`measure` has put off."""

    def derive(self, measured: Columns) -> Columns:
        """Make the quantities of the buffers' rows, on the host; by default they are the same."""
        return measured

    def state_dict(self) -> dict[str, Any]:
        """Return what the probe has kept of the run so far and needs to go on: numbers, text and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Go on from what :meth:`state_dict` returned; called after :meth:`attach`."""


def dtype_name(dtype: torch.dtype) -> str:
    """Return NumPy's name of a torch dtype that NumPy has.

    Examples
    --------
    >>> dtype_name(torch.float32)
    'float32'
    """
    return str(dtype).removeprefix("torch.")
