"""A symmetric operator restricted to a subspace that grows vector by vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slingshot_analysis.recording.curvature._lanczos import random_direction
from slingshot_analysis.recording.curvature.operator import SymmetricOperator

ROOM = 8
"""Number of vectors for which memory is reserved at first; it is doubled where it does not suffice."""


@dataclass(frozen=True)
class RitzPairs:
    """The c largest eigenvalues θ of an operator A restricted to a subspace, largest first, and their eigenvectors x.

    Parameters
    ----------
    values : (c,) float array
        θ.
    vectors, errors : (c, n) Tensor
        x, of length 1, and A x − θ x.
    residuals : (c,) float array
        ‖A x − θ x‖.
    scale : float
        The largest |θ| in the whole subspace.
    """

    values: npt.NDArray[np.float64]
    vectors: Tensor
    errors: Tensor
    residuals: npt.NDArray[np.float64]
    scale: float


class Subspace:
    """A subspace with an orthonormal basis, and the product of the operator A with each basis vector.

    If it starts from one vector and each further vector is the error of a Ritz pair, this is Lanczos' method with full
    reorthogonalisation: then the errors of all Ritz pairs are parallel to the next Lanczos vector.

    Parameters
    ----------
    operator : SymmetricOperator
        A.
    generator : torch.Generator
        Source of a random vector, which replaces a new vector that lies in the space already.

    References
    ----------
    Parlett 1998, The Symmetric Eigenvalue Problem, chapters 11 and 13, doi:10.1137/1.9781611971163.

    Examples
    --------
    >>> from slingshot_analysis.recording.curvature import MatrixOperator
    >>> operator = MatrixOperator(torch.diag(torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64)))
    >>> space = Subspace(operator, torch.Generator())
    >>> for vector in torch.tensor([[1.0, 1.0, 1.0], [3.0, 1.0, 0.0]], dtype=torch.float64):
    ...     space.add(vector)
    >>> pairs = space.pairs(2)
    >>> pairs.values.round(4), pairs.residuals.round(4)
    (array([2.8412, 0.3017]), array([0.572 , 0.4731]))
    """

    def __init__(self, operator: SymmetricOperator, generator: torch.Generator) -> None:
        self.dimension = 0
        self.finite = True
        """Whether all products were finite."""
        self._operator, self._generator = operator, generator
        room = min(ROOM, operator.dimension)
        self._kept = torch.empty((2, room, operator.dimension), dtype=operator.dtype, device=operator.device)
        self._matrix = np.zeros((room, room))

    def add(self, vector: Tensor) -> None:
        """Widen the space by a vector; this takes one product."""
        m = self.dimension
        if m == self._kept.shape[1]:
            self._kept = torch.cat([self._kept, torch.empty_like(self._kept)], dim=1)
            self._matrix = np.pad(self._matrix, (0, m))
        basis, images = self._kept
        new = basis[m].copy_(vector)
        if not _beside(basis[:m], new) > 1e-13:  # this is also true for NaN, the result for a zero vector
            _beside(basis[:m], new.copy_(random_direction(self._operator, self._generator)))
        images[m] = self._operator(new)
        row = (basis[: m + 1] @ images[m]).cpu().numpy()
        self.finite &= bool(np.isfinite(row).all())
        self._matrix[m, : m + 1] = row  # entries above the diagonal are never read
        self.dimension += 1

    def pairs(self, most: int) -> RitzPairs:
        """Return the `most` largest Ritz pairs, or as many as there are."""
        values, coordinates = np.linalg.eigh(self._matrix[: self.dimension, : self.dimension])
        largest, scale = values[::-1][:most].copy(), float(np.abs(values).max())
        rows = torch.from_numpy(coordinates[:, ::-1][:, :most].T.copy()).to(self._kept)
        basis, images = self._kept[:, : self.dimension]
        vectors = rows @ basis
        errors = (rows @ images).addcmul_(torch.from_numpy(largest).to(vectors).unsqueeze(1), vectors, value=-1)
        return RitzPairs(largest, vectors, errors, errors.norm(dim=1).double().cpu().numpy(), scale)


def _beside(basis: Tensor, vector: Tensor) -> Tensor:
    """Make a vector orthogonal to a basis and of length 1, in place; return the share of its length that remained."""
    vector /= vector.norm()
    for _ in range(2):  # twice is enough: Parlett, section 6.9
        vector.addmv_(basis.T, basis @ vector, alpha=-1)
    left: Tensor = vector.norm()
    vector /= left
    return left
