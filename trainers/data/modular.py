"""Equations a ∘ b = c in arithmetic modulo a prime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError, unknown_name
from trainers.data.dataset import Dataset


def divide(a: Tensor, b: Tensor, p: int) -> Tensor:
    """Return a·b⁻¹ mod p, or 0 where b is 0."""
    inverse = torch.tensor([0, *(pow(x, -1, p) for x in range(1, p))])
    return a * inverse[b]


OPERATIONS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "addition": lambda a, b, p: a + b,
    "subtraction": lambda a, b, p: a - b,
    "multiplication": lambda a, b, p: a * b,
    "division": divide,
    "square_plus": lambda a, b, p: a**2 + b,
    "cube_plus": lambda a, b, p: a**3 + b,
    "sum_of_squares": lambda a, b, p: a**2 + b**2,
    "quadratic": lambda a, b, p: a**2 + a * b + b**2,
    "quadratic_plus": lambda a, b, p: a**2 + a * b + b**2 + b,
    "cubic": lambda a, b, p: a**3 + a * b,
    "cubic_plus": lambda a, b, p: a**3 + a * b**2 + b,
    "odd_divide_else_subtract": lambda a, b, p: torch.where(b % 2 == 1, divide(a, b, p), a - b),
    "even_add_else_multiply": lambda a, b, p: torch.where(a % 2 == 0, a + b, a * b),
    "even_add_else_subtract": lambda a, b, p: torch.where(a % 2 == 0, a + b, a - b),
}
"""Operations by name: functions of a and b in {0, …, p − 1} and of p. Their value is taken mod p."""


@dataclass(frozen=True)
class ModularArithmetic:
    """All equations a ∘ b = c mod p, split at random into a training and a validation set.

    A sample consists of the four tokens a, ∘, b and =; its class is c. Numbers are the tokens 0 to p − 1, ∘ is p, and =
    is p + 1. Division omits b = 0. "Even" and "odd" refer to numbers in {0, …, p − 1}.

    Parameters
    ----------
    operation : str
        One of `OPERATIONS`.
    p : int
        A prime.
    train_share : float
        Fraction of the equations in the training set; their number is rounded down.

    References
    ----------
    Thilak et al. 2022, arXiv 2206.04817; Power et al. 2022, arXiv 2201.02177.

    Examples
    --------
    >>> data = ModularArithmetic("division", p=5).make(torch.Generator().manual_seed(0))
    >>> data.train_inputs.shape, data.train_inputs[1].tolist(), data.train_targets[1].item()
    (torch.Size([10, 4]), [1, 5, 2, 6], 3)
    """

    operation: str = "division"
    p: int = 97
    train_share: float = 0.5

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise unknown_name("operation", self.operation, OPERATIONS)
        if self.p < 2 or any(self.p % d == 0 for d in range(2, isqrt(self.p) + 1)):
            raise InputError(f"modular arithmetic needs a prime p, got {self.p}")

    def make(self, generator: torch.Generator) -> Dataset:
        """Make all equations and split them."""
        numbers = torch.arange(self.p)
        a, b = torch.cartesian_prod(numbers, numbers[1:] if self.operation == "division" else numbers).unbind(1)
        answers = OPERATIONS[self.operation](a, b, self.p) % self.p
        return split_equations(a, b, answers, self.p, self.train_share, generator)


def split_equations(
    a: Tensor, b: Tensor, answers: Tensor, classes: int, train_share: float, generator: torch.Generator
) -> Dataset:
    """Write equations as tokens and split them at random into training and validation set.

    Parameters
    ----------
    a, b, answers : (n,) int64 Tensor
        The equations a ∘ b = answer, as numbers below `classes`.
    classes : int
        Number of elements. The token of ∘ is `classes`, that of = is `classes` + 1.
    train_share : float
        Fraction of the equations in the training set.
    generator : torch.Generator
        Source of the random split.

    Raises
    ------
    InputError
        If one of the two sets would be empty.
    """
    train = int(train_share * len(a)) if 0 < train_share < 1 else 0
    if not 0 < train < len(a):
        raise InputError(f"train_share must leave equations in both sets, got {train_share} of {len(a)} equations")
    operator, equals = torch.full_like(a, classes), torch.full_like(a, classes + 1)
    tokens = torch.stack([a, operator, b, equals], dim=1)
    first, rest = torch.randperm(len(a), generator=generator).tensor_split([train])
    return Dataset(tokens[first], answers[first], tokens[rest], answers[rest], classes)
