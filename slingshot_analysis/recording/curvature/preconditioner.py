"""The curvature of the loss relative to the preconditioner of an adaptive optimizer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.recording.curvature.operator import SymmetricOperator
from slingshot_analysis.recording.subject.optimizer_state import AdaptiveState


def preconditioner(states: Sequence[AdaptiveState | None], sizes: Sequence[int]) -> Tensor:
    """Return the diagonal of P, where the optimizer's update is about −η P⁻¹ times the gradient.

    For Adam, P = (1 − β₁ᵗ) (√(v/(1 − β₂ᵗ)) + ε): the first factor undoes the bias correction of the first moment. For
    RMSprop, and without bias correction, P = √v + ε. If learning rates differ between parameters, η is the largest one
    and the entries of the other parameters are scaled accordingly. Entries of parameters without updates are infinite.

    Parameters
    ----------
    states : sequence of AdaptiveState or None
        State of each parameter, in the order of the operator; None if the optimizer has not updated the parameter.
    sizes : sequence of int
        Number of elements of each parameter.

    Returns
    -------
    (n,) float64 Tensor, loss per norm

    References
    ----------
    Cohen et al. 2022, "Adaptive Gradient Methods at the Edge of Stability", arXiv 2207.14484.

    Examples
    --------
    >>> state = AdaptiveState(torch.tensor([0.04]), step=1, lr=0.1, eps=0.0, betas=(0.9, 0.96))
    >>> [round(entry, 6) for entry in preconditioner([state, None], [1, 1]).tolist()]
    [0.1, inf]
    """
    largest = largest_rate(states)
    device = next(state.second_moment.device for state in states if state is not None)
    parts = []
    for state, size in zip(states, sizes, strict=True):
        rate = largest if state is None else float(state.lr)
        if state is None or (rate == 0 and largest > 0):
            parts.append(torch.full((size,), torch.inf, dtype=torch.float64, device=device))
            continue
        scale = largest / rate if rate else 1.0
        if state.betas is not None and state.bias_correction:
            scale *= 1 - state.betas[0] ** float(state.step)
        parts.append(scale * (state.at().root.detach().reshape(-1) + state.eps))
    return torch.cat(parts)


def stability_threshold(states: Sequence[AdaptiveState | None]) -> float:
    """Return the curvature of the preconditioned loss above which the optimizer diverges on a quadratic.

    For Adam it is (2 + 2β₁)/((1 − β₁) η), which is 38/η at β₁ = 0.9; for RMSprop with momentum μ it is (2 + 2μ)/η; η is
    the largest learning rate. It is exact for a constant P and full batches. It does not hold for Nesterov's momentum
    (NAdam).

    References
    ----------
    Cohen et al. 2022, arXiv 2207.14484, equation 2.

    Examples
    --------
    >>> round(stability_threshold([AdaptiveState(torch.ones(1), 1, lr=0.1, eps=1e-8, betas=(0.9, 0.999))]), 6)
    380.0
    """
    rate, state = largest_rate(states), next(state for state in states if state is not None)
    if rate == 0:
        return math.inf
    if state.betas is not None:
        return (2 + 2 * state.betas[0]) / ((1 - state.betas[0]) * rate)
    return (2 + 2 * state.momentum) / rate


def largest_rate(states: Sequence[AdaptiveState | None]) -> float:
    """Return the largest learning rate of the parameters that have been updated, the η of :func:`preconditioner`."""
    return max(float(state.lr) for state in states if state is not None)


class PreconditionedOperator:
    """P^(-1/2) A P^(-1/2), a symmetric matrix with the eigenvalues of P⁻¹ A.

    Parameters
    ----------
    operator : SymmetricOperator
        A, such as a Hessian.
    diagonal : (n,) Tensor
        The diagonal of P; all entries are above 0.

    Examples
    --------
    >>> from slingshot_analysis.recording.curvature import MatrixOperator
    >>> matrix = MatrixOperator(torch.tensor([[6.0, 0.0], [0.0, 1.0]], dtype=torch.float64))
    >>> PreconditionedOperator(matrix, torch.tensor([2.0, 4.0]))(torch.ones(2, dtype=torch.float64))
    tensor([3.0000, 0.2500], dtype=torch.float64)
    """

    def __init__(self, operator: SymmetricOperator, diagonal: Tensor) -> None:
        self._operator = operator
        self._factor = diagonal.to(operator.device, operator.dtype).rsqrt()
        self.dimension, self.dtype, self.device = operator.dimension, operator.dtype, operator.device

    def __call__(self, vector: Tensor) -> Tensor:
        """Return P^(-1/2) A P^(-1/2) v for a vector v."""
        return self._factor * self._operator(self._factor * vector)
