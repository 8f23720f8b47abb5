"""The data set that the training loop reads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dataset:
    """A training set, a validation set, and the number of classes.

    Parameters
    ----------
    train_inputs, val_inputs : (n, ...) Tensor
        One row per sample.
    train_targets, val_targets : (n,) int64 Tensor
        Class of each sample.
    classes : int
        Number of classes; 0 where nothing is classified.
    """

    train_inputs: Tensor
    train_targets: Tensor
    val_inputs: Tensor
    val_targets: Tensor
    classes: int

    def to(self, device: torch.device, dtype: torch.dtype) -> Dataset:
        """Return the data on `device`, with floating-point inputs converted to `dtype`."""

        def inputs(x: Tensor) -> Tensor:
            return x.to(device, dtype if x.is_floating_point() else x.dtype)

        return Dataset(
            inputs(self.train_inputs),
            self.train_targets.to(device),
            inputs(self.val_inputs),
            self.val_targets.to(device),
            self.classes,
        )
