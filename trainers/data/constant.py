"""A placeholder for problems without data."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainers.data.dataset import Dataset


@dataclass(frozen=True)
class Constant:
    """A single training sample, the number 1, without validation samples and classes.

    Examples
    --------
    >>> Constant().make(torch.Generator()).train_inputs
    tensor([[1.]])
    """

    def make(self, generator: torch.Generator) -> Dataset:
        """Return the sample; nothing is drawn."""
        none = torch.zeros(0, dtype=torch.int64)
        return Dataset(torch.ones(1, 1), none.new_zeros(1), torch.ones(0, 1), none, classes=0)
