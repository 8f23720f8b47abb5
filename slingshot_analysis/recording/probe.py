"""What a probe is: one measured quantity, declared beforehand and measured on the device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from slingshot_analysis.recording.classification import LossFunction
from slingshot_analysis.recording.schedule import Every, Schedule
from slingshot_analysis.recording.targets import Kind, Targets
from slingshot_analysis.trace import Quantity

if TYPE_CHECKING:
    from slingshot_analysis.recording.batches import KeptBatches
    from slingshot_analysis.recording.curvature.shared import Curvature
    from slingshot_analysis.recording.states import StatePairs

__all__ = ["Batches", "Buffer", "Columns", "Moment", "Probe", "Subject", "dtype_name"]

ENTROPIES = nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.BCELoss

Columns = dict[str, npt.NDArray[np.generic]]
Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Subject:
    """The training run that is measured, as probes see it before the first update.

    Parameters
    ----------
    model : nn.Module
        In the state of step 0.
    parameters : dict of str to Tensor
        The trainable parameters by name.
    last_layer : str
        Name of the module, or of the weight, that makes the logits.
    feature_layers : sequence of str
        Names of the modules whose outputs are features.
    loss_function : callable
        ``loss_function(logits, targets)``, the mean loss of a batch as a scalar tensor.
    probe_inputs : Tensor or None
        The fixed batch on which features are compared.
    train_data, val_data : iterable of (inputs, targets) or None
        The whole sets, in batches.
    optimizer : torch.optim.Optimizer or None
        What makes the updates; its state and hyperparameters are only read.
    targets : Targets
        What the targets are, and so how errors are counted.
    loss_dtype : torch.dtype or None
        Dtype in which training computes the loss; None for that of the logits.
    kept_batches : dict of Schedule to KeptBatches
        Copies of batches that the probes of one schedule share; filled by the probes.
    curvatures : dict of int to Curvature
        Curvature of the training loss by number of samples, which probes share; filled by the probes.
    """

    model: nn.Module
    parameters: dict[str, Tensor]
    last_layer: str
    feature_layers: Sequence[str]
    loss_function: LossFunction
    probe_inputs: Tensor | None
    train_data: Batches | None
    val_data: Batches | None
    optimizer: torch.optim.Optimizer | None = None
    targets: Targets = Targets()  # noqa: RUF009
    loss_dtype: torch.dtype | None = None
    kept_batches: dict[Schedule, KeptBatches] = field(default_factory=dict)
    curvatures: dict[int, Curvature] = field(default_factory=dict)

    @property
    def loss_unit(self) -> str:
        """Of the loss: nat for a cross-entropy, as far as that is known, else empty."""
        return "nat" if self.targets.kind is Kind.CLASS or isinstance(self.loss_function, ENTROPIES) else ""

    @property
    def has_last_module(self) -> bool:
        """Whether the last layer is a module, and no bare parameter of the model."""
        return self.last_layer not in self.parameters

    @property
    def last_layer_parameters(self) -> list[str]:
        """Names of the parameters of the last layer: its weight first, then its bias if it has one."""
        if not self.has_last_module:
            return [self.last_layer]
        layer = self.model.get_submodule(self.last_layer)
        members = {id(parameter) for parameter in layer.parameters()}
        names = [name for name, parameter in self.parameters.items() if id(parameter) in members]
        return sorted(names, key=lambda name: self.parameters[name] is not layer.weight)


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
