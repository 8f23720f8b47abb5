"""Euclidean norms of many tensors in one call."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["norm_dtype", "tensor_norms", "total_norm"]


def norm_dtype(tensors: list[Tensor]) -> torch.dtype:
    """Return the dtype to compute norms in: float64 if all tensors have it, else float32."""
    return torch.float64 if all(t.dtype == torch.float64 for t in tensors) else torch.float32


def tensor_norms(tensors: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Return the Euclidean norm of each tensor as a scalar tensor of `dtype`, on the device.

    Examples
    --------
    >>> [float(n) for n in tensor_norms([torch.ones(4), torch.ones(3, 3)], torch.float32)]
    [2.0, 3.0]
    """
    same = all(t.dtype == dtype for t in tensors)
    norms = torch._foreach_norm(tensors) if same else torch._foreach_norm(tensors, 2, dtype)
    return list(norms)


def total_norm(tensors: list[Tensor], dtype: torch.dtype) -> Tensor:
    """Return the Euclidean norm of all tensors together as a scalar tensor of `dtype`, on the device."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(tensor_norms(tensors, dtype)))
    return norm
