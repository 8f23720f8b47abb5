"""How to find a model's last layer and feature layers, and how to run it without disturbing training."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.recording.subject.adapted import Inputs

ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid,
    nn.Softplus, nn.Hardswish,
)  # fmt: skip

INPUT = ":input"
"""Suffix of a layer's name that stands for its input instead of its output."""


class ForwardPass:
    """Runs a model in evaluation mode without gradients, and restores its modes and PyTorch's random states.

    Parameters
    ----------
    model : nn.Module
        The model.
    layers : sequence of str, optional
        Modules whose outputs are features; ``"head:input"`` stands for the input of ``head``.
    """

    def __init__(self, model: nn.Module, layers: Sequence[str] = ()) -> None:
        self.model = model
        self._modules = list(model.modules())
        self._layers = {layer: model.get_submodule(layer.removesuffix(INPUT)) for layer in layers}
        self._cuda = {p.device.index for p in model.parameters() if p.is_cuda}
        self._chain = self._as_chain()

    def _as_chain(self) -> list[tuple[str, nn.Module]]:
        """Return the modules up to the last feature layer if they are a chain of linear layers and activations."""
        children = dict(self.model.named_children())
        if (
            type(self.model) is not nn.Sequential
            or not all(map(_is_plain, children.values()))
            or not set(self._layers) <= set(children)
        ):
            return []
        chain = list(children.items())
        while chain and chain[-1][0] not in self._layers:
            chain.pop()
        return chain

    def _runs_at_once(self, inputs: Tensor, states: Mapping[str, Tensor]) -> bool:
        """Return whether several states can run at once: a chain on flat inputs, whose weights are all in `states`."""
        if not self._chain or not (inputs.ndim == 2 or isinstance(self._chain[0][1], nn.Flatten)):
            return False
        linear = [(name, module) for name, module in self._chain if isinstance(module, nn.Linear)]
        return all(f"{name}.{part}" in states for name, module in linear for part in _tensors(module))

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Switch to evaluation mode without gradients; restore modes and random states afterwards."""
        training = [module.__dict__ for module in self._modules if module.training]
        for attributes in training:  # nn.Module.__setattr__ would cost more than a small model's forward pass
            attributes["training"] = False
        cpu_state = torch.get_rng_state()
        cuda_states = {device: torch.cuda.get_rng_state(device) for device in self._cuda}
        try:
            with torch.no_grad(), random_states_kept():
                yield
        finally:
            torch.set_rng_state(cpu_state)
            for device, state in cuda_states.items():
                torch.cuda.set_rng_state(state, device)
            for attributes in training:
                attributes["training"] = True

    def features(self, inputs: Inputs) -> list[Tensor]:
        """Return a copy of the output of each layer for `inputs`."""
        with self.undisturbed():
            return self._run(inputs, {})

    def features_of_states(self, inputs: Inputs, states: Mapping[str, Tensor]) -> list[Tensor]:
        """Return each layer's (n, ...) outputs in n states of the model, given as (n, ...) parameters and buffers.

        A chain of linear layers and activations runs in all states at once, another model in one after the other.
        """
        with self.undisturbed():
            if isinstance(inputs, Tensor) and self._runs_at_once(inputs, states):
                return self._run_chain(inputs, states)
            each = (dict(zip(states, tensors, strict=True)) for tensors in zip(*states.values(), strict=True))
            outputs = [self._run(inputs, state) for state in each]
            return [torch.stack(of_layer) for of_layer in zip(*outputs, strict=True)]

    def _run_chain(self, inputs: Tensor, states: Mapping[str, Tensor]) -> list[Tensor]:
        outputs = {}
        value = inputs.unsqueeze(0)
        for name, module in self._chain:
            if isinstance(module, nn.Linear):
                weight = states[f"{name}.weight"].mT
                value = value.expand(len(weight), -1, -1)
                bias = states.get(f"{name}.bias")
                value = torch.bmm(value, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), value, weight)
            else:
                value = value.clone() if getattr(module, "inplace", False) else value
                value = value.flatten(2) if isinstance(module, nn.Flatten) else module(value)
            outputs[name] = value
        return [outputs[layer] for layer in self._layers]

    def _run(self, inputs: Inputs, state: dict[str, Tensor]) -> list[Tensor]:
        outputs: dict[str, Tensor] = {}

        def keep_output(layer: str) -> Callable[[nn.Module, object, object], None]:
            return lambda module, given, made: outputs.__setitem__(layer, _first_tensor(made).clone())

        def keep_input(layer: str) -> Callable[[nn.Module, object], None]:
            return lambda module, given: outputs.__setitem__(layer, _first_tensor(given).clone())

        hooks = []
        for layer, module in self._layers.items():
            if layer.endswith(INPUT):
                hooks.append(module.register_forward_pre_hook(keep_input(layer)))
            else:
                hooks.append(module.register_forward_hook(keep_output(layer)))
        try:
            functional_call(self.model, state, (inputs,))
        finally:
            for hook in hooks:
                hook.remove()
        silent = [layer for layer in self._layers if layer not in outputs]
        if silent:
            raise InputError(
                f"feature_layers= names {silent}, which the model's forward pass never calls: leave them out"
            )
        return [outputs[layer] for layer in self._layers]


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is one of PyTorch's own that does nothing else and maps each sample by itself."""
    if module._forward_hooks or module._forward_pre_hooks:
        return False
    if type(module) is nn.Flatten:
        return (module.start_dim, module.end_dim) == (1, -1)
    return type(module) in (nn.Linear, *ACTIVATIONS)


def _tensors(linear: nn.Linear) -> list[str]:
    """Return the names of a linear layer's parameters."""
    return ["weight"] if linear.bias is None else ["weight", "bias"]


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Restore the random states of Python and NumPy afterwards; data loaders may draw from them."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def find_last_layer(model: nn.Module, inputs: Inputs | None, given: str | None = None) -> str:
    """Return the name of the module that computes the logits, or of the parameter if no module holds it.

    Parameters
    ----------
    model : nn.Module
        The model.
    inputs : Tensor or None
        A batch. With it, the last layer is the one that a forward pass calls last; without it, the one that was
        registered last.
    given : str or None
        The name of a module or parameter that the user gave, if any; then it is only checked.

    Returns
    -------
    str
        Name of a module that has a trainable ``weight`` of at least two dimensions, or of the parameter given.

    Raises
    ------
    InputError
        If there is no such module; the message asks for its name.
    """
    candidates: dict[str, nn.Module] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(weight := getattr(module, "weight", None), nn.Parameter)
        and weight.ndim >= 2
        and weight.requires_grad
    }
    matrices = [name for name, p in model.named_parameters() if p.ndim >= 2 and p.requires_grad]
    if given is not None:
        if given not in candidates and given not in matrices:
            raise unknown_name("last_layer", given, [*candidates, *matrices])
        return given
    if not candidates:
        raise InputError(
            "no module of the model has a trainable weight matrix of its own: name the parameter that computes the "
            f"logits with last_layer=, one of {matrices}"
        )
    if inputs is None:
        return list(candidates)[-1]
    names = _called(model, list(candidates), inputs) or list(candidates)
    return names[-1]


def doubt_about(model: nn.Module, last_layer: str, inputs: Inputs | None) -> str:
    """Return why the last layer that was found may not be the one that is meant; empty if nothing speaks against it."""
    modules = dict(model.named_modules())
    layer = modules.get(last_layer)
    shared = [
        name
        for name, module in modules.items()
        if isinstance(module, nn.Embedding) and name != last_layer and module.weight is getattr(layer, "weight", None)
    ]
    if shared:
        return (
            f"the last layer, {last_layer!r}, shares its weight with the embedding {shared[0]!r}: its norm is of both"
        )
    weights = {name: getattr(module, "weight", None) for name, module in modules.items()}
    weighted = [name for name, weight in weights.items() if isinstance(weight, Tensor) and weight.ndim >= 2]
    called = weighted if inputs is None else _called(model, weighted, inputs)
    if called and called[-1] != last_layer and not called[-1].startswith(f"{last_layer}."):
        return (
            f"{called[-1]!r} computes the model's outputs but is frozen or an adapter's base; what is recorded as the "
            f"last layer is {last_layer!r}, the last one that is trained"
        )
    return ""


def find_feature_layers(
    model: nn.Module, last_layer: str, inputs: Inputs, given: Sequence[str] | None = None
) -> list[str]:
    """Return the layers whose outputs are features.

    Those are the blocks if the model has a stack of them (Transformer, ViT), else its activations (MLP, CNN). The last
    entry is always the input of the last layer, unless that is a bare parameter. If this input is the output of the
    last block or activation, the name of that is used.

    Parameters
    ----------
    model : nn.Module
        The model.
    last_layer : str
        Name of the module or bare parameter that computes the logits.
    inputs : Tensor
        A batch.
    given : sequence of str or None
        The names that the user gave, if any; then they are only checked.

    Returns
    -------
    list of str
        Names of modules in the order in which a forward pass calls them; "NAME:input" stands for the input of NAME.

    Raises
    ------
    InputError
        If a name is not that of a module.
    """
    modules = dict(model.named_modules())
    if given is not None:
        for layer in given:
            if layer.removesuffix(INPUT) not in modules:
                raise unknown_name("feature layer", layer, modules)
        return list(given)
    layers = _blocks(model) or [name for name, module in modules.items() if isinstance(module, ACTIVATIONS)]
    called = _called(model, layers, inputs)
    if last_layer not in modules:
        return called
    last_input = f"{last_layer}{INPUT}"
    *features, final = ForwardPass(model, [*called, last_input]).features(inputs)
    if features and features[-1].shape == final.shape and torch.equal(features[-1], final):
        return called
    return [*called, last_input]


def _blocks(model: nn.Module) -> list[str]:
    """Return the members of the longest stack of two or more composite modules of one class."""
    stacks: list[list[str]] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList | nn.Sequential):
            prefix = f"{name}." if name else ""
            children = dict(module.named_children())
            kinds = {type(child) for child in children.values()}
            composite = all(any(True for _ in child.children()) for child in children.values())
            if len(children) >= 2 and len(kinds) == 1 and composite:
                stacks.append([f"{prefix}{child}" for child in children])
    return max(stacks, key=len, default=[])


def _called(model: nn.Module, layers: Sequence[str], inputs: Inputs) -> list[str]:
    """Return those of `layers` that a forward pass calls, in the order of the calls."""
    called: list[str] = []
    hooks = [
        model.get_submodule(layer).register_forward_hook(lambda m, i, o, layer=layer: called.append(layer))
        for layer in layers
    ]
    try:
        with ForwardPass(model).undisturbed():
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return list(dict.fromkeys(called))


def _first_tensor(value: object) -> Tensor:
    while isinstance(value, tuple | list):
        value = value[0]
    assert isinstance(value, Tensor)
    return value
