"""The mean loss over a set of samples as a function of the parameters, evaluated on a copy of the model."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property, reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.subject.adapted import Adapted, Inputs, map_inputs
from slingshot_analysis.recording.subject.losses import LossFunction, cross_entropy, float64_loss, loss_weight
from slingshot_analysis.recording.subject.model import ForwardPass
from slingshot_analysis.recording.torch_internals import is_compiled

Chunk = tuple[Inputs, Tensor, float]
"""Inputs, targets and the chunk's share of the mean."""


class MeanLoss:
    """L(w), the mean loss over a fixed set, computed on a copy of the model.

    The copy is made once and runs in evaluation mode: dropout is off, and batch normalisation uses its running
    statistics. Attention runs in PyTorch's "math" backend, as the fused backends have no second derivative. Autocast is
    off. A model that draws random numbers even in evaluation mode draws the same numbers each time.

    The model computes in its own dtype, and the loss of its outputs is computed in float64. With float32, products take
    half the time, and precision is lost in the softmax of a fitted sample rather than in the model; docs/curvature.md
    has the errors. Cross-entropy is computed as log(1 + Σ_{c≠y} exp(z_c − z_y)), whose derivatives keep their relative
    precision however well a sample is fitted; those of the usual form vanish once 1 − p_y is below 1e-16.

    Parameters
    ----------
    model : nn.Module
        The model; it is copied.
    loss_function : callable
        ``loss_function(logits, targets)``, the mean loss over a batch.
    data : sequence of (inputs, targets)
        The samples, in chunks of any size. The weight of a chunk in the mean is its number of targets, without integer
        targets below 0, or the sum of their class weights: see `loss_weight`.
    names : sequence of str, optional
        The parameters w; by default all trainable ones.
    model_dtype : torch.dtype, optional
        Dtype of the copy; by default that of the model, or float32 if that has fewer digits.

    Examples
    --------
    >>> model = nn.Linear(1, 2, bias=False)
    >>> mean_loss = MeanLoss(model, cross_entropy, [(torch.ones(3, 1), torch.zeros(3, dtype=torch.long))])
    >>> loss, gradient = mean_loss.gradient({"weight": torch.tensor([[60.0], [0.0]])})
    >>> [f"{number:.6g}" for number in (loss, *gradient)]
    ['8.75651e-27', '-8.75651e-27', '8.75651e-27']
    """

    def __init__(
        self,
        model: nn.Module,
        loss_function: LossFunction,
        data: Sequence[tuple[Inputs, Tensor]],
        names: Sequence[str] | None = None,
        model_dtype: torch.dtype | None = None,
    ) -> None:
        live = dict(model.named_parameters())
        self.names = [name for name, p in live.items() if p.requires_grad] if names is None else list(names)
        self._live = [live[name] for name in self.names]
        self._model = model
        self._shapes = [p.shape for p in self._live]
        self.sizes = [p.numel() for p in self._live]
        """Number of elements of each parameter, in the order of `names`."""
        self.dtype = torch.float64
        """Dtype of points, gradients and products."""
        self.model_dtype = model_dtype or reduce(torch.promote_types, [p.dtype for p in self._live], torch.float32)
        self.device = self._live[0].device
        self._shadow = _copy(model).to(self.model_dtype).eval().requires_grad_(False)
        self._frozen = [(name, p) for name, p in self._shadow.named_parameters() if name not in self.names]
        self._is_compiled = is_compiled(model)
        self._forward = ForwardPass(self._shadow)
        self._loss_function = loss_function
        counts = [float(loss_weight(loss_function, targets)) for _, targets in data]
        if not sum(counts):
            raise InputError("train_data= holds no target that counts: all of its integer targets are below 0")
        self._chunks: list[Chunk] = [
            (map_inputs(inputs.to(self.device), self._cast), targets.to(self.device), count / sum(counts))
            for (inputs, targets), count in zip(data, counts, strict=True)
            if count
        ]

    @property
    def dimension(self) -> int:
        """Number of elements of w."""
        return sum(self.sizes)

    @property
    def chunks(self) -> list[Chunk]:
        """The chunks of the set, each with its share of the mean."""
        return self._chunks

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.model_dtype) if tensor.is_floating_point() else tensor

    def flatten(self, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return parameters as one new (dimension,) vector; by default the model's present ones."""
        tensors = self._live if parameters is None else [parameters[name] for name in self.names]
        return torch.cat([tensor.detach().reshape(-1).to(self.dtype) for tensor in tensors])

    def split(self, vector: Tensor) -> list[Tensor]:
        """Split a (dimension,) vector into tensors with the shapes and the dtype of the copy's parameters."""
        parts = torch.split(vector.to(self.model_dtype), self.sizes)
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def variables(self, point: Tensor) -> list[Tensor]:
        """Return the parameters at a (dimension,) point as leaves of an autograd graph."""
        return [part.detach().requires_grad_() for part in self.split(point)]

    def buffers(self, buffers: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Return copies of buffers in the dtype of the copy; by default of the model's present ones."""
        live = dict(self._model.named_buffers())
        given = live if buffers is None else buffers
        return {name: self._cast(given[name]).detach().clone() for name in live}

    def follow_frozen(self) -> bool:
        """Copy the model's parameters that are not in w; return whether any has changed since the last call."""
        changed = False
        for name, kept in self._frozen:
            live = self._model.get_parameter(name).detach().to(self.model_dtype)
            if not torch.equal(kept, live):  # an unchanged tensor must not be written: graphs that use it would break
                kept.copy_(live)
                changed = True
        return changed

    @contextmanager
    def graph(self) -> Iterator[None]:
        """A context in which graphs are built with a second derivative; random states are restored after it."""
        with ExitStack() as stack:
            stack.enter_context(self._forward.undisturbed())
            stack.enter_context(torch.enable_grad())
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            stack.enter_context(self.without_autocast())
            if self._is_compiled:  # compiled modules have no second derivative
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield

    def without_autocast(self) -> torch.autocast:
        """Return a context in which the copy computes in its own dtype, even within an autocast of training."""
        return torch.autocast(self.device.type, enabled=False)

    def outputs(self, variables: Sequence[Tensor], buffers: Mapping[str, Tensor], chunk: Chunk) -> Tensor:
        """Return the model's outputs for a chunk in float64; call it within :meth:`graph`."""
        if self.device.type == "cpu":
            torch.default_generator.manual_seed(0)
        else:
            torch.manual_seed(0)
        state = dict(zip(self.names, variables, strict=True)) | dict(buffers)
        outputs: Tensor = functional_call(self._shadow, state, (chunk[0],))
        return outputs.to(self.dtype)

    def loss(self, outputs: Tensor, chunk: Chunk) -> Tensor:
        """Return the chunk's share of the mean loss."""
        if self._loss_function is cross_entropy:
            return _precise_cross_entropy(outputs, chunk[1]) * chunk[2]
        return float64_loss(self._loss_function, outputs, chunk[1]) * chunk[2]

    @cached_property
    def graph_bytes(self) -> int:
        """Bytes that the gradients' graphs of all chunks take: about three times what their forward passes keep."""
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()

        chunk = self._chunks[0]
        with self.graph(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            self.loss(self.outputs(self.variables(self.flatten()), self.buffers(), chunk), chunk)
        return 3 * len(self._chunks) * sum(storages.values())

    def gradient(
        self, parameters: Mapping[str, Tensor] | None = None, buffers: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return loss () and gradient (dimension,) at `parameters`; by default at the model's present ones."""
        self.follow_frozen()
        variables, kept = self.variables(self.flatten(parameters)), self.buffers(buffers)
        loss = torch.zeros((), dtype=self.dtype, device=self.device)
        gradient = torch.zeros(self.dimension, dtype=self.dtype, device=self.device)
        for chunk in self._chunks:
            with self.graph():
                part = self.loss(self.outputs(variables, kept, chunk), chunk)
                slopes = torch.autograd.grad(part, variables, materialize_grads=True)
            loss += part.detach()
            gradient += torch.cat([slope.reshape(-1) for slope in slopes])
        return loss, gradient


def _copy(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose gradients are all dense; the model may keep results of its forward pass.

    Hooks are shared with the model, and so is what else it refers to, such as a framework's trainer.
    """
    modules = [*model.modules(), *([model.inner] if isinstance(model, Adapted) else [])]
    parts = [item for module in modules for item in vars(module).items()]
    memo: dict[int, Any] = {
        id(part): part
        for name, part in parts
        if "_hooks" in name or not isinstance(part, Tensor | nn.Module | dict | list | tuple | set)
    }
    memo |= {id(kept): kept.detach().clone() for _, part in parts for kept in _results(part)}
    copied = copy.deepcopy(model, memo)
    for module in copied.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.sparse = False
    return copied


def _results(part: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested containers that a forward pass has computed."""
    if isinstance(part, Tensor):
        if not part.is_leaf:
            yield part
    elif isinstance(part, Mapping):
        yield from (kept for value in part.values() for kept in _results(value))
    elif isinstance(part, list | tuple | set):
        yield from (kept for value in part for kept in _results(value))


def _precise_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    logits, targets = logits.flatten(0, -2), targets.flatten()
    index = targets.clamp(min=0).unsqueeze(1)
    others = (logits - logits.gather(1, index)).scatter(1, index, -torch.inf)
    counted = (targets >= 0).to(logits.dtype)
    # log(1 + e^x) is −logsigmoid(−x), whose derivatives keep their precision at both ends
    losses = -functional.logsigmoid(-others.logsumexp(1))
    return (losses * counted).sum() / counted.sum()
