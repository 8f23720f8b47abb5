"""What a recorder is given, brought into the form in which probes see it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.classification import LossFunction, cross_entropy, recognised
from slingshot_analysis.recording.data import Data, whole_set
from slingshot_analysis.recording.model import find_feature_layers, find_last_layer
from slingshot_analysis.recording.probe import Batches, Subject
from slingshot_analysis.recording.targets import Kind, Targets, understand_targets

__all__ = ["make_subject"]

PROBE_SAMPLES = 32


def make_subject(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    train_data: Data | None,
    val_data: Data | None,
    probe_inputs: Tensor | None,
    last_layer: str | None,
    feature_layers: Sequence[str] | None,
    loss_function: LossFunction,
    loss_dtype: torch.dtype | None,
) -> Subject:
    """Return the run as probes see it; the parameters are those of `Recorder`. The model's forward pass is run.

    Raises
    ------
    InputError
        If the model has no trainable parameter, complex ones or some on another device, or a name is unknown.
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
    train, val = whole_set(train_data, device), whole_set(val_data, device)
    if probe_inputs is None and train is not None:
        probe_inputs = next(iter(train))[0][:PROBE_SAMPLES]
    if probe_inputs is not None:
        probe_inputs = probe_inputs.to(device)
    last = find_last_layer(model, probe_inputs, last_layer)
    layers = [] if probe_inputs is None else find_feature_layers(model, last, probe_inputs, feature_layers)
    loss, targets = _understand(model, train or val, device, loss_function)
    return Subject(model, parameters, last, layers, loss, probe_inputs, train, val, optimizer, targets, loss_dtype)


def _understand(
    model: nn.Module, data: Batches | None, device: torch.device, loss_function: LossFunction
) -> tuple[LossFunction, Targets]:
    """Return the loss, as `cross_entropy` where it is that, and what the targets of the data are; classes if none."""
    classes = Targets(ignored=getattr(loss_function, "ignore_index", -100))
    if data is None or loss_function is cross_entropy:
        return recognised(loss_function), classes
    outputs = model(next(iter(data))[0][:PROBE_SAMPLES].to(device))
    if not isinstance(outputs, Tensor):
        return recognised(loss_function), classes
    known = [targets for _, targets in (data if isinstance(data, list) else [next(iter(data))])]
    kind = understand_targets(outputs, torch.cat(known).to(device), loss_function)
    one_class_each = kind.kind is Kind.CLASS and outputs.ndim == 2
    return (recognised(loss_function) if one_class_each else loss_function), kind
