"""The largest eigenvalues of a symmetric operator, followed from point to point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.recording.curvature._lanczos import random_direction
from slingshot_analysis.recording.curvature._subspace import RitzPairs, Subspace
from slingshot_analysis.recording.curvature.operator import SymmetricOperator

__all__ = ["EigenvalueTracker", "Eigenvalues", "Solver"]

LARGEST_ERROR = 1e-3
"""Of an eigenvalue, relative, as far as it can be told from the space searched."""


@dataclass(frozen=True)
class Eigenvalues:
    """The algebraically largest eigenvalues of an operator A, largest first, and how they were found.

    Parameters
    ----------
    values : (k,) Tensor
        Ritz values θ: never above the eigenvalues, but for rounding. NaN where a product was not finite.
    vectors : (k, dimension) Tensor
        Ritz vectors x, of length 1.
    residuals : (k,) Tensor
        ‖A x − θ x‖. Some eigenvalue lies within this distance of θ.
    products : int
        Products with A.
    converged : bool
        Whether all residuals met the tolerance.
    start : (s, dimension) Tensor
        Where to start the search at a point nearby; the last row holds what may overtake.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    products: int
    converged: bool
    start: Tensor


@dataclass(frozen=True)
class Solver:
    """How to find the k algebraically largest eigenvalues of a symmetric operator.

    Parameters
    ----------
    k : int
        How many.
    method : {"lanczos", "power"}
        Lanczos' method with full reorthogonalisation, from one vector or several, or power iteration with deflation.
    tolerance : float
        Stop when ‖A x − θ x‖ ≤ tolerance · |θ| for each pair. The error of θ is at most the square of that residual
        over the distance to the next eigenvalue; Lanczos goes on while this bound, with the next Ritz value in place
        of that eigenvalue, is above 1e-3 · |θ|. A search by Lanczos from a random vector, which knows less of what
        comes next, goes on to a tenth of the tolerance.
    least, most : int, products
        Bounds on the number of products: at least k + least − 1, and at most k · most. Lanczos makes one more than
        that least, on what comes next, where that Ritz pair's residual leaves room for an eigenvalue above the k-th:
        a start near one eigenvector is not to be taken for the largest.

    References
    ----------
    Golub and Van Loan 2013, Matrix Computations, sections 8.2 and 10.1; bounds of errors: Parlett 1998, The Symmetric
    Eigenvalue Problem, chapter 11, doi:10.1137/1.9781611971163.

    Examples
    --------
    >>> from slingshot_analysis.recording.curvature import MatrixOperator
    >>> matrix = torch.diag(torch.tensor([5.0, 3.0, -9.0, 1.0], dtype=torch.float64))
    >>> top = Solver(k=2).solve(MatrixOperator(matrix))
    >>> [round(value, 6) for value in top.values.tolist()], top.products
    ([5.0, 3.0], 4)
    """

    k: int = 1
    method: str = "lanczos"
    tolerance: float = 1e-2
    least: int = 2
    most: int = 30

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown_name("method", self.method, METHODS)
        if self.k < 1 or not 1 <= self.least <= self.most or not self.tolerance > 0:
            raise InputError(f"a solver needs k of at least 1, 1 <= least <= most and a tolerance above 0, got {self}")

    def solve(
        self, operator: SymmetricOperator, start: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Eigenvalues:
        """Return the largest eigenvalues of an operator.

        Parameters
        ----------
        operator : SymmetricOperator
            A.
        start : (dimension,) or (s, dimension) Tensor, optional
            Where to start; by default a random vector.
        generator : torch.Generator, optional
            Of random numbers, on the CPU; by default one with seed 0. The global random state is never used.

        Returns
        -------
        Eigenvalues

        Raises
        ------
        InputError
            If k is larger than the dimension.
        """
        if self.k > operator.dimension:
            raise InputError(f"k is {self.k}, but the operator has only {operator.dimension} eigenvalues")
        generator = generator or torch.Generator().manual_seed(0)
        if start is not None:
            return METHODS[self.method](self, operator, start.reshape(-1, operator.dimension), generator)
        careful = replace(self, tolerance=self.tolerance / 10) if self.method == "lanczos" else self
        return METHODS[self.method](careful, operator, random_direction(operator, generator).unsqueeze(0), generator)


def _lanczos(solver: Solver, operator: SymmetricOperator, start: Tensor, generator: torch.Generator) -> Eigenvalues:
    """Widen the space of the starts by errors of Ritz pairs until the k largest have small ones."""
    k, n = solver.k, operator.dimension
    space = Subspace(operator, generator)
    coming = list(start[: solver.most * k])
    while True:
        for vector in coming:
            space.add(vector)
            if not space.finite:
                return _not_finite(k, start[0], space.dimension)
        pairs, products = space.pairs(k + 1), space.dimension
        small = _are_small(pairs, solver)
        if (small and products >= solver.least + k - 1 + _may_be_overtaken(pairs, k)) or products >= min(
            solver.most * k, n
        ):
            break
        worst = len(pairs.values) - 1 if small else int(pairs.residuals[:k].argmax())
        known = pairs.residuals[worst] <= 1e-14 * pairs.scale  # A maps the space into itself: go on beside it
        coming = [random_direction(operator, generator) if known else pairs.errors[worst]]
    values, residuals = (torch.from_numpy(part[:k].copy()).to(start) for part in (pairs.values, pairs.residuals))
    # a step of gradient ascent on the Rayleigh quotient costs nothing: the product is known
    nearby = pairs.vectors.add(pairs.errors, alpha=1 / (pairs.scale or 1))
    return Eigenvalues(values, pairs.vectors[:k], residuals, products, small, nearby)


def _are_small(pairs: RitzPairs, solver: Solver) -> bool:
    """Whether the k largest Ritz values are close enough to eigenvalues."""
    k, values, residuals = solver.k, pairs.values, pairs.residuals[: solver.k]
    if len(values) < k or not (residuals <= solver.tolerance * abs(values[:k])).all():
        return False
    gaps = values[:k] - values[k] if len(values) > k else abs(values[:k])
    return bool((residuals**2 <= LARGEST_ERROR * abs(values[:k]) * gaps).all())


def _may_be_overtaken(pairs: RitzPairs, k: int) -> bool:
    """Whether the eigenvalue near the Ritz value that comes next may be above the k-th."""
    return len(pairs.values) > k and bool(pairs.values[k] + pairs.residuals[k] >= pairs.values[k - 1])


def _power(solver: Solver, operator: SymmetricOperator, start: Tensor, generator: torch.Generator) -> Eigenvalues:
    """Multiply again and again by A, beside the vectors already found."""
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    products, shift, converged = 0, 0.0, True
    while len(found) < solver.k:
        vector, close = start.sum(0), False
        others = torch.stack([x for _, x, _ in found]) if found else start.new_empty((0, operator.dimension))
        for i in range(solver.most):
            vector = vector - (others @ vector) @ others
            x = vector / vector.norm()
            product = operator(x)
            products += 1
            value = x @ product
            if not bool(value.isfinite()):
                return _not_finite(solver.k, start[0], products)
            residual = (product - value * x).norm()
            close = bool(residual <= solver.tolerance * value.abs())
            if close and i + 1 >= solver.least:
                break
            vector = product + shift * x
        if value < 0 and not shift:
            shift = -float(value)  # it is the largest in size only: with the shift, no eigenvalue is below 0
        else:
            found.append((value, x, residual))
            converged &= close
        start = random_direction(operator, generator).unsqueeze(0)
    found.sort(key=lambda pair: float(pair[0]), reverse=True)
    values, vectors, residuals = (torch.stack(parts) for parts in zip(*found, strict=True))
    return Eigenvalues(values, vectors, residuals, products, converged, vectors)


def _not_finite(k: int, start: Tensor, products: int) -> Eigenvalues:
    nan = torch.full((k,), torch.nan, dtype=start.dtype, device=start.device)
    nowhere = torch.full_like(start, torch.nan).expand(k, -1)
    return Eigenvalues(nan, nowhere, nan, products, False, nowhere)


METHODS = {"lanczos": _lanczos, "power": _power}


class EigenvalueTracker:
    """The largest eigenvalues of one operator after another, each search starting where the last one ended.

    A start from the last eigenvectors alone goes wrong: when another eigenvalue overtakes, the search stays where its
    residual is small. So it starts from the space of them and a challenger, each with at least one product of its own.
    The challenger is the Ritz vector that came next, in which grows from search to search what may overtake, and a
    dose of noise.

    Parameters
    ----------
    solver : Solver, optional
        How to search.
    noise : float, optional
        Length of the random part of the challenger, while each Ritz vector has length 1.
    seed : int, optional
        Of the noise.

    Examples
    --------
    >>> from slingshot_analysis.recording.curvature import MatrixOperator
    >>> tracker = EigenvalueTracker()
    >>> for overtaking in (0.5, 1.5, 2.5):
    ...     matrix = torch.diag(torch.tensor([2.0, overtaking] + [0.0] * 98, dtype=torch.float64))
    ...     print(round(tracker.follow(MatrixOperator(matrix)).values.item(), 6))
    2.0
    2.0
    2.5
    """

    def __init__(self, solver: Solver | None = None, noise: float = 0.1, seed: int = 0) -> None:
        self.solver = solver or Solver()
        self.noise = noise
        self._generator = torch.Generator().manual_seed(seed)
        self._start: Tensor | None = None

    def follow(self, operator: SymmetricOperator) -> Eigenvalues:
        """Return the largest eigenvalues of the next operator."""
        start = self._start
        if start is not None:
            start = start.clone()
            start[-1] += self.noise * random_direction(operator, self._generator)
        top = self.solver.solve(operator, start, self._generator)
        self._start = top.start if bool(top.values.isfinite().all()) else None
        return top

    def state_dict(self) -> dict[str, Any]:
        """Return what the next search depends on."""
        return {"start": self._start, "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._start = state["start"]
        self._generator.set_state(state["generator"])
