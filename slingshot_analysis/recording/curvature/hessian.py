"""The Hessian of the mean loss at a point, by its products with vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from slingshot_analysis.recording.curvature.mean_loss import Chunk, MeanLoss

GRAPH_BYTES = 2**30
"""Bytes. If the graphs of all chunks fit into this, they are kept for a point, else rebuilt for each product."""


class HessianOperator:
    """H = ∇²L(w), the Hessian of a mean loss at the point w.

    A product is H v = ∇(∇L · v) (Pearlmutter 1994). The graph of ∇L is built once for the point, and each product is
    one backward pass through it; where the graphs of all chunks together are too large to be kept (`GRAPH_BYTES`),
    each product builds them again, one at a time.

    Parameters
    ----------
    mean_loss : MeanLoss
        L.
    parameters : mapping of str to Tensor, optional
        w; by default the model's present parameters. They are copied.
    buffers : mapping of str to Tensor, optional
        Buffers of the model at w; by default its present ones.

    Attributes
    ----------
    point : (dimension,) Tensor
        w.
    loss : () Tensor, loss
        L(w).
    gradient : (dimension,) Tensor
        ∇L(w).

    References
    ----------
    Pearlmutter 1994, Neural Computation 6(1), doi:10.1162/neco.1994.6.1.147.

    Examples
    --------
    The mean of (w·x)² over x = 1 and x = 3 is 5w², with second derivative 10:

    >>> data = [(torch.tensor([[1.0], [3.0]]), torch.zeros(2))]
    >>> mean_loss = MeanLoss(torch.nn.Linear(1, 1, bias=False), lambda y, _: y.square().mean(), data)
    >>> hessian = HessianOperator(mean_loss, {"weight": torch.tensor([[2.0]])})
    >>> hessian.loss.item(), hessian.gradient.item(), hessian(torch.ones(1, dtype=torch.float64)).item()
    (20.0, 20.0, 10.0)
    """

    def __init__(
        self,
        mean_loss: MeanLoss,
        parameters: Mapping[str, Tensor] | None = None,
        buffers: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.mean_loss = mean_loss
        self.dimension, self.dtype, self.device = mean_loss.dimension, mean_loss.dtype, mean_loss.device
        mean_loss.follow_frozen()
        self.point = mean_loss.flatten(parameters)
        self.buffers = mean_loss.buffers(buffers)
        self._variables = mean_loss.variables(self.point)
        self._graphs: list[list[Tensor]] = []
        self.loss = torch.zeros((), dtype=self.dtype, device=self.device)
        self.gradient = torch.zeros(self.dimension, dtype=self.dtype, device=self.device)
        keep = mean_loss.graph_bytes <= GRAPH_BYTES
        for chunk in mean_loss.chunks:
            loss, slopes = self._build(chunk)
            self.loss += loss
            self.gradient += torch.cat([slope.detach().reshape(-1) for slope in slopes])
            if keep:
                self._graphs.append(slopes)

    def _build(self, chunk: Chunk) -> tuple[Tensor, list[Tensor]]:
        """Return a chunk's share of the loss, and its share of the gradient with the graph."""
        mean_loss = self.mean_loss
        with mean_loss.graph():
            loss = mean_loss.loss(mean_loss.outputs(self._variables, self.buffers, chunk), chunk)
            slopes = torch.autograd.grad(loss, self._variables, create_graph=True, materialize_grads=True)
        return loss.detach(), list(slopes)

    def _gradients(self) -> Iterator[list[Tensor]]:
        """Yield the gradient of each chunk, with its graph."""
        if self._graphs:
            yield from self._graphs
        else:
            yield from (self._build(chunk)[1] for chunk in self.mean_loss.chunks)

    def __call__(self, vector: Tensor) -> Tensor:
        """Return H v for a (dimension,) vector."""
        return self._product(vector, range(len(self._variables)))

    def _product(self, vector: Tensor, members: Sequence[int]) -> Tensor:
        """Return the product of a vector with the diagonal block of H that belongs to the parameters at `members`."""
        variables = [self._variables[i] for i in members]
        parts = torch.split(vector.to(variables[0].dtype), [variable.numel() for variable in variables])
        directions = [part.view(variable.shape) for part, variable in zip(parts, variables, strict=True)]
        total = torch.zeros_like(vector)
        for gradients in self._gradients():
            curved = [(g, d) for i, d in zip(members, directions, strict=True) if (g := gradients[i]).requires_grad]
            if curved:
                slopes, along = zip(*curved, strict=True)
                with self.mean_loss.without_autocast():
                    products = torch.autograd.grad(slopes, variables, along, retain_graph=True, materialize_grads=True)
                total += torch.cat([product.reshape(-1) for product in products])
        return total

    def is_at(
        self, parameters: Mapping[str, Tensor] | None = None, buffers: Mapping[str, Tensor] | None = None
    ) -> bool:
        """Return whether the point w equals another one bit for bit; by default the model's present parameters."""
        if self.mean_loss.follow_frozen() or not torch.equal(self.mean_loss.flatten(parameters), self.point):
            return False
        others = self.mean_loss.buffers(buffers)
        return all(torch.equal(buffer, others[name]) for name, buffer in self.buffers.items())

    def block(self, names: Sequence[str]) -> HessianBlock:
        """Return the diagonal block of the parameters with these names; it shares the graph."""
        return HessianBlock(self, [self.mean_loss.names.index(name) for name in names])


class HessianBlock:
    """The diagonal block of a Hessian that belongs to some parameters; `HessianOperator.block` makes it."""

    def __init__(self, hessian: HessianOperator, members: Sequence[int]) -> None:
        self._hessian, self._members = hessian, members
        self.dimension = sum(hessian.mean_loss.sizes[i] for i in members)
        self.dtype, self.device = hessian.dtype, hessian.device

    def __call__(self, vector: Tensor) -> Tensor:
        """Return the block times a (dimension,) vector."""
        return self._hessian._product(vector, self._members)
