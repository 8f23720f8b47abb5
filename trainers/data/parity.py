"""The (k, n) sparse parity task."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from slingshot_analysis.errors import InputError
from trainers.data.dataset import Dataset


@dataclass(frozen=True)
class SparseParity:
    """Samples of `n` random ±1 bits, labelled by the parity of `k` of them.

    The class is 1 where the product of the `k` bits is −1. Which `k` bits are relevant is random too. Training and
    validation samples are drawn independently; with n = 50 they have practically no sample in common.

    Parameters
    ----------
    n : int
        Number of bits of a sample.
    k : int
        Number of bits that determine the class.
    train, val : int
        Number of training and of validation samples.

    References
    ----------
    Thilak et al. 2022, appendix A.6, arXiv 2206.04817; Barak et al. 2022, arXiv 2207.08799.

    Examples
    --------
    >>> data = SparseParity(n=10, k=2, train=4, val=2).make(torch.Generator().manual_seed(0))
    >>> data.train_inputs.shape, data.train_targets.tolist()
    (torch.Size([4, 10]), [0, 0, 1, 1])
    """

    n: int = 50
    k: int = 3
    train: int = 1000
    val: int = 8000

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.n or self.train < 1 or self.val < 1:
            raise InputError(
                f"parity needs 1 <= k <= n and at least one training and one validation sample, got {self!r}"
            )

    def make(self, generator: torch.Generator) -> Dataset:
        """Draw the data."""
        relevant = torch.randperm(self.n, generator=generator)[: self.k]
        bits = torch.randint(0, 2, (self.train + self.val, self.n), generator=generator) * 2 - 1
        targets = (bits[:, relevant].prod(1) < 0).long()
        inputs = bits.float()
        n = self.train
        return Dataset(inputs[:n], targets[:n], inputs[n:], targets[n:], classes=2)
