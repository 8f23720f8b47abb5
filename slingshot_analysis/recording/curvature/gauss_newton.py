"""The generalised Gauss-Newton matrix, by its products with vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from slingshot_analysis.recording.curvature.mean_loss import MeanLoss


class GaussNewtonOperator:
    """G = E[Jᵀ (∇²_z ℓ) J] at a point, with J the Jacobian of the model's outputs z and ℓ the loss of a sample.

    G is the Hessian that the loss would have if the model were linear in its parameters. It is positive semidefinite
    where ℓ is convex in z. A product takes three backward passes: first J v, as the gradient of (Jᵀ u) · v with respect
    to u, then the product with ∇²_z ℓ, then that with Jᵀ.

    Parameters
    ----------
    mean_loss : MeanLoss
        E[ℓ]; G is taken at the present parameters and buffers of its model.

    References
    ----------
    Schraudolph 2002, Neural Computation 14(7), doi:10.1162/08997660260028683; Martens 2020, arXiv 1412.1193.

    Examples
    --------
    For z = w² x and ℓ = z², at w = 2 and x = 1: G = (2w)² · 2 = 32, while the Hessian of w⁴ is 12 w² = 48.

    >>> class Squared(torch.nn.Linear):
    ...     def forward(self, x):
    ...         return x @ self.weight.square()
    >>> model = Squared(1, 1, bias=False)
    >>> _ = torch.nn.init.constant_(model.weight, 2.0)
    >>> mean_loss = MeanLoss(model, lambda z, _: z.square().mean(), [(torch.ones(1, 1), torch.zeros(1))])
    >>> GaussNewtonOperator(mean_loss)(torch.ones(1, dtype=torch.float64))
    tensor([32.], dtype=torch.float64)
    """

    def __init__(self, mean_loss: MeanLoss) -> None:
        self._mean_loss = mean_loss
        self.dimension, self.dtype, self.device = mean_loss.dimension, mean_loss.dtype, mean_loss.device
        mean_loss.follow_frozen()
        self._variables = mean_loss.variables(mean_loss.flatten())
        self._buffers = mean_loss.buffers()

    def __call__(self, vector: Tensor) -> Tensor:
        """Return G v for a (dimension,) vector."""
        total, directions = torch.zeros_like(vector), self._mean_loss.split(vector)
        variables = self._variables
        for chunk in self._mean_loss.chunks:
            with self._mean_loss.graph():
                outputs = self._mean_loss.outputs(variables, self._buffers, chunk)
                dual = torch.zeros_like(outputs, requires_grad=True)
                pulled = torch.autograd.grad(outputs, variables, dual, create_graph=True, materialize_grads=True)
                (pushed,) = torch.autograd.grad(pulled, dual, directions, retain_graph=True)
                logits = outputs.detach().requires_grad_()
                loss = self._mean_loss.loss(logits, chunk)
                (slope,) = torch.autograd.grad(loss, logits, create_graph=True)
                if not slope.requires_grad:  # a loss that is linear in the outputs
                    continue
                (curved,) = torch.autograd.grad(slope, logits, pushed, materialize_grads=True)
                parts = torch.autograd.grad(outputs, variables, curved, materialize_grads=True)
            total += torch.cat([part.reshape(-1) for part in parts])
        return total
