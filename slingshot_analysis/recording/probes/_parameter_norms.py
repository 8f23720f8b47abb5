"""Euclidean norms of many tensors at once, without waiting for the device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg.blas import ddot, dnrm2, sdot, snrm2
from torch import Tensor

from slingshot_analysis.recording.torch_internals import norms

ADDRESS, ARRAY, FLAT = Tensor.data_ptr, Tensor.numpy, np.ndarray.ravel
NORM = {torch.float32: snrm2, torch.float64: dnrm2}
DOT = {torch.float32: sdot, torch.float64: ddot}

PIECE = 2**15
"""Number of elements up to which BLAS's float32 dot product is as accurate as its norm (3e-8); it takes a third of the
time. Longer tensors are taken in pieces of so many."""

SAFE_SQUARES = 1e-24, 1e24
"""Sums of squares between these are not affected by underflow or overflow of single squares in float32."""


def norm_dtype(tensors: Sequence[Tensor]) -> torch.dtype:
    """Return the dtype in which norms are computed: float64 if all tensors have it, else float32."""
    return torch.float64 if all(t.dtype == torch.float64 for t in tensors) else torch.float32


class ParameterNorms:
    """Norms of the parameters and of their gradients, for every update.

    On the CPU, BLAS computes them in place, which takes less time than PyTorch's operations. The norm of BLAS is safe
    where squares underflow; where they can't, its faster dot product is used. Elsewhere, and in other dtypes, one
    operation of PyTorch computes all norms on the device.

    Parameters
    ----------
    parameters : sequence of n Tensor
        Parameters on one device. Their storage may be replaced during the run.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = list(parameters)
        self.dtype = norm_dtype(self._parameters)
        self._in_place = all(
            p.device.type == "cpu" and p.dtype == self.dtype and p.is_contiguous() for p in self._parameters
        )
        self._are_small = max(p.numel() for p in self._parameters) <= PIECE
        self._addresses: list[int] = []
        self._is_sparse: bool | None = None

    def measure(self, slot: Tensor) -> bool:
        """Write n norms of parameters, then n norms of gradients, 0 where there is none, into the (2n,) `slot`.

        Returns
        -------
        bool
            Whether any parameter has a gradient.
        """
        parameters = self._parameters
        gradients = [g for p in parameters if (g := p.grad) is not None]
        present = bool(gradients)
        if self._is_sparse is None and present:
            self._is_sparse = any(g.is_sparse for g in gradients)
        if len(gradients) < len(parameters):
            zero = torch.zeros(1, dtype=parameters[0].dtype, device=parameters[0].device)
            gradients = [zero if p.grad is None else p.grad for p in parameters]
        if self._is_sparse:
            gradients = [g.to_dense() for g in gradients]
        if self._in_place:
            addresses = list(map(ADDRESS, parameters))
            if addresses != self._addresses:
                self._addresses = addresses
                self._arrays = [FLAT(ARRAY(p.detach())) for p in parameters]
            slot.numpy()[:] = self._norms([*self._arrays, *map(FLAT, map(ARRAY, gradients))])
        else:
            torch.stack(norms(parameters + gradients, self.dtype), out=slot)
        return present

    def _norms(self, arrays: list[npt.NDArray[np.floating]]) -> list[float]:
        dot = DOT[self.dtype]
        if self._are_small:
            squares = list(map(dot, arrays, arrays))
        else:
            squares = [sum(dot(part, part) for part in _pieces(array)) for array in arrays]
        if min(squares) > SAFE_SQUARES[0] and max(squares) < SAFE_SQUARES[1]:
            return list(map(math.sqrt, squares))
        return list(map(NORM[self.dtype], arrays))


def _pieces(array: npt.NDArray[np.floating]) -> Iterator[npt.NDArray[np.floating]]:
    for start in range(0, len(array), PIECE):
        yield array[start : start + PIECE]
