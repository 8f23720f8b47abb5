"""Optimizers as values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from slingshot_analysis.errors import InputError

__all__ = ["Adam"]


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), in PyTorch's fused implementation.

    Parameters
    ----------
    lr : float
        Learning rate η.
    betas : (float, float)
        Decay β₁, β₂ of the first and of the second moment per update.
    eps : float
        ε, added to the root of the second moment.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.lr < 0 or self.eps < 0 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"Adam needs lr >= 0, eps >= 0 and betas in [0, 1), got {self!r}")

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Make the optimizer of `parameters`."""
        return torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, eps=self.eps, fused=True)
