"""Forward and backward passes of a batch of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from slingshot_analysis.recording.subject.losses import cross_entropy
from slingshot_analysis.recording.torch_internals import foreach, log_softmax_backward, relu_backward_
from trainers.batch._stack import Stack

Shape = tuple[int, int, int]
"""(m, k, n) of a product of an (m, k) matrix with a (k, n) matrix."""


class Passes(Protocol):
    """Forward and backward pass of R runs of the same network."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the (R, n, classes) logits of (R, n, ...) inputs. The next call overwrites them."""

    def backward(self, gradient: Tensor) -> None:
        """Write the gradients of the parameters into the stack, given the gradient of the last logits."""

    def products(self, samples: int) -> set[Shape]:
        """Return the shapes of the matrix products for this number of samples, if they are known."""


def find_passes(model: nn.Module, stack: Stack) -> Passes:
    """Return the fast passes for a chain of linear layers and ReLUs, or general ones for any other network."""
    layers = as_chain(model)
    return Chain(layers, stack) if layers else Mapped(model, stack)


def as_chain(model: nn.Module) -> list[tuple[str, nn.Linear, bool]]:
    """Return name, linear layer, and whether a ReLU follows, for each layer of a chain; [] for other networks."""
    children = list(model.named_children()) if type(model) is nn.Sequential else []
    layers: list[tuple[str, nn.Linear, bool]] = []
    for i, (name, module) in enumerate(children):
        if type(module) is nn.Linear:
            layers.append((name, module, False))
        elif type(module) is nn.ReLU and layers and not layers[-1][2]:
            layers[-1] = *layers[-1][:2], True
        elif not (type(module) is nn.Flatten and i == 0 and (module.start_dim, module.end_dim) == (1, -1)):
            return []
    return layers


class Chain:
    """Linear layers with ReLUs between them: products of stacked matrices, whose gradients are written in place."""

    def __init__(self, layers: list[tuple[str, nn.Linear, bool]], stack: Stack) -> None:
        self._layers = [_Layer(name, relu, stack) for name, _, relu in layers]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits."""
        value = inputs.flatten(2)
        for layer in self._layers:
            value = layer.forward(value)
        return value

    def backward(self, gradient: Tensor) -> None:
        """Write the gradients."""
        first = self._layers[0]
        for layer in reversed(self._layers):
            gradient = layer.backward(gradient, layer is not first)

    def products(self, samples: int) -> set[Shape]:
        """Return the shapes of all products."""
        shapes: set[Shape] = set()
        for layer in self._layers:
            units, inputs = layer.shape
            shapes |= {(samples, inputs, units), (units, samples, inputs), (samples, units, inputs)}
        return shapes


class _Layer:
    def __init__(self, name: str, relu: bool, stack: Stack) -> None:
        self._relu = relu
        self._weight, self._weight_gradient = (part[f"{name}.weight"] for part in (stack.parameters, stack.gradients))
        self._bias = stack.parameters.get(f"{name}.bias")
        self._bias_gradient = stack.gradients.get(f"{name}.bias")
        self.shape = self._weight.shape[1:]
        self._space: tuple[Tensor, Tensor] | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        if self._space is None or self._space[1].shape != inputs.shape:
            output = inputs.new_empty((*inputs.shape[:2], self._weight.shape[1]))
            self._space = output, torch.empty_like(inputs)
        self._inputs, (self._output, self._back) = inputs, self._space
        torch.bmm(inputs, self._weight.mT, out=self._output)
        if self._bias is not None:
            self._output += self._bias.unsqueeze(1)
        return self._output.relu_() if self._relu else self._output

    def backward(self, gradient: Tensor, onward: bool) -> Tensor:
        if self._relu:
            relu_backward_(gradient, self._output)
        torch.bmm(gradient.mT, self._inputs, out=self._weight_gradient)
        if self._bias_gradient is not None:
            torch.sum(gradient, 1, out=self._bias_gradient)
        return torch.bmm(gradient, self._weight, out=self._back) if onward else gradient


class Mapped:
    """Any network, with PyTorch's ``vmap`` over parameters, buffers and inputs."""

    def __init__(self, model: nn.Module, stack: Stack) -> None:
        self._parameters = {name: values.detach().requires_grad_() for name, values in stack.parameters.items()}
        self._leaves = list(self._parameters.values())
        self._gradients = list(stack.gradients.values())
        self._buffers = stack.buffers
        self._call = vmap(lambda parameters, buffers, inputs: functional_call(model, (parameters, buffers), (inputs,)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits."""
        # vmap has no batching rule for PyTorch's fused attention on the CPU, so attention is computed as plain products
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            self._outputs: Tensor = self._call(self._parameters, self._buffers, inputs)
        logits: Tensor = self._outputs.detach()
        return logits

    def backward(self, gradient: Tensor) -> None:
        """Write the gradients."""
        foreach("copy_", self._gradients, torch.autograd.grad(self._outputs, self._leaves, gradient))
        del self._outputs

    def products(self, samples: int) -> set[Shape]:
        """Return no shapes, because the products of the network are not known."""
        return set()


def loss_and_gradient(
    loss_function: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype, logits: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean loss of each run's batch, (R,), and its gradient with respect to the logits.

    Parameters
    ----------
    loss_function : callable
        Loss of one run, given its logits and targets. The gradient of cross-entropy is computed directly, without
        autograd.
    dtype : torch.dtype
        Dtype to which the logits are cast for the loss.
    logits : (R, n, ...) Tensor
        Logits of all runs.
    targets : (R, n) integer Tensor
        Targets of all runs.
    """
    if loss_function is cross_entropy:
        cast, index = logits.to(dtype), targets.unsqueeze(-1)
        log_p = torch.log_softmax(cast, -1)
        upstream = torch.zeros_like(log_p).scatter_(-1, index, -1 / targets.shape[1])
        gradient = log_softmax_backward(upstream, log_p, cast)
        return log_p.gather(-1, index).flatten(1).mean(1).neg_(), gradient.to(logits.dtype)
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        losses = vmap(loss_function)(leaf.to(dtype), targets)
    (gradient,) = torch.autograd.grad(losses, leaf, torch.ones_like(losses))
    return losses.detach(), gradient


@contextmanager
def fast_products(allowed: bool) -> Iterator[None]:
    """Let oneDNN compute stacked products, which uses wider vectors than MKL on some CPUs."""
    if not allowed:
        yield
        return
    settings: Any = getattr(torch.backends.mkldnn, "matmul", None)
    before, settings.fp32_precision = settings.fp32_precision, "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


def products_can_be_fast(shapes: Iterable[Shape], dtype: torch.dtype) -> bool:
    """Return whether oneDNN is available and computes products with the full precision of float32.

    PyTorch uses oneDNN for float32 products only if bfloat16 is allowed. CPUs without bfloat16 matrix units still
    compute in float32, with relative errors of 1e-6. On other CPUs errors are 1e-3, and this function returns False.

    Parameters
    ----------
    shapes : iterable of (m, k, n)
        Shapes of the products of an (m, k) with a (k, n) matrix.
    dtype : torch.dtype
        Dtype of the matrices.
    """
    settings = getattr(torch.backends.mkldnn, "matmul", None)  # since PyTorch 2.9
    available = torch.backends.mkldnn.is_available() and hasattr(settings, "fp32_precision")
    if dtype != torch.float32 or not shapes or not available:
        return False
    generator = torch.Generator().manual_seed(0)
    for m, k, n in shapes:
        left, right = (torch.rand(2, *shape, generator=generator) for shape in ((m, k), (k, n)))
        with fast_products(True):
            found = [left @ right, left.mT.contiguous().mT @ right, left @ right.mT.contiguous().mT]
        exact = left.double() @ right.double()
        if any((product - exact).abs().max() > 1e-5 * exact.abs().max() for product in found):
            return False
    return True
