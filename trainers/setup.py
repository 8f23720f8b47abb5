"""A setup: one experiment as a frozen value."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError, OtherFileError, unknown_name
from slingshot_analysis.nested import flatten
from trainers.data.dataset import Dataset
from trainers.interventions import Interventions
from trainers.losses import LOSSES, ChangedLoss

DTYPES = {"float32": torch.float32, "float64": torch.float64}
"""Dtypes by the name that a setup gives."""

AUTOCAST = {"none": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Dtypes of automatic mixed precision by the name that a setup gives."""

WITHOUT_EFFECT = "title", "figures", "data.folder"
"""Fields that have no effect on training: a run may be resumed with other values."""


BEFORE = {
    "drop_last": True,
    "autocast": "none",
    "label_smoothing": 0.0,
    "z_loss": 0.0,
    "temperature": 1.0,
    "interventions.kind": "Interventions",
    "interventions.clip_gradient": 0.0,
    "interventions.clip_update": 0.0,
    "interventions.clamped_layer": "",
    "interventions.largest_norm": 0.0,
    "interventions.freeze": "",
    "model.norm": "pre",
    "model.bias": True,
    "model.positions": "learned",
    "model.initialization": "gpt2",
}
"""Values of the fields that older traces, checkpoints and manifests lack."""


class DataConfig(Protocol):
    """A data set as a frozen, hashable value."""

    def __hash__(self) -> int:
        """Return the hash of the fields."""

    def make(self, generator: torch.Generator) -> Dataset:
        """Make the data; all random numbers come from `generator`."""


class ModelConfig(Protocol):
    """A network as a frozen, hashable value."""

    def __hash__(self) -> int:
        """Return the hash of the fields."""

    def build(self, data: Dataset) -> nn.Module:
        """Make the module for the inputs and classes of `data`, initialised from PyTorch's global random state."""


class OptimizerConfig(Protocol):
    """An optimizer as a frozen value."""

    @property
    def lr(self) -> float:
        """Learning rate."""

    @property
    def warmup(self) -> int:
        """Number of updates over which the learning rate rises linearly to `lr`."""

    def build(self, parameters: Any) -> torch.optim.Optimizer:
        """Make the optimizer of `parameters`."""


@dataclass(frozen=True)
class Setup:
    """One experiment: data, network, optimizer and the settings of training.

    Parameters
    ----------
    name : str
        Name of the setup, by which it is found and its traces are named.
    title : str
        The experiment in a few words.
    figures : str
        Figures of the paper (Thilak et al. 2022, arXiv 2206.04817) that show it.
    data, model, optimizer
        Frozen dataclasses that make the data, the network and the optimizer.
    batch_size : int, samples
        Samples of an update. Each epoch visits the training set in a new random order.
    steps : int, updates
        Length of the run.
    seed : int
        Seed of data, initialisation and batch order; below 2⁶⁴.
    dtype : {"float32", "float64"}
        Dtype of parameters and inputs.
    loss_dtype : {"same", "float32", "float64"}
        Dtype to which the logits are cast for the loss; "same" means `dtype`.
    loss : {"cross_entropy", "stablemax", "output"}
        The loss that is minimised, see :mod:`trainers.losses`. With "output", the model computes the objective itself.
    orthogonal_gradient : bool
        Whether gradients are made orthogonal to their parameters (⊥Grad), see :mod:`trainers.interventions`.
    drop_last : bool
        Whether an epoch drops its incomplete batch, if the training set is no multiple of `batch_size`.
    autocast : {"none", "bfloat16", "float16"}
        Automatic mixed precision: the dtype of matrix products in the forward and backward pass, see
        ``torch.autocast``. Parameters, gradients, loss and optimizer keep their dtype. With "float16" the loss is
        scaled, see :mod:`trainers.loss_scaling`. Probes that evaluate the model do so without it.
    label_smoothing, z_loss, temperature : float
        Changes of the loss, see :class:`trainers.losses.ChangedLoss`; by default there are none.
    interventions : Interventions
        Limits of gradients, updates and norms; by default there are none.

    Raises
    ------
    InputError
        If a field has a value that is not allowed.
    """

    name: str = field(metadata={"fixed": True})
    title: str = field(metadata={"fixed": True})
    figures: str = field(metadata={"fixed": True})
    data: DataConfig
    model: ModelConfig
    optimizer: OptimizerConfig
    batch_size: int
    steps: int
    seed: int
    dtype: str = "float32"
    loss_dtype: str = "same"
    loss: str = "cross_entropy"
    orthogonal_gradient: bool = False
    drop_last: bool = True
    autocast: str = "none"
    label_smoothing: float = 0.0
    z_loss: float = 0.0
    temperature: float = 1.0
    interventions: Interventions = field(default_factory=Interventions)

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InputError(f"dtype is {self.dtype!r}; allowed: {', '.join(DTYPES)}")
        if self.loss_dtype not in ("same", *DTYPES):
            raise InputError(f"loss_dtype is {self.loss_dtype!r}; allowed: same, {', '.join(DTYPES)}")
        if self.autocast not in AUTOCAST:
            raise InputError(f"autocast is {self.autocast!r}; allowed: {', '.join(AUTOCAST)}")
        if self.autocast != "none" and self.dtype == "float64":
            raise InputError(f"autocast is {self.autocast!r}, which leaves float64 as it is; use dtype='float32'")
        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)
        if not 0 <= self.label_smoothing < 1 or not 0 <= self.z_loss < math.inf or not 0 < self.temperature < math.inf:
            raise InputError(
                "label_smoothing must be in [0, 1), z_loss at least 0 and temperature above 0, "
                f"got {self.label_smoothing}, {self.z_loss} and {self.temperature}"
            )
        if self.loss == "output" and (self.label_smoothing or self.z_loss):
            raise InputError("label_smoothing and z_loss need a loss of classes, but loss is 'output'; leave them out")
        if self.steps < 1 or self.batch_size < 1 or not 0 <= self.seed < 2**64:
            raise InputError(
                f"steps and batch_size must be at least 1, and seed at least 0 and below 2**64, "
                f"got {self.steps}, {self.batch_size} and {self.seed}"
            )

    @property
    def loss_function(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss: a function of the model's outputs and the targets that returns the mean over a batch."""
        if not (self.label_smoothing or self.z_loss) and self.temperature == 1:
            return LOSSES[self.loss]
        return ChangedLoss(self.loss, self.label_smoothing, self.z_loss, self.temperature)

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype of parameters and inputs."""
        return DTYPES[self.dtype]

    @property
    def torch_autocast(self) -> torch.dtype | None:
        """The dtype of automatic mixed precision, or None."""
        return AUTOCAST[self.autocast]

    @property
    def torch_loss_dtype(self) -> torch.dtype:
        """The dtype of the logits in the loss."""
        return DTYPES[self.dtype if self.loss_dtype == "same" else self.loss_dtype]


def settings_of(value: Any) -> dict[str, Any]:
    """Return the fields of a nested dataclass by dotted name, without the fixed ones of a setup.

    Examples
    --------
    >>> from trainers.optimizers import Adam
    >>> settings_of(Adam(lr=0.004))
    {'lr': 0.004, 'betas': (0.9, 0.999), 'eps': 1e-08, 'warmup': 0}
    """
    return flatten(_settable(value))


def _settable(value: Any) -> dict[str, Any]:
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if not f.metadata.get("fixed")}
    return {name: _settable(inner) if dataclasses.is_dataclass(inner) else inner for name, inner in fields.items()}


def resolved(value: Any) -> dict[str, Any]:
    """Return a nested dataclass as a nested dictionary, in which `kind` is the name of each class.

    Examples
    --------
    >>> from trainers.optimizers import Adam
    >>> resolved(Adam(lr=0.004))
    {'kind': 'Adam', 'lr': 0.004, 'betas': (0.9, 0.999), 'eps': 1e-08, 'warmup': 0}
    """
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return {"kind": type(value).__name__} | {
        name: resolved(inner) if dataclasses.is_dataclass(inner) else inner for name, inner in fields.items()
    }


def check_settings(path: Path, setup: Setup, config: Mapping[str, Any]) -> None:
    """Check that a trace or checkpoint belongs to a run of this setup.

    Parameters
    ----------
    path : Path
        The file, for the message.
    setup : Setup
        The expected setup.
    config : mapping
        The configuration in the file: the result of `resolved`, read from JSON.

    Raises
    ------
    InputError
        If the settings differ; the message names the fields.
    """
    wanted, found = flatten(json.loads(json.dumps(resolved(setup)))), BEFORE | flatten(config)
    differ = [name for name, value in wanted.items() if name not in WITHOUT_EFFECT and found.get(name) != value]
    if differ:
        raise other_settings(path, differ)


def other_settings(path: Path, differ: Iterable[str]) -> InputError:
    """Return the error for a file of a run with other settings; `differ` names the fields."""
    return OtherFileError(
        f"{path}: belongs to a run with other settings ({', '.join(sorted(differ))}); give the same settings, or "
        "choose another out="
    )
