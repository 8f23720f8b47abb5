"""Euclidean norms of many tensors at once, without waiting for the device."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg.blas import dnrm2, snrm2
from torch import Tensor

__all__ = ["ParameterNorms", "norm_dtype"]

GRADIENT = attrgetter("grad")
BLAS = {torch.float32: snrm2, torch.float64: dnrm2}


def norm_dtype(tensors: Sequence[Tensor]) -> torch.dtype:
    """Return the dtype to compute norms in: float64 if all tensors have it, else float32."""
    return torch.float64 if all(t.dtype == torch.float64 for t in tensors) else torch.float32


class ParameterNorms:
    """Norms of the parameters and of their gradients, for every update.

    On the CPU they are computed in place by BLAS, whose norm does not underflow where squares would, and which for a
    small model takes a little less time than PyTorch's operations. Elsewhere, and in other dtypes, they are computed by
    one multi-tensor operation on the device.

    Parameters
    ----------
    parameters : sequence of n Tensor
        On one device. Their storage may be replaced meanwhile.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = list(parameters)
        self.dtype = norm_dtype(self._parameters)
        in_place = all(p.device.type == "cpu" and p.dtype == self.dtype and p.numel() for p in self._parameters)
        self._blas = BLAS[self.dtype] if in_place else None
        self._addresses: list[int] = []

    def measure(self, slot: Tensor) -> bool:
        """Write n norms of parameters, then n norms of gradients, 0 where there is none, into the (2n,) `slot`.

        Returns
        -------
        bool
            Whether any parameter has a gradient.
        """
        gradients = list(map(GRADIENT, self._parameters))
        present = True
        if not all(map(torch.is_tensor, gradients)):
            present = any(map(torch.is_tensor, gradients))
            zero = torch.zeros(1, dtype=self._parameters[0].dtype, device=self._parameters[0].device)
            gradients = [zero if gradient is None else gradient for gradient in gradients]
        norm = self._blas
        if norm is None:
            torch.stack(torch._foreach_norm(self._parameters + gradients, 2, self.dtype), out=slot)
            return present
        addresses = list(map(Tensor.data_ptr, self._parameters))
        if addresses != self._addresses:
            self._addresses = addresses
            self._vectors = [_vector(p.detach()) for p in self._parameters]
        slot.numpy()[:] = [*map(norm, self._vectors), *map(norm, map(_vector, gradients))]
        return present


def _vector(tensor: Tensor) -> npt.NDArray[np.floating]:
    array: npt.NDArray[np.floating] = tensor.numpy()
    return array if array.ndim == 1 else array.reshape(-1)
