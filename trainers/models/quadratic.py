"""A convex quadratic function whose argument is the trainable weight."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError
from trainers.data.dataset import Dataset


@dataclass(frozen=True)
class Quadratic:
    """f(x) = ½ xᵀAx + Bᵀx + C with a random symmetric positive definite A.

    A has the eigenvalues ‖A‖·1/n, ‖A‖·2/n, …, ‖A‖. Its eigenvectors are the Q factor of a Gaussian matrix. The
    minimiser x* = −A⁻¹B is drawn from a standard normal distribution, which determines B. C is chosen so that f(x*) =
    0. The start x_0 lies in a random direction from x*.

    Parameters
    ----------
    dimension : int
        n, the size of x.
    spectral_norm : float
        ‖A‖, the largest eigenvalue.
    distance : float
        ‖x_0 − x*‖.

    Examples
    --------
    >>> from trainers.data.constant import Constant
    >>> _ = torch.manual_seed(0)
    >>> model = Quadratic(dimension=4, spectral_norm=2.0).build(Constant().make(torch.Generator()))
    >>> torch.linalg.eigvalsh(model.A).numpy().round(6)
    array([0.5, 1. , 1.5, 2. ])
    """

    dimension: int = 10
    spectral_norm: float = 1.0
    distance: float = 1.0

    def __post_init__(self) -> None:
        if self.dimension < 1 or not self.spectral_norm > 0 or not self.distance >= 0:
            raise InputError(
                f"a quadratic needs a dimension of at least 1, a spectral norm above 0 and a distance of at least 0, "
                f"got {self!r}"
            )

    def build(self, data: Dataset) -> nn.Module:
        """Draw A, x* and x_0; `data` is not used."""
        return QuadraticForm(self)


class QuadraticForm(nn.Module):
    """f(x), where x is the weight ``x.weight``, (n, 1), of a linear layer with the constant input 1.

    Parameters
    ----------
    config : Quadratic
        Dimension, spectral norm and distance of the start.
    """

    A: Tensor
    B: Tensor
    C: Tensor

    def __init__(self, config: Quadratic) -> None:
        super().__init__()
        n, float64 = config.dimension, torch.float64
        vectors = torch.linalg.qr(torch.randn(n, n, dtype=float64)).Q
        eigenvalues = config.spectral_norm * torch.arange(1, n + 1, dtype=float64) / n
        A = (vectors * eigenvalues) @ vectors.T
        minimiser, direction = torch.randn(2, n, dtype=float64)
        self.register_buffer("A", (A + A.T) / 2)
        self.register_buffer("B", -self.A @ minimiser)
        self.register_buffer("C", -self.B @ minimiser / 2)
        self.x = nn.Linear(1, n, bias=False, dtype=float64)
        start = minimiser + config.distance * direction / torch.linalg.vector_norm(direction)
        self.x.weight.data = start.unsqueeze(1)

    def forward(self, ones: Tensor) -> Tensor:
        """Return f(x) for each row of (m, 1) `ones`, as (m,)."""
        x: Tensor = self.x(ones)
        return ((x @ self.A) * x).sum(1) / 2 + x @ self.B + self.C
