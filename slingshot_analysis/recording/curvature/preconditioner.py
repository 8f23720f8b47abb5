"""The loss's curvature as an adaptive optimizer sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from slingshot_analysis.recording.curvature.operator import SymmetricOperator
from slingshot_analysis.recording.second_moment import NAMES

__all__ = ["AdaptiveState", "PreconditionedOperator", "adaptive_states", "preconditioner", "stability_threshold"]


@dataclass(frozen=True)
class AdaptiveState:
    """What an adaptive optimizer knows of one parameter after t updates.

    Parameters
    ----------
    second_moment : Tensor
        v, in the parameter's shape.
    step : int
        t.
    lr, eps : float
        η and ε.
    betas : (float, float) or None
        β₁ and β₂ of Adam and its relatives; None for RMSprop, whose first moment is not an average.
    momentum : float
        Heavy-ball momentum of RMSprop.
    bias_correction : bool
        Whether the averages are divided by 1 − βᵗ.
    """

    second_moment: Tensor
    step: int
    lr: float
    eps: float
    betas: tuple[float, float] | None = None
    momentum: float = 0.0
    bias_correction: bool = True


def adaptive_states(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor]
) -> dict[str, AdaptiveState] | None:
    """Read the state of each parameter; None where one has none yet, such as before the first update.

    The second moment is the largest so far with AMSGrad, and the variance with centered RMSprop.
    """
    groups: dict[int, dict[str, Any]] = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    states = {}
    for name, parameter in parameters.items():
        state = optimizer.state.get(parameter, {})
        kept = next((key for key in NAMES if key in state), None)
        if kept is None or id(parameter) not in groups:
            return None
        group = groups[id(parameter)]
        moment = state[kept]
        if "grad_avg" in state:
            moment = moment - state["grad_avg"].square()
        states[name] = AdaptiveState(
            moment,
            int(state["step"]),
            float(group["lr"]),
            group["eps"],
            group.get("betas"),
            group.get("momentum", 0.0),
            "betas" in group and group.get("bias_correction", True),
        )
    return states


def preconditioner(states: Sequence[AdaptiveState]) -> Tensor:
    """Return the diagonal of P as one flat float64 vector: the optimizer's update is about −η P⁻¹ times the gradient.

    For Adam, P = (1 − β₁ᵗ) (√(v/(1 − β₂ᵗ)) + ε): the first factor undoes the bias correction of the first moment. For
    RMSprop, and without bias correction, P = √v + ε. Where learning rates differ between parameters, that of the
    first counts as η and the entries of the others are scaled to it.

    Parameters
    ----------
    states : sequence of AdaptiveState
        Of each parameter, in the order of the operator.

    Returns
    -------
    (n,) float64 Tensor, norm of a gradient

    References
    ----------
    Cohen et al. 2022, "Adaptive Gradient Methods at the Edge of Stability", arXiv 2207.14484.

    Examples
    --------
    >>> state = AdaptiveState(torch.tensor([0.04]), step=1, lr=0.1, eps=0.0, betas=(0.9, 0.96))
    >>> round(preconditioner([state]).item(), 6)
    0.1
    """
    parts = []
    for state in states:
        moment = state.second_moment.detach().reshape(-1).to(torch.float64)
        corrected, scale = moment, states[0].lr / state.lr
        if state.betas is not None and state.bias_correction:
            corrected = moment / (1 - state.betas[1] ** state.step)
            scale *= 1 - state.betas[0] ** state.step
        parts.append(scale * (corrected.sqrt() + state.eps))
    return torch.cat(parts)


def stability_threshold(state: AdaptiveState) -> float:
    """Return the curvature of the preconditioned loss above which the optimizer diverges on a quadratic.

    (2 + 2β₁)/((1 − β₁) η) for Adam and its relatives, 38/η at β₁ = 0.9; (2 + 2μ)/η for RMSprop with momentum μ. It is
    exact for a constant P and full batches.

    References
    ----------
    Cohen et al. 2022, arXiv 2207.14484, equation 2.

    Examples
    --------
    >>> round(stability_threshold(AdaptiveState(torch.ones(1), 1, lr=0.1, eps=1e-8, betas=(0.9, 0.999))), 6)
    380.0
    """
    if state.betas is not None:
        return (2 + 2 * state.betas[0]) / ((1 - state.betas[0]) * state.lr)
    return (2 + 2 * state.momentum) / state.lr


class PreconditionedOperator:
    """P^(-1/2) A P^(-1/2), which has the eigenvalues of P⁻¹ A and is symmetric.

    Parameters
    ----------
    operator : SymmetricOperator
        A, such as a Hessian.
    diagonal : (n,) Tensor
        The diagonal of P, above 0.

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
