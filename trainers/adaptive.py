"""The paper's generic adaptive method as a PyTorch optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from slingshot_analysis.recording.torch_internals import foreach


class GenericAdaptiveOptimizer(torch.optim.Optimizer):
    """Generic adaptive method (Thilak et al. 2022, Algorithm 1), in multi-tensor operations.

    The paper defines the update w ← w − η m/(√V + ε), where m = φ(g) and V = ψ(g) are functions of the gradients. The
    arXiv version of the paper leaves out the body of Algorithm 1. Here φ and ψ are exponential moving averages, as in
    the methods with which the paper trains::

        m_t = β₁ m_{t−1} + (1 − β₁) g_t,    V_t = β₂ V_{t−1} + (1 − β₂) g_t²,    m_0 = V_0 = 0

    With `bias_correction`, m and V are divided by 1 − β₁ᵗ and 1 − β₂ᵗ, and the method is Adam. Without it, β₁ = 0 gives
    RMSProp with decay β₂, and β₁ = β₂ = 0 gives the method g/(|g| + ε) of the paper's appendix D.

    The optimizer's state has the same names as that of PyTorch's Adam: ``step``, ``exp_avg`` (m), ``exp_avg_sq`` (V).

    Parameters
    ----------
    parameters : iterable of nn.Parameter
        The parameters to train.
    lr : float
        Learning rate η.
    betas : (float, float)
        Decay rates β₁, β₂ per update, in [0, 1).
    eps : float
        Constant ε, added to √V.
    bias_correction : bool
        Whether to correct for the start of the averages at 0.

    References
    ----------
    Thilak et al. 2022, arXiv 2206.04817; Kingma and Ba 2015, arXiv 1412.6980.

    Examples
    --------
    >>> weight = nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> weight.grad = torch.tensor([3.0, -1.0])
    >>> GenericAdaptiveOptimizer([weight], lr=0.1, betas=(0.0, 0.0), eps=1.0, bias_correction=False).step()
    >>> weight.data
    tensor([0.9250, 1.0500])
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        bias_correction: bool,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "bias_correction": bias_correction})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update the parameters from their current gradients."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            gradients = [p.grad for p in parameters]
            states = [self._state_of(p) for p in parameters]
            averages, squares = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq"))
            beta1, beta2 = group["betas"]
            foreach("lerp_", averages, gradients, 1 - beta1)
            foreach("mul_", squares, beta2)
            foreach("addcmul_", squares, gradients, gradients, value=1 - beta2)
            roots = foreach("sqrt", squares)
            rates = [-group["lr"]] * len(states)
            if group["bias_correction"]:
                foreach("div_", roots, [(1 - beta2 ** state["step"]) ** 0.5 for state in states])
                rates = [-group["lr"] / (1 - beta1 ** state["step"]) for state in states]
            foreach("add_", roots, group["eps"])
            foreach("addcdiv_", parameters, averages, roots, value=rates)

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Any]:
        """Return the state of a parameter, with ``step`` increased to the current update."""
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state |= {"step": 0, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
        state["step"] += 1
        return state
