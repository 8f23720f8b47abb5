"""Euclidean norms of many tensors at once, without waiting for the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.linalg.blas import dnrm2, snrm2
from torch import Tensor

__all__ = ["ParameterNorms", "norm_dtype", "total_norm"]

BLAS = {torch.float32: snrm2, torch.float64: dnrm2}


def norm_dtype(tensors: Sequence[Tensor]) -> torch.dtype:
    """Return the dtype to compute norms in: float64 if all tensors have it, else float32."""
    return torch.float64 if all(t.dtype == torch.float64 for t in tensors) else torch.float32


class ParameterNorms:
    """Norms of the parameters and of their gradients, for every update.

    On the CPU they are computed in place by BLAS, whose norm does not underflow where squares would: for a small model
    that takes half the time of PyTorch's operations. Elsewhere, and in other dtypes, they are computed by one
    multi-tensor operation on the device.

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
        given = [p.grad for p in self._parameters]
        gradients = [gradient for gradient in given if gradient is not None]
        present = bool(gradients)
        if len(gradients) < len(given):
            zero = torch.zeros(1, dtype=self._parameters[0].dtype, device=self._parameters[0].device)
            gradients = [zero if gradient is None else gradient for gradient in given]
        norm = self._blas
        if norm is None:
            torch.stack(torch._foreach_norm(self._parameters + gradients, 2, self.dtype), out=slot)
            return present
        addresses = [p.data_ptr() for p in self._parameters]
        if addresses != self._addresses:
            self._addresses = addresses
            self._vectors = [p.detach().numpy().reshape(-1) for p in self._parameters]
        slot.numpy()[:] = [norm(v) for v in self._vectors] + [norm(g.numpy().reshape(-1)) for g in gradients]
        return present


def total_norm(tensors: list[Tensor], dtype: torch.dtype) -> Tensor:
    """Return the norm of all tensors together as a scalar Tensor of `dtype`, on their device.

    Examples
    --------
    >>> total_norm([torch.full((4,), 1.5), torch.full((2, 2), 2.0)], torch.float32)
    tensor(5.)
    """
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors, 2, dtype)))
    return norm
