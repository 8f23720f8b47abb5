"""Changes of the gradient that later papers propose against the cause of slingshots."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from slingshot_analysis.recording.torch_internals import foreach, norms


@torch.no_grad()
def orthogonalize_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """⊥Grad: replace each gradient by its component orthogonal to the parameter, rescaled to the gradient's norm.

    For a parameter w with gradient g, both as flat vectors::

        g_⊥ = g − (w·g / w·w) w,    g ← ‖g‖ g_⊥ / ‖g_⊥‖

    This removes the direction that only scales the logits up ("naive loss minimisation"). The paper's equation defines
    g_⊥; the rescaling is in the authors' code. A parameter that is zero keeps its gradient. If a gradient is parallel
    to its parameter, g_⊥ is rounding noise, which the rescaling brings to the norm of g. The function does not wait for
    the device.

    Parameters
    ----------
    parameters : iterable of nn.Parameter
        The parameters, whose gradients are changed in place. Parameters without a gradient are ignored.

    References
    ----------
    Prieto et al. 2025, arXiv 2501.04697, section 5; github.com/LucasPrietoAl/
    grokking-at-the-edge-of-numerical-stability.

    Examples
    --------
    >>> weight = nn.Parameter(torch.tensor([1.0, 0.0]))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> orthogonalize_gradients([weight])
    >>> weight.grad
    tensor([0., 5.])
    """
    weights: list[Tensor] = [p for p in parameters if p.grad is not None]
    gradients = [p.grad for p in weights if p.grad is not None]
    tiny = torch.finfo(gradients[0].dtype).tiny
    lengths = norms(gradients)
    shares = [product.sum() for product in foreach("mul", weights, gradients)]
    squares = [square.sum() for square in foreach("mul", weights, weights)]
    foreach("div_", shares, foreach("clamp_min", squares, tiny))
    foreach("sub_", gradients, foreach("mul", weights, shares))
    foreach("div_", lengths, foreach("clamp_min", norms(gradients), tiny))
    foreach("mul_", gradients, lengths)
