"""Forward and backward passes of runs of the same network, and of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from slingshot_analysis.recording.subject.losses import cross_entropy
from slingshot_analysis.recording.torch_internals import (
    foreach,
    log_softmax_backward,
    nll_loss_and_gradient,
    nll_losses_and_gradient,
    relu_backward_,
)
from trainers.run import Run
from trainers.stack import Stack

LossAndGradient = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Returns loss and gradient, given logits and targets."""

Shape = tuple[int, int, int]
"""(m, k, n) of a product of an (m, k) matrix with a (k, n) matrix."""


class Passes(Protocol):
    """Forward and backward pass of R runs of the same network.

    Inputs, targets, losses and logits have a first axis of R runs; those of a single run have no such axis.
    """

    def __call__(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Write the gradients of the mean loss into the stack, and return loss and logits.

        Parameters
        ----------
        inputs : (R, n, ...) Tensor
            Samples of a batch.
        targets : (R, n) integer Tensor
            Their targets.

        Returns
        -------
        losses : (R,) Tensor
            Mean loss of each run's batch.
        logits : (R, n, ...) Tensor
            Outputs of the network. The next call overwrites them.
        """


def find_passes(run: Run, stack: Stack) -> Passes:
    """Return the passes of a single run.

    They are written out for a chain of linear layers and ReLUs without autocast; all others are those of autograd.
    """
    layers = as_chain(run.model) if run.setup.autocast == "none" else []
    return Chain(layers, stack, _of_run(run), torch.addmm) if layers else Autograd(run, stack)


def find_batched_passes(run: Run, stack: Stack) -> Passes:
    """Return the passes of runs like `run`: written out for a chain of linear layers and ReLUs, else by ``vmap``."""
    layers, setup = as_chain(run.model), run.setup
    of_all = partial(losses_and_gradient, setup.loss_function, setup.torch_loss_dtype)
    return Chain(layers, stack, of_all) if layers else Mapped(run, stack)


def find_exact_passes(runs: Sequence[Run], stack: Stack) -> Chain:
    """Return the passes of chains that round as :func:`find_passes` does for each run alone. Their losses may differ.

    This holds where a stacked product has the bits of a single one, as with MKL.
    """
    kinds = [(run.setup.loss_function, run.setup.torch_loss_dtype) for run in runs]
    groups = [(kind, len(list(alike))) for kind, alike in groupby(kinds)]
    sizes = [size for _, size in groups]

    def of_all(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        found = [
            exact_losses_and_gradient(*kind, *batches)
            for (kind, _), *batches in zip(groups, logits.split(sizes), targets.split(sizes), strict=True)
        ]
        losses, gradients = zip(*found, strict=True)
        return torch.cat(losses), torch.cat(gradients)

    return Chain(as_chain(runs[0].model), stack, of_all, torch.baddbmm)


def _of_run(run: Run) -> LossAndGradient:
    return partial(loss_and_gradient, run.setup.loss_function, run.setup.torch_loss_dtype)


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
    """Linear layers with ReLUs between them, written out: products whose results go where they are needed.

    A single run takes the same operations as autograd, in the same order, so that its gradients are bit-identical.

    Parameters
    ----------
    layers : sequence of (str, nn.Linear, bool)
        What :func:`as_chain` returned.
    stack : Stack
        The runs, whose gradients are written.
    loss_and_gradient : callable
        Returns loss and gradient, given logits and targets.
    product_and_bias : callable, optional
        ``torch.addmm`` for a single run, whose samples and logits have no axis of runs; ``torch.baddbmm`` for products
        that round like those. By default, the bias is added to the product, which takes less time.
    """

    def __init__(
        self,
        layers: Sequence[tuple[str, nn.Linear, bool]],
        stack: Stack,
        loss_and_gradient: LossAndGradient,
        product_and_bias: Callable[..., Tensor] | None = None,
    ) -> None:
        self._layers = [_Layer(name, relu, stack, product_and_bias) for name, _, relu in layers]
        self._loss_and_gradient = loss_and_gradient
        self._first_axis = 1 if product_and_bias is torch.addmm else 2

    def __call__(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Write the gradients; return loss and logits."""
        value = inputs.flatten(self._first_axis)
        for layer in self._layers:
            value = layer.forward(value)
        loss, gradient = self._loss_and_gradient(value, targets)
        for layer in self._layers[:0:-1]:
            gradient = layer.backward(gradient)
        self._layers[0].write_gradients(gradient)
        return loss, value

    def products(self, samples: int) -> set[Shape]:
        """Return the shapes of all products for this number of samples."""
        shapes: set[Shape] = set()
        for layer in self._layers:
            units, inputs = layer.shape
            shapes |= {(samples, inputs, units), (units, samples, inputs), (samples, units, inputs)}
        return shapes


class _Layer:
    def __init__(
        self, name: str, relu: bool, stack: Stack, product_and_bias: Callable[..., Tensor] | None = None
    ) -> None:
        single = product_and_bias is torch.addmm

        def of_runs(values: Tensor) -> Tensor:
            return values[0] if single else values

        self._relu, self._product_and_bias = relu, product_and_bias
        self._weight, self._weight_gradient = (
            of_runs(part[f"{name}.weight"]) for part in (stack.parameters, stack.gradients)
        )
        self._transposed = self._weight.mT
        self._bias: Tensor | None = None
        if f"{name}.bias" in stack.parameters:
            self._bias = of_runs(stack.parameters[f"{name}.bias"]).unsqueeze(-2)
            self._bias_gradient = of_runs(stack.gradients[f"{name}.bias"])
        self._product: Callable[..., Tensor] = torch.mm if single else torch.bmm
        self.shape = self._weight.shape[-2:]
        self._spaces: dict[torch.Size, tuple[Tensor, Tensor]] = {}

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.shape not in self._spaces:
            output = inputs.new_empty((*inputs.shape[:-1], self.shape[0]))
            self._spaces[inputs.shape] = output, torch.empty_like(inputs)
        self._inputs, (self._output, self._back) = inputs, self._spaces[inputs.shape]
        if self._bias is None:
            self._product(inputs, self._transposed, out=self._output)
        elif self._product_and_bias:
            self._product_and_bias(self._bias, inputs, self._transposed, out=self._output)
        else:  # faster than baddbmm, which copies the bias first
            torch.bmm(inputs, self._transposed, out=self._output).add_(self._bias)
        return self._output.relu_() if self._relu else self._output

    def write_gradients(self, gradient: Tensor) -> None:
        """Write the gradients of weight and bias; the gradient of the output becomes that before the ReLU."""
        if self._relu:
            relu_backward_(gradient, self._output)
        self._product(gradient.mT, self._inputs, out=self._weight_gradient)
        if self._bias is not None:
            torch.sum(gradient, -2, out=self._bias_gradient)

    def backward(self, gradient: Tensor) -> Tensor:
        """Write the gradients and return that of the inputs."""
        self.write_gradients(gradient)
        self._product(gradient, self._weight, out=self._back)
        return self._back


class Autograd:
    """Any network of a single run, with PyTorch's autograd.

    If the run has a loss scaler, the gradients are those of the scaled loss.
    """

    def __init__(self, run: Run, stack: Stack) -> None:
        self._model, self._stack, self._scaler = run.model, stack, run.scaler
        self._loss_function, self._loss_dtype = run.setup.loss_function, run.setup.torch_loss_dtype
        dtype, device = run.setup.torch_autocast, run.data.train_inputs.device
        self._precision: AbstractContextManager[Any] = torch.autocast(device.type, dtype) if dtype else nullcontext()

    @torch.enable_grad()
    def __call__(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Write the gradients; return loss and logits."""
        with self._precision:
            logits = self._model(inputs)
        loss = self._loss_function(logits.to(self._loss_dtype), targets)
        self._stack.clear_gradients()
        (loss if self._scaler is None else self._scaler.scaled(loss)).backward()
        return loss.detach(), logits.detach()


class Mapped:
    """Any network, with PyTorch's ``vmap`` over parameters, buffers and inputs."""

    def __init__(self, run: Run, stack: Stack) -> None:
        self._loss_function, self._loss_dtype = run.setup.loss_function, run.setup.torch_loss_dtype
        self._parameters = {name: values.detach().requires_grad_() for name, values in stack.parameters.items()}
        self._leaves = list(self._parameters.values())
        self._gradients = list(stack.gradients.values())
        self._buffers = stack.buffers
        model = run.model
        self._call = vmap(lambda parameters, buffers, inputs: functional_call(model, (parameters, buffers), (inputs,)))

    def __call__(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Write the gradients; return losses and logits."""
        # vmap has no batching rule for PyTorch's fused attention on the CPU, so attention is computed as plain products
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            outputs: Tensor = self._call(self._parameters, self._buffers, inputs)
        logits = outputs.detach()
        losses, gradient = losses_and_gradient(self._loss_function, self._loss_dtype, logits, targets)
        foreach("copy_", self._gradients, torch.autograd.grad(outputs, self._leaves, gradient))
        return losses, logits


def loss_and_gradient(
    loss_function: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype, logits: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean loss of a batch and its gradient with respect to the logits.

    Parameters
    ----------
    loss_function : callable
        Loss, given logits and targets. The gradient of cross-entropy is computed without autograd.
    dtype : torch.dtype
        Dtype to which the logits are cast for the loss.
    logits : (n, ...) Tensor
        Logits.
    targets : (n,) integer Tensor
        Targets.

    Returns
    -------
    loss : () Tensor
        In `dtype`.
    gradient : (n, ...) Tensor
        In the dtype of the logits. Both are bit-identical to those of autograd.
    """
    if loss_function is cross_entropy and logits.ndim == 2:
        cast = logits.to(dtype)
        log_p = torch.log_softmax(cast, -1)
        loss, upstream = nll_loss_and_gradient(log_p, targets)
        return loss, log_softmax_backward(upstream, log_p, cast).to(logits.dtype)
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        loss = loss_function(leaf.to(dtype), targets)
    (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.detach(), gradient


def losses_and_gradient(
    loss_function: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype, logits: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean loss of each run's batch, (R,), and its gradient with respect to the logits, (R, n, ...).

    The arguments are those of :func:`loss_and_gradient`, with a first axis of R runs.
    """
    if loss_function is cross_entropy:
        cast, index = logits.to(dtype), targets.unsqueeze(-1)
        log_p = torch.log_softmax(cast, -1)
        upstream = torch.zeros_like(log_p).scatter_(-1, index, -1 / log_p.shape[-2])
        gradient = log_softmax_backward(upstream, log_p, cast)
        return log_p.gather(-1, index).flatten(1).mean(1).neg_(), gradient.to(logits.dtype)
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        losses = vmap(loss_function)(leaf.to(dtype), targets)
    (gradient,) = torch.autograd.grad(losses, leaf, torch.ones_like(losses))
    return losses.detach(), gradient


def exact_losses_and_gradient(
    loss_function: Callable[[Tensor, Tensor], Tensor], dtype: torch.dtype, logits: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what :func:`losses_and_gradient` does, with the bits of :func:`loss_and_gradient` for each run."""
    if loss_function is cross_entropy and logits.ndim == 3:
        cast = logits.to(dtype)
        log_p = torch.log_softmax(cast, -1)
        of_runs, upstream = nll_losses_and_gradient(log_p, targets)
        return of_runs, log_softmax_backward(upstream, log_p, cast).to(logits.dtype)
    found = [loss_and_gradient(loss_function, dtype, *batch) for batch in zip(logits, targets, strict=True)]
    losses, gradients = zip(*found, strict=True)
    return torch.stack(losses), torch.stack(gradients)


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
