"""Rings: two classes of points at different distances from the origin.

First say what the paper states, and where: Thilak et al. 2022 (arXiv 2206.04817), Figures N: data, network, loss,
optimizer with its hyperparameters, batch size.

Then say what the paper leaves open, and what is chosen here: the width of the network (32), its initialisation
(PyTorch's default), the length of the run (2,000 updates) and the seed (0).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from slingshot_analysis.errors import InputError
from trainers.data.dataset import Dataset
from trainers.models.mlp import MLP
from trainers.optimizers import Adam
from trainers.setup import Setup


@dataclass(frozen=True)
class Rings:
    """Points of the plane with normal noise; the class is 0 at distance 1 from the origin and 1 at distance 2.

    Parameters
    ----------
    train, val : int
        Number of training and of validation samples.
    noise : float
        Standard deviation of the noise.
    """

    train: int = 200
    val: int = 200
    noise: float = 0.1

    def __post_init__(self) -> None:
        if self.train < 1 or self.val < 1 or not self.noise >= 0:
            raise InputError(f"rings need samples of both sets and a noise of at least 0, got {self!r}")

    def make(self, generator: torch.Generator) -> Dataset:
        """Draw the data; `generator` is the only source of random numbers."""
        samples, n = self.train + self.val, self.train
        targets = torch.randint(2, (samples,), generator=generator)
        angles = 2 * torch.pi * torch.rand(samples, generator=generator)
        points = (targets + 1).unsqueeze(1) * torch.stack([angles.cos(), angles.sin()], dim=1)
        inputs = points + self.noise * torch.randn(samples, 2, generator=generator)
        return Dataset(inputs[:n], targets[:n], inputs[n:], targets[n:], classes=2)


SETUPS = (
    Setup(
        name="rings",
        title="two rings in the plane, 2-layer MLP, Adam",
        figures="N",
        data=Rings(train=200, val=200, noise=0.1),
        model=MLP(layers=2, width=32),
        optimizer=Adam(lr=1e-3, betas=(0.9, 0.95), eps=1e-8),
        batch_size=50,
        steps=2_000,
        seed=0,
    ),
)
