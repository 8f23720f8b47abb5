"""Euclidean norms of many tensors at once, without waiting for the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.linalg.blas import dnrm2, snrm2
from torch import Tensor

__all__ = ["ParameterNorms", "norm_dtype", "tensor_norms"]


def norm_dtype(tensors: Sequence[Tensor]) -> torch.dtype:
    """Return the dtype to compute norms in: float64 if all tensors have it, else float32."""
    return torch.float64 if all(t.dtype == torch.float64 for t in tensors) else torch.float32


def tensor_norms(tensors: list[Tensor], dtype: torch.dtype) -> Tensor:
    """Return the Euclidean norm of each of n tensors as an (n,) Tensor of `dtype`, on their device.

    Examples
    --------
    >>> tensor_norms([torch.ones(4), torch.ones(3, 3)], torch.float32)
    tensor([2., 3.])
    """
    return torch.stack(torch._foreach_norm(tensors, 2, dtype))


class ParameterNorms:
    """Norms of the parameters and of their gradients, for every update.

    On the CPU they are computed by BLAS in place: for a small model that takes half the time of PyTorch's operations,
    and does not underflow where the squares would. Elsewhere, and in other dtypes, it is :func:`tensor_norms`.

    Parameters
    ----------
    parameters : sequence of n Tensor
        On one device.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = list(parameters)
        self.dtype = norm_dtype(self._parameters)
        plain = all(p.dtype == self.dtype and p.device.type == "cpu" and p.numel() for p in self._parameters)
        self._blas = (dnrm2 if self.dtype == torch.float64 else snrm2) if plain else None
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
        if self._blas is None:
            slot.copy_(tensor_norms(self._parameters + gradients, self.dtype))
        else:
            norm = self._blas
            if [p.data_ptr() for p in self._parameters] != self._addresses:
                self._addresses = [p.data_ptr() for p in self._parameters]
                self._flat = [p.detach().numpy().reshape(-1) for p in self._parameters]
            slot.numpy()[:] = [norm(p) for p in self._flat] + [norm(g.numpy().reshape(-1)) for g in gradients]
        return present
