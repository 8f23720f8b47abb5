"""Optimizers as frozen values, and the linear warm-up of their learning rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import nn

from slingshot_analysis.errors import InputError
from trainers.adaptive import GenericAdaptiveOptimizer

Parameters = Iterable[nn.Parameter]


class _Checked:
    """Raises an InputError unless decay rates are in [0, 1) and all other numbers at least 0."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            for number in value if isinstance(value, tuple) else (value,):
                decays = field.name in ("betas", "alpha", "momentum")
                if not 0 <= number < (1 if decays else float("inf")):
                    allowed = "[0, 1)" if decays else "at least 0"
                    raise InputError(f"{type(self).__name__} needs {field.name} {allowed}, got {value}")


@dataclass(frozen=True)
class Adam(_Checked):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980), in PyTorch's fused implementation.

    Parameters
    ----------
    lr : float
        Learning rate η.
    betas : (float, float)
        Decay rates β₁, β₂ of the first and of the second moment per update.
    eps : float
        Constant ε, added to the square root of the second moment.
    warmup : int, updates
        Number of updates over which the learning rate rises linearly to `lr`.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    warmup: int = 0

    def build(self, parameters: Parameters) -> torch.optim.Optimizer:
        """Make the optimizer of `parameters`."""
        return torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, eps=self.eps, fused=True)


@dataclass(frozen=True)
class AdamW(_Checked):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101), fused.

    Parameters
    ----------
    lr, betas, eps, warmup
        As for `Adam`.
    weight_decay : float
        Decoupled decay: each update subtracts `lr` · `weight_decay` · w from a weight w.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    warmup: int = 0

    def build(self, parameters: Parameters) -> torch.optim.Optimizer:
        """Make the optimizer of `parameters`."""
        return torch.optim.AdamW(
            parameters, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay, fused=True
        )


@dataclass(frozen=True)
class RMSProp(_Checked):
    """RMSProp (Tieleman and Hinton 2012), in PyTorch's multi-tensor implementation.

    Parameters
    ----------
    lr, eps, warmup
        As for `Adam`.
    alpha : float
        Decay rate of the mean square per update.
    momentum : float
        Momentum.
    """

    lr: float = 1e-3
    alpha: float = 0.99
    momentum: float = 0.0
    eps: float = 1e-8
    warmup: int = 0

    def build(self, parameters: Parameters) -> torch.optim.Optimizer:
        """Make the optimizer of `parameters`."""
        return torch.optim.RMSprop(
            parameters, lr=self.lr, alpha=self.alpha, momentum=self.momentum, eps=self.eps, foreach=True
        )


@dataclass(frozen=True)
class SGD(_Checked):
    """Stochastic gradient descent, with momentum and weight decay, fused.

    Parameters
    ----------
    lr, warmup
        As for `Adam`.
    momentum : float
        Momentum.
    weight_decay : float
        L2 penalty: `weight_decay` · w is added to the gradient.
    """

    lr: float = 1e-2
    momentum: float = 0.0
    weight_decay: float = 0.0
    warmup: int = 0

    def build(self, parameters: Parameters) -> torch.optim.Optimizer:
        """Make the optimizer of `parameters`."""
        return torch.optim.SGD(
            parameters, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, fused=True
        )


@dataclass(frozen=True)
class GenericAdaptive(_Checked):
    """The paper's generic adaptive method, w ← w − η m/(√V + ε), as :mod:`trainers.adaptive` defines it.

    Parameters
    ----------
    lr, eps, warmup
        As for `Adam`.
    betas : (float, float)
        Decay rates β₁, β₂ of the averages m = φ(g) and V = ψ(g) per update. (0, 0) gives g/(|g| + ε), the method of
        appendix D.
    bias_correction : bool
        Whether to correct for the start of the averages at 0, as Adam does and RMSProp does not.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    bias_correction: bool = True
    warmup: int = 0

    def build(self, parameters: Parameters) -> torch.optim.Optimizer:
        """Make the optimizer of `parameters`."""
        return GenericAdaptiveOptimizer(parameters, self.lr, self.betas, self.eps, self.bias_correction)


OPTIMIZERS = {"adam": Adam, "adamw": AdamW, "rmsprop": RMSProp, "sgd": SGD, "adaptive": GenericAdaptive}
"""The kinds of optimizer by name."""

Kind = TypeVar("Kind")


def as_kind(optimizer: Any, kind: type[Kind]) -> Kind:
    """Return an optimizer of another kind that keeps the fields which both kinds have; other fields get defaults.

    Examples
    --------
    >>> as_kind(Adam(lr=0.004, warmup=10), SGD)
    SGD(lr=0.004, momentum=0.0, weight_decay=0.0, warmup=10)
    """
    shared = {f.name for f in fields(kind)} & {f.name for f in fields(optimizer)}  # type: ignore[arg-type]
    return kind(**{name: getattr(optimizer, name) for name in shared})


def warm_up(optimizer: torch.optim.Optimizer, lr: float, step: int, warmup: int) -> None:
    """Set the learning rate of the update from state `step` to lr·(step + 1)/warmup, during the warm-up."""
    if step < warmup:
        for group in optimizer.param_groups:
            group["lr"] = lr * (step + 1) / warmup
