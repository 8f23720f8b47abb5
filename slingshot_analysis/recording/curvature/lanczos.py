"""Lanczos' method: what a symmetric operator looks like in a Krylov space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slingshot_analysis.recording.curvature.operator import SymmetricOperator

__all__ = ["KrylovSpace", "krylov_space", "random_direction"]


@dataclass(frozen=True)
class KrylovSpace:
    """The space of s, A s, A² s, …, and the eigenpairs (Ritz pairs) of A as seen in it.

    Parameters
    ----------
    basis : (m, n) Tensor
        Orthonormal rows; the first is s / ‖s‖.
    values : (m,) float array
        Ritz values θ, largest first. All NaN if a product was not finite.
    coordinates : (m, m) float array
        Ritz vectors as columns, in terms of the basis.
    residuals : (m,) float array
        ‖A x − θ x‖ of each Ritz pair.
    """

    basis: Tensor
    values: npt.NDArray[np.float64]
    coordinates: npt.NDArray[np.float64]
    residuals: npt.NDArray[np.float64]


def random_direction(operator: SymmetricOperator, generator: torch.Generator) -> Tensor:
    """Return a random (dimension,) vector of length 1, in the operator's dtype and on its device."""
    drawn = torch.randn(operator.dimension, generator=generator, dtype=torch.float32)
    direction: Tensor = (drawn / drawn.norm()).to(operator.device, operator.dtype)
    return direction


def krylov_space(operator: SymmetricOperator, start: Tensor, most: int, generator: torch.Generator) -> KrylovSpace:
    """Expand a Krylov space, one product with A for each dimension, with full reorthogonalisation.

    Parameters
    ----------
    operator : SymmetricOperator
        A.
    start : (n,) Tensor
        s.
    most : int
        The dimension to reach, or that of A where it is lower.
    generator : torch.Generator
        Of what comes in where the space can't grow by A alone.

    References
    ----------
    Parlett 1998, The Symmetric Eigenvalue Problem, chapter 13, doi:10.1137/1.9781611971163.

    Examples
    --------
    >>> from slingshot_analysis.recording.curvature import MatrixOperator
    >>> operator = MatrixOperator(torch.diag(torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64)))
    >>> space = krylov_space(operator, torch.ones(3, dtype=torch.float64), 2, torch.Generator())
    >>> space.values.round(4), space.residuals.round(4)
    (array([2.8412, 0.3017]), array([0.572 , 0.4731]))
    """
    n = operator.dimension
    most = min(most, n)
    basis = torch.empty((most, n), dtype=operator.dtype, device=operator.device)
    basis[0] = start / start.norm()
    diagonal: list[float] = []
    coupling: list[float] = []
    for m in range(1, most + 1):
        known = basis[:m]
        rest = operator(known[-1])
        along = known @ rest
        diagonal.append(float(along[-1]))
        if not np.isfinite(diagonal[-1]):
            return KrylovSpace(known, *(np.full(shape, np.nan) for shape in (m, (m, m), m)))
        rest = rest - along @ known
        rest = rest - (known @ rest) @ known  # twice is enough: Parlett, section 6.9
        length = float(rest.norm()) if m < n else 0.0
        if m == most:
            break
        if length <= 1e-14 * np.abs([*diagonal, *coupling]).max():  # A maps the space into itself: go on beside it
            rest, length = random_direction(operator, generator), 0.0
            rest = rest - (known @ rest) @ known
            rest = rest - (known @ rest) @ known
        coupling.append(length)
        basis[m] = rest / rest.norm()
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(coupling, 1) + np.diag(coupling, -1))
    return KrylovSpace(basis, values[::-1], vectors[:, ::-1], length * np.abs(vectors[-1, ::-1]))
