"""Lanczos' method as a quadrature rule, and random directions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slingshot_analysis.recording.curvature.operator import SymmetricOperator


def random_direction(operator: SymmetricOperator, generator: torch.Generator) -> Tensor:
    """Return a random (dimension,) vector of length 1, in the operator's dtype and on its device."""
    drawn = torch.randn(operator.dimension, generator=generator, dtype=torch.float32)
    direction: Tensor = (drawn / drawn.norm()).to(operator.device, operator.dtype)
    return direction


def quadrature(
    operator: SymmetricOperator, start: Tensor, most: int, generator: torch.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return nodes θ and weights τ of the Gauss rule sᵀ f(A) s / sᵀ s ≈ Σ τ f(θ), exact to degree 2m − 1.

    The nodes are the eigenvalues of A restricted to the Krylov space of s, A s, A² s, … (Ritz values); the weights are
    the squared first components of the eigenvectors there. The space is built by m products with A and with full
    reorthogonalisation.

    Parameters
    ----------
    operator : SymmetricOperator
        A.
    start : (n,) Tensor
        s.
    most : int, products
        m; it is lowered to the dimension of A.
    generator : torch.Generator
        Source of random directions, which widen the space where products with A no longer do.

    Returns
    -------
    nodes, weights : (m,) float array
        Ascending nodes; weights that sum to 1. All NaN if a product was not finite.

    References
    ----------
    Golub and Meurant 2010, Matrices, Moments and Quadrature, chapter 6; Parlett 1998, The Symmetric Eigenvalue
    Problem, chapter 13, doi:10.1137/1.9781611971163.

    Examples
    --------
    >>> from slingshot_analysis.recording.curvature import MatrixOperator
    >>> operator = MatrixOperator(torch.diag(torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64)))
    >>> nodes, weights = quadrature(operator, torch.ones(3, dtype=torch.float64), 2, torch.Generator())
    >>> nodes.round(4), round(float(weights @ nodes**3), 4)  # the mean of 27, 1 and 0
    (array([0.3017, 2.8412]), 9.3333)
    """
    n = operator.dimension
    most = min(most, n)
    basis = torch.empty((most, n), dtype=operator.dtype, device=operator.device)
    basis[0] = start / start.norm()
    diagonal: list[float] = []
    coupling: list[float] = []
    for m in range(1, most + 1):
        # multiply the newest basis vector by A, and make the result orthogonal to all of the basis
        known = basis[:m]
        rest = operator(known[-1])
        along = known @ rest
        diagonal.append(float(along[-1]))
        if not np.isfinite(diagonal[-1]):
            return np.full(m, np.nan), np.full(m, np.nan)
        rest = rest - along @ known
        rest = rest - (known @ rest) @ known  # twice is enough: Parlett, section 6.9
        if m == most:
            break
        length = float(rest.norm())
        if length <= 1e-14 * np.abs([*diagonal, *coupling]).max():  # A maps the space into itself: leave it
            rest, length = random_direction(operator, generator), 0.0
            rest = rest - (known @ rest) @ known
            rest = rest - (known @ rest) @ known
        coupling.append(length)
        basis[m] = rest / rest.norm()
    # in this basis A is tridiagonal
    nodes, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(coupling, 1) + np.diag(coupling, -1))
    return nodes, vectors[0] ** 2
