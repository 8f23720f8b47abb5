"""The largest eigenvalues of a symmetric operator, followed from point to point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.recording.curvature.lanczos import KrylovSpace, krylov_space, random_direction
from slingshot_analysis.recording.curvature.operator import SymmetricOperator

__all__ = ["EigenvalueTracker", "Eigenvalues", "Solver"]

LARGEST_ERROR = 1e-3
"""Of an eigenvalue, relative, as far as it can be told from the Krylov space."""


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
    start : (dimension,) Tensor
        Where to start the search at a point nearby.
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
        Lanczos' method with full reorthogonalisation, or power iteration with deflation.
    tolerance : float
        Stop when ‖A x − θ x‖ ≤ tolerance · |θ| for each pair. The error of θ is at most the square of that residual
        over the distance to the next eigenvalue; Lanczos goes on while this bound, with the next Ritz value in place
        of that eigenvalue, is above 1e-3 · |θ|. A search by Lanczos from a random vector, which knows less of what
        comes next, goes on to a tenth of the tolerance.
    least, most : int, products
        Bounds on the number of products, for each eigenvalue; `least` keeps a start near one eigenvector from being
        taken for the largest.

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
    least: int = 3
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
        start : (dimension,) Tensor, optional
            Where to start; by default a random vector.
        generator : torch.Generator, optional
            Of random numbers, on the CPU; by default one with seed 0. The global random state is never used.

        Raises
        ------
        InputError
            If k is larger than the dimension.
        """
        if self.k > operator.dimension:
            raise InputError(f"k is {self.k}, but the operator has only {operator.dimension} eigenvalues")
        generator = generator or torch.Generator().manual_seed(0)
        if start is not None:
            return METHODS[self.method](self, operator, start, generator)
        careful = replace(self, tolerance=self.tolerance / 10) if self.method == "lanczos" else self
        return METHODS[self.method](careful, operator, random_direction(operator, generator), generator)


def _lanczos(solver: Solver, operator: SymmetricOperator, start: Tensor, generator: torch.Generator) -> Eigenvalues:
    """Expand a Krylov space until its k largest Ritz pairs have small residuals."""
    k = solver.k

    def small(space: KrylovSpace) -> bool:
        values, residuals = space.values, space.residuals
        if len(values) < k or not (residuals[:k] <= solver.tolerance * abs(values[:k])).all():
            return False
        bounds = residuals[:k] ** 2
        gaps = values[:k] - values[k] if len(values) > k else abs(values[:k])
        return bool((bounds <= LARGEST_ERROR * abs(values[:k]) * gaps).all())

    def enough(space: KrylovSpace) -> bool:
        return len(space.values) >= solver.least + k - 1 and small(space)

    space = krylov_space(operator, start, solver.most * k, generator, enough)
    products = len(space.values)
    if np.isnan(space.values[0]):
        return _not_finite(k, start, products)
    vectors = space.vectors(k + 1)
    values, residuals = (torch.tensor(part[:k].copy()).to(vectors) for part in (space.values, space.residuals))
    return Eigenvalues(values, vectors[:k], residuals, products, small(space), vectors.sum(0))


def _power(solver: Solver, operator: SymmetricOperator, start: Tensor, generator: torch.Generator) -> Eigenvalues:
    """Multiply again and again by A, beside the vectors already found."""
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    products, shift, converged = 0, 0.0, True
    while len(found) < solver.k:
        vector, close = start, False
        others = torch.stack([x for _, x, _ in found]) if found else start.new_empty((0, len(start)))
        for i in range(solver.most):
            vector = vector - (others @ vector) @ others
            x = vector / vector.norm()
            product = operator(x)
            products += 1
            value = x @ product
            if not bool(value.isfinite()):
                return _not_finite(solver.k, start, products)
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
        start = random_direction(operator, generator)
    found.sort(key=lambda pair: float(pair[0]), reverse=True)
    values, vectors, residuals = (torch.stack(parts) for parts in zip(*found, strict=True))
    return Eigenvalues(values, vectors, residuals, products, converged, vectors.sum(0))


def _not_finite(k: int, start: Tensor, products: int) -> Eigenvalues:
    nan = torch.full((k,), torch.nan, dtype=start.dtype, device=start.device)
    nowhere = torch.full_like(start, torch.nan)
    return Eigenvalues(nan, nowhere.expand(k, -1), nan, products, False, nowhere)


METHODS = {"lanczos": _lanczos, "power": _power}


class EigenvalueTracker:
    """The largest eigenvalues of one operator after another, each search starting where the last one ended.

    A start from the last eigenvectors alone goes wrong: when another eigenvalue overtakes, the search stays where its
    residual is small. So it starts from their sum, the Ritz vector that came next, in which grows from search to
    search what may overtake, and a dose of noise; and it makes a minimum number of products.

    Parameters
    ----------
    solver : Solver, optional
        How to search.
    noise : float, optional
        Length of the random part of the start, while each Ritz vector has length 1.
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
            start = start + self.noise * random_direction(operator, self._generator)
        top = self.solver.solve(operator, start, self._generator)
        self._start = top.start if bool(top.start.isfinite().all()) else None
        return top

    def state_dict(self) -> dict[str, Any]:
        """Return what the next search depends on."""
        return {"start": self._start, "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self._start = state["start"]
        self._generator.set_state(state["generator"])
