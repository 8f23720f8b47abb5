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

LARGEST_ERROR = 1e-3
"""Largest relative error of an eigenvalue, as far as the space searched tells it."""


@dataclass(frozen=True)
class Eigenvalues:
    """The algebraically largest eigenvalues of an operator A, largest first, and facts on the search.

    Parameters
    ----------
    values : (k,) Tensor
        Ritz values θ; apart from rounding they never exceed the eigenvalues. NaN where a product was not finite.
    vectors : (k, dimension) Tensor
        Ritz vectors x, of length 1.
    residuals : (k,) Tensor
        ‖A x − θ x‖. Some eigenvalue lies within this distance of θ.
    products : int
        Number of products with A.
    converged : bool
        Whether all residuals met the tolerance.
    start : (s, dimension) Tensor
        Vectors from which to start the search at a point nearby. The last one is the challenger of `EigenvalueTracker`.
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
        Number of eigenvalues.
    method : {"lanczos", "power"}
        Lanczos' method with full reorthogonalisation, from one vector or several; or power iteration with deflation.
        Power iteration keeps no basis, but it is the slower choice: its error shrinks with each product by the ratio of
        two neighbouring eigenvalues only, and it finds the k eigenvalues one after another.
    tolerance : float
        The search stops when ``‖A x − θ x‖ ≤ tolerance · |θ|`` for each pair. The error of θ is at most the square of
        that residual over the distance to the next eigenvalue. Lanczos' method also continues while this bound, with
        the next Ritz value in place of that eigenvalue, is above ``1e-3 · |θ|``. If it starts from a random vector, the
        next Ritz value is less reliable, and a tenth of the tolerance is used.
    least, most : int, products
        Bounds on the number of products: at least k + least − 1, and at most k · most. Lanczos' method makes one more
        product than that minimum if the residual of the next Ritz pair leaves room for an eigenvalue above the k-th.
        Otherwise a start near an eigenvector could pass for the largest one.

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
            Vectors from which to start; by default a random one.
        generator : torch.Generator, optional
            Source of random numbers, on the CPU; by default one with seed 0. The global random state is never used.

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
    """Widen the space of the start vectors by errors of Ritz pairs until the errors of the k largest are small."""
    k, n = solver.k, operator.dimension
    space = Subspace(operator, generator)
    coming = list(start[: solver.most * k])
    while True:
        # widen the space, by one product for each new vector
        for vector in coming:
            space.add(vector)
            if not space.finite:
                return _not_finite(k, start[0], space.dimension)
        # stop when the k largest Ritz pairs are good enough and the next one can't overtake them
        pairs, products = space.pairs(k + 1), space.dimension
        small = _are_small(pairs, solver)
        if (small and products >= solver.least + k - 1 + _may_be_overtaken(pairs, k)) or products >= min(
            solver.most * k, n
        ):
            break
        # the next vector is the error of the worst pair
        worst = len(pairs.values) - 1 if small else int(pairs.residuals[:k].argmax())
        known = pairs.residuals[worst] <= 1e-14 * pairs.scale  # A maps the space into itself: leave it at random
        coming = [random_direction(operator, generator) if known else pairs.errors[worst]]
    values, residuals = (torch.from_numpy(part[:k].copy()).to(start) for part in (pairs.values, pairs.residuals))
    # the start at a point nearby: a step of gradient ascent on the Rayleigh quotient, which takes no further product
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
    """Multiply by A repeatedly, and keep the vector orthogonal to the eigenvectors already found."""
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
            shift = -float(value)  # largest in size, but negative: search again with A + shift, which has none below 0
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

    A start from the last eigenvectors alone fails when another eigenvalue overtakes: the search stays at the old one,
    as its residual is small. So each search starts from the last eigenvectors and a challenger, with at least one
    product for each. The challenger is the last search's next Ritz vector plus noise. A component that may overtake
    grows in it from search to search.

    Parameters
    ----------
    solver : Solver, optional
        The search for one operator.
    noise : float, optional
        Length of the challenger's random part, relative to its Ritz vector.
    seed : int, optional
        Seed of the noise.

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
        """Return the state on which the next search depends."""
        return {"start": self._start, "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        self._start = state["start"]
        self._generator.set_state(state["generator"])
