"""The base class of probes, and the data that a probe works with."""

from __future__ import annotations

import math
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

Columns = dict[str, npt.NDArray[np.generic]]

BLOCK_ROWS = 512
"""Maximum number of rows that stay on the device, and are computed and sent to the host together."""


@dataclass(slots=True)
class Moment:
    """The state after `step` updates and the batch of the update that starts from it, as a probe sees them.

    All but the step is None at the state after the last update, where no update starts, and where it is not known.
    `indices` are the numbers of the batch's samples, and `unclipped_norm` is the norm of the gradient at the end of the
    backward pass, for probes that need it.
    """

    step: int = 0
    loss: Tensor | None = None
    logits: Tensor | None = None
    targets: Tensor | None = None
    indices: Tensor | None = None
    unclipped_norm: Tensor | None = None


@dataclass(frozen=True)
class Buffer:
    """Memory on the device for one measured value per row.

    Parameters
    ----------
    name : str
        Name of the quantity that it holds, or of an input of :meth:`Probe.derive`.
    shape : tuple of int
        Shape of the value of one row.
    dtype : torch.dtype
        Dtype of the values.
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float64

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return math.prod(self.shape) * self.dtype.itemsize


class Probe(ABC):
    """The measurement of one quantity, or of a few that share their computation.

    A probe first declares what it writes, and then measures into slots of buffers on the device. Nothing in
    :meth:`measure` and :meth:`compare` may wait for the device: no ``.item()``, no boolean indexing, no copy to the
    host.

    Parameters
    ----------
    every : Schedule, optional
        When to measure; by default the probe's `default_schedule`.
    """

    name: ClassVar[str]
    """The name that ``Recorder(probes=[...])`` takes: that of the probe's module."""

    default_schedule: ClassVar[Schedule] = Every(1)

    cost: ClassVar[str]
    """What one measurement costs, in words."""

    source: ClassVar[str]
    """Where the quantity is defined: arXiv id or DOI of the paper, with its equation or figure."""

    needs_batch: ClassVar[bool] = False
    """True for a quantity of an update, such as its gradient, which has no value at the state after the last update."""

    needs_unclipped: ClassVar[bool] = False
    """True for a probe that needs the norm of the gradient before clipping."""

    spans_update: ClassVar[bool] = False
    """True for a probe that compares state t with state t+1: `compare` is called instead of `measure`."""

    waits: ClassVar[bool] = False
    """True for a probe that has to wait for the device, such as an iteration that stops on its residual."""

    def __init__(self, every: Schedule | None = None) -> None:
        self.every = every or self.default_schedule

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        """Return whether the run has what the probe needs; if not, bundles leave the probe out."""
        return True

    @abstractmethod
    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        """Prepare for a run; return the buffers to measure into, and the quantities that are written."""

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        """Write the values at this state into `slots`, one for each buffer, without waiting for the device."""
        raise NotImplementedError(f"the probe {self.name!r} has no measure()")

    def compare(self, pairs: StatePairs, columns: Sequence[Tensor]) -> None:
        """Write the values of several updates into `columns`, one (capacity, ...) tensor for each buffer."""
        raise NotImplementedError(f"the probe {self.name!r} has no compare()")

    def settle(self, buffers: Sequence[Tensor]) -> None:  # noqa: B027
        """Compute what :meth:`measure` has postponed, for a block of rows at once and on the device."""

    def derive(self, measured: Columns) -> Columns:
        """Compute the quantities from rows of the buffers, on the host; by default they are the same."""
        return measured

    def state_dict(self) -> dict[str, Any]:
        """Return what the probe has kept of the run so far and needs to continue: numbers, text and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Continue from a state that :meth:`state_dict` returned; called after :meth:`attach`."""


def dtype_name(dtype: torch.dtype) -> str:
    """Return NumPy's name of a torch dtype.

    Examples
    --------
    >>> dtype_name(torch.float32)
    'float32'
    """
    return str(dtype).removeprefix("torch.")
