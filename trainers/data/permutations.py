"""Equations in the group of permutations of n elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError, unknown_name
from trainers.data.dataset import Dataset
from trainers.data.modular import split_equations


def compose(a: Tensor, b: Tensor) -> Tensor:
    """Return a·b, which maps x to a(b(x)). Each row of the (m, n) tensors lists the images of 0 to n − 1."""
    return a.gather(1, b)


OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "multiplication": compose,
    "conjugation": lambda a, b: compose(compose(a, b), a.argsort(1)),
    "sandwich": lambda a, b: compose(compose(a, b), a),
}
"""Operations by name: functions of the images of a and b."""


@dataclass(frozen=True)
class PermutationGroup:
    """All equations a ∘ b = c of permutations, split at random into a training and a validation set.

    a ∘ b is a·b ("multiplication"), a·b·a⁻¹ ("conjugation") or a·b·a ("sandwich", which Thilak et al. print as x·b·a
    and Power et al. as x·y·x). The right factor acts first: (a·b)(x) = a(b(x)). Permutations are numbered from 0, the
    identity, in the lexicographic order of their images. A sample consists of the four tokens a, ∘, b and =, where ∘ is
    n! and = is n! + 1; its class is c.

    Parameters
    ----------
    operation : str
        One of `OPERATIONS`.
    n : int
        Number of permuted elements, 2 to 6.
    train_share : float
        Fraction of the equations in the training set; their number is rounded down.

    References
    ----------
    Thilak et al. 2022, arXiv 2206.04817; Power et al. 2022, arXiv 2201.02177.

    Examples
    --------
    >>> data = PermutationGroup("multiplication").make(torch.Generator().manual_seed(0))
    >>> data.train_inputs.shape, data.train_inputs[1].tolist(), data.train_targets[1].item()
    (torch.Size([7200, 4]), [8, 120, 115, 121], 103)
    """

    operation: str = "multiplication"
    n: int = 5
    train_share: float = 0.5

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise unknown_name("operation", self.operation, OPERATIONS)
        if not 2 <= self.n <= 6:
            raise InputError(f"n must be 2 to 6, got {self.n}")

    def make(self, generator: torch.Generator) -> Dataset:
        """Make all equations and split them."""
        images = torch.tensor(list(permutations(range(self.n))))
        place_values = self.n ** torch.arange(self.n - 1, -1, -1)
        numbers = torch.arange(len(images))
        a, b = torch.cartesian_prod(numbers, numbers).unbind(1)
        products = OPERATIONS[self.operation](images[a], images[b])
        answers = torch.searchsorted((images * place_values).sum(1), (products * place_values).sum(1))
        return split_equations(a, b, answers, len(images), self.train_share, generator)
