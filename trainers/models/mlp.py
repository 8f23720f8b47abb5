"""Multi-layer perceptrons."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from slingshot_analysis.errors import InputError
from trainers.data.dataset import Dataset


@dataclass(frozen=True)
class MLP:
    """`layers` linear layers with biases and ReLUs between them, with PyTorch's default initialisation.

    Samples of more than one dimension, such as images, are flattened first.

    Parameters
    ----------
    layers : int
        Number of linear layers. The last one returns the logits.
    width : int
        Units of each hidden layer.
    linear : bool
        Whether to leave out the ReLUs, which makes a deep linear network.

    Examples
    --------
    >>> from trainers.data.parity import SparseParity
    >>> import torch
    >>> data = SparseParity(train=1, val=1).make(torch.Generator())
    >>> sum(p.numel() for p in MLP(layers=3, width=128).build(data).parameters())
    23298
    """

    layers: int = 3
    width: int = 128
    linear: bool = False

    def __post_init__(self) -> None:
        if self.layers < 1 or self.width < 1:
            raise InputError(f"an MLP needs at least one layer and one unit, got {self!r}")

    def build(self, data: Dataset) -> nn.Module:
        """Make the module for the inputs and classes of `data`."""
        widths = [data.train_inputs[0].numel(), *[self.width] * (self.layers - 1), data.classes]
        modules: list[nn.Module] = [nn.Flatten()] if data.train_inputs.ndim > 2 else []
        for i, (fan_in, fan_out) in enumerate(pairwise(widths)):
            if i and not self.linear:
                modules.append(nn.ReLU())
            modules.append(nn.Linear(fan_in, fan_out))
        return nn.Sequential(*modules)
