"""The run that is recorded, in the form in which probes see it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.subject.adapted import Adapted, Inputs, Output
from slingshot_analysis.recording.subject.data import Batches, Data, as_inputs, whole_set
from slingshot_analysis.recording.subject.losses import LossFunction, cross_entropy, recognised
from slingshot_analysis.recording.subject.model import doubt_about, find_feature_layers, find_last_layer
from slingshot_analysis.recording.subject.optimizers import AnyOptimizer
from slingshot_analysis.recording.subject.targets import Kind, Targets, understand_targets

PROBE_SAMPLES = 32
"""Number of training samples in the default probe batch."""
ENTROPIES = nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.BCELoss
"""Losses whose unit is nat."""


@dataclass(frozen=True)
class Subject:
    """The training run that is recorded, as probes see it before the first update.

    Parameters
    ----------
    model : nn.Module
        The model, in the state of step 0.
    parameters : dict of str to Tensor
        The trainable parameters by name.
    last_layer : str
        Name of the module that computes the logits, or of the weight if no module holds it.
    feature_layers : sequence of str
        Names of the modules whose outputs are features.
    loss_function : callable
        ``loss_function(logits, targets)``, the mean loss of a batch as a scalar tensor.
    probe_inputs : Inputs or None
        The fixed batch on which features are compared.
    train_data, val_data : iterable of (inputs, targets) or None
        The whole sets, in batches.
    optimizer : Optimizer, Optimizers or None
        The optimizer or optimizers, whose state and hyperparameters are only read.
    targets : Targets
        Kind of the targets, which decides how errors are counted.
    loss_dtype : torch.dtype or None
        Dtype in which training computes the loss; None if it is that of the logits.
    scaler : GradScaler or None
        The gradient scaler, whose scale is only read.
    """

    model: nn.Module
    parameters: dict[str, Tensor]
    last_layer: str
    feature_layers: Sequence[str]
    loss_function: LossFunction
    probe_inputs: Inputs | None
    train_data: Batches | None
    val_data: Batches | None
    optimizer: AnyOptimizer | None = None
    targets: Targets = Targets()  # noqa: RUF009
    loss_dtype: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None

    @property
    def loss_unit(self) -> str:
        """Unit of the loss: nat if it is known to be a cross-entropy, else empty."""
        return "nat" if self.targets.kind is Kind.CLASS or isinstance(self.loss_function, ENTROPIES) else ""

    @property
    def has_last_module(self) -> bool:
        """Whether the last layer is a module rather than a bare parameter."""
        return self.last_layer not in self.parameters

    @property
    def last_layer_parameters(self) -> list[str]:
        """Names of the last layer's parameters: first its weight, then its bias if it has one."""
        if not self.has_last_module:
            return [self.last_layer]
        layer = self.model.get_submodule(self.last_layer)
        members = {id(parameter) for parameter in layer.parameters()}
        names = [name for name, parameter in self.parameters.items() if id(parameter) in members]
        return sorted(names, key=lambda name: self.parameters[name] is not layer.weight)


def make_subject(
    model: nn.Module,
    optimizer: AnyOptimizer,
    *,
    train_data: Data | None,
    val_data: Data | None,
    probe_inputs: Inputs | Any | None,
    last_layer: str | None,
    feature_layers: Sequence[str] | None,
    loss_function: LossFunction,
    loss_dtype: torch.dtype | None,
    output: Output | None = None,
    shift_labels: bool = False,
    scaler: torch.amp.GradScaler | None = None,
) -> Subject:
    """Return the run as probes see it. Parameters are as for `Recorder`; the model is run on a batch.

    A model whose inputs or outputs are no single tensors is represented by an `Adapted` one.

    Raises
    ------
    InputError
        If the model has no trainable parameter, complex ones or some on several devices, or if a name is unknown.
    """
    parameters: dict[str, Tensor] = {name: p for name, p in model.named_parameters() if p.requires_grad and p.numel()}
    if not parameters:
        raise InputError("the model has no trainable parameter to record")
    complex_ones = [name for name, p in parameters.items() if p.is_complex()]
    if complex_ones:
        raise InputError(f"the parameters {complex_ones} are complex; the recorder measures real ones")
    devices = {p.device for p in parameters.values()}
    if len(devices) > 1:
        raise InputError(f"the parameters are on several devices ({devices}); the recorder needs them on one")
    device = devices.pop()
    train, val = (whole_set(data, device, shift_labels) for data in (train_data, val_data))
    if probe_inputs is None and train is not None:
        probe_inputs = next(iter(train))[0][:PROBE_SAMPLES]
    if probe_inputs is not None:
        probe_inputs = as_inputs(probe_inputs).to(device)
    if output is not None or shift_labels or not _is_plain(model, probe_inputs):
        model = Adapted(model, output, shift_labels)
    last = find_last_layer(model, probe_inputs, last_layer)
    if last_layer is None and (doubt := doubt_about(model, last, probe_inputs)):
        warnings.warn(f"{doubt}; if that is not meant, name another one with last_layer=", stacklevel=3)
    layers = [] if probe_inputs is None else find_feature_layers(model, last, probe_inputs, feature_layers)
    loss, targets = _understand(model, train or val, device, loss_function)
    known = loss, probe_inputs, train, val, optimizer, targets, loss_dtype, scaler
    return Subject(model, parameters, last, layers, *known)


def _is_plain(model: nn.Module, inputs: Inputs | None) -> bool:
    """Return whether the model maps one tensor to one tensor, as far as it is known."""
    return inputs is None or (isinstance(inputs, Tensor) and isinstance(model(inputs), Tensor))


def _understand(
    model: nn.Module, data: Batches | None, device: torch.device, loss_function: LossFunction
) -> tuple[LossFunction, Targets]:
    """Return the loss, as `cross_entropy` if it is equivalent to that, and the kind of the targets."""
    classes = Targets(ignored=getattr(loss_function, "ignore_index", -100))
    if data is None or loss_function is cross_entropy:
        return recognised(loss_function), classes
    outputs = model(next(iter(data))[0][:PROBE_SAMPLES].to(device))
    known = [targets for _, targets in (data if isinstance(data, list) else [next(iter(data))])]
    kind = understand_targets(outputs, torch.cat(known).to(device), loss_function)
    one_class_each = kind.kind is Kind.CLASS and outputs.ndim == 2
    return (recognised(loss_function) if one_class_each else loss_function), kind
