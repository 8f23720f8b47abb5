"""Symmetric matrices that are known by their products with vectors only, as they are too large to be stored."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class SymmetricOperator(Protocol):
    """A symmetric matrix A, known by its products with vectors."""

    @property
    def dimension(self) -> int:
        """Number of rows."""

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the vectors."""

    @property
    def device(self) -> torch.device:
        """Device of the vectors."""

    def __call__(self, vector: Tensor) -> Tensor:
        """Return A v for a (dimension,) vector v."""


class MatrixOperator:
    """A symmetric matrix that is stored; other operators are tested against it.

    Parameters
    ----------
    matrix : (n, n) Tensor
        Symmetric.

    Examples
    --------
    >>> MatrixOperator(torch.diag(torch.tensor([2.0, 3.0])))(torch.ones(2))
    tensor([2., 3.])
    """

    def __init__(self, matrix: Tensor) -> None:
        self._matrix = matrix
        self.dimension, self.dtype, self.device = len(matrix), matrix.dtype, matrix.device

    def __call__(self, vector: Tensor) -> Tensor:
        """Return the matrix times a vector."""
        product: Tensor = self._matrix @ vector
        return product
