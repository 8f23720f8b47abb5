"""The second moments of an adaptive optimizer, read from its state without waiting for the device."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.subject.optimizers import AnyOptimizer, members_of
from slingshot_analysis.recording.subject.subject import Subject

NAMES = "max_exp_avg_sq", "exp_avg_sq", "square_avg"
"""Names of the second moment in an optimizer's state: for Adam with AMSGrad, for Adam, and for RMSprop."""

OTHERS = torch.optim.Adadelta, torch.optim.Adamax, torch.optim.RAdam
"""Optimizers with such a state or such hyperparameters that divide by something else than √v + ε."""

REASONS = {
    "Adadelta": "divides by the ratio of two averages",
    "Adafactor": "keeps averages of rows and columns only",
    "Adagrad": "divides by a sum that never decays",
    "Adamax": "divides by the largest gradient",
    "Lion": "takes the sign of an average",
    "Muon": "orthogonalises an average",
    "RAdam": "does not divide in its first updates, and rectifies later ones",
    "RAdamScheduleFree": "does not divide in its first updates",
    "SGD": "does not divide",
}
"""Why an optimizer has no effective step of the form η/(√v + ε), by its class."""

SEED = 0


@dataclass(frozen=True, slots=True)
class AdaptiveState:
    """The state of an adaptive optimizer for one parameter after t updates.

    Parameters
    ----------
    second_moment : Tensor
        v, the average of the squared gradient, in the parameter's shape; with AMSGrad its maximum so far.
    step : float or () Tensor
        t.
    lr : float or () Tensor
        η, the present learning rate; a scheduler may have set it for the next update already.
    eps : float
        ε.
    betas : (float, float) or None
        β₁ and β₂ of Adam and related optimizers; None for RMSprop, whose first moment is not an average.
    momentum : float
        Heavy-ball momentum of RMSprop.
    bias_correction : bool
        Whether the averages are divided by 1 − βᵗ.
    mean_gradient : Tensor or None
        For centered RMSprop, the average of the gradient; then the variance takes the place of v.

    Examples
    --------
    >>> state = AdaptiveState(torch.tensor([0.04]), step=1, lr=0.1, eps=0.0, betas=(0.9, 0.96))
    >>> round(state.root.item(), 6), round(state.effective_step.item(), 6)
    (1.0, 0.1)
    """

    second_moment: Tensor
    step: float | Tensor
    lr: float | Tensor
    eps: float
    betas: tuple[float, float] | None = None
    momentum: float = 0.0
    bias_correction: bool = True
    mean_gradient: Tensor | None = None

    @property
    def root(self) -> Tensor:
        """√v̂, with v̂ = v / (1 − β₂ᵗ) if the optimizer corrects the bias of its start at 0, else v̂ = v."""
        v, mean = self.second_moment, self.mean_gradient
        root = (v if mean is None else torch.addcmul(v, mean, mean, value=-1)).sqrt()
        if self.betas is None or not self.bias_correction:
            return root
        return root / (1 - self.betas[1] ** torch.as_tensor(self.step, dtype=torch.float64)).sqrt()

    @property
    def effective_step(self) -> Tensor:
        """η/(√v̂ + ε)."""
        return self.lr / (self.root + self.eps)

    def at(self, positions: Tensor | None = None) -> AdaptiveState:
        """Return the state in float64; with `positions`, that of these (n,) elements of the flattened parameter."""

        def pick(moment: Tensor) -> Tensor:
            return (moment if positions is None else torch.take(moment, positions)).to(torch.float64)

        mean = None if self.mean_gradient is None else pick(self.mean_gradient)
        return replace(self, second_moment=pick(self.second_moment), mean_gradient=mean)


def keeps_second_moment(optimizer: AnyOptimizer | None) -> bool:
    """Return whether the optimizer, or one of several, divides its update by √v + ε, as Adam and RMSprop do."""
    return optimizer is not None and any(map(_divides_by_root, members_of(optimizer)))


def _divides_by_root(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether the state, or before the first update ε and betas (Adam) or alpha (RMSprop), show √v + ε."""
    if isinstance(optimizer, OTHERS) or type(optimizer).__name__ in REASONS:
        return False
    groups = [group for group in optimizer.param_groups if isinstance(group.get("eps"), float | Tensor)]
    if any(optimizer.state.values()):
        return bool(groups) and any(name in state for state in optimizer.state.values() for name in NAMES)
    return any(len(group.get("betas", ())) == 2 or "alpha" in group for group in groups)


def has_threshold(optimizer: AnyOptimizer | None) -> bool:
    """Return whether the curvature above which the optimizer diverges is known; it is not for Nesterov's momentum."""
    if optimizer is None or not keeps_second_moment(optimizer):
        return False
    return not any(isinstance(member, torch.optim.NAdam) for member in members_of(optimizer))


def require_second_moment(subject: Subject, probe: str) -> AnyOptimizer:
    """Return the optimizer. A warning tells which parameters a probe leaves out, if another optimizer updates them.

    Raises
    ------
    InputError
        If no optimizer keeps a second moment; the message names the probe.
    """
    optimizer = subject.optimizer
    members = [] if optimizer is None else members_of(optimizer)
    others = [member for member in members if not _divides_by_root(member)]
    kinds = dict.fromkeys(type(member).__name__ for member in others)
    names = ", ".join(f"{kind}, which {REASONS[kind]}" if kind in REASONS else kind for kind in kinds) or "None"
    if optimizer is None or len(others) == len(members):
        raise InputError(
            f"the probe {probe!r} needs an optimizer that divides by a second moment, such as Adam or RMSprop, not "
            f"{names}: leave it out of probes="
        )
    if others:
        held = {id(p) for member in others for group in member.param_groups for p in group["params"]}
        count = sum(id(parameter) in held for parameter in subject.parameters.values())
        warnings.warn(
            f"the probe {probe!r} leaves out {count} of {len(subject.parameters)} parameters, which are updated by "
            f"{names}; it does not divide by a second moment",
            stacklevel=2,
        )
    return optimizer


def adaptive_states(optimizer: AnyOptimizer, parameters: Mapping[str, Tensor]) -> dict[str, AdaptiveState | None]:
    """Read the state of each parameter. It is None for one without a second moment, as before the first update.

    Raises
    ------
    InputError
        If the optimizer corrects a bias but does not count its updates.
    """
    members = [member for member in members_of(optimizer) if not isinstance(member, OTHERS)]
    groups = {id(p): group for member in members for group in member.param_groups for p in group["params"]}
    states = optimizer.state
    return {name: _state(states.get(p, {}), groups.get(id(p))) for name, p in parameters.items()}


def _state(state: Mapping[str, Any], group: Mapping[str, Any] | None) -> AdaptiveState | None:
    kept = next((name for name in NAMES if name in state), None)
    if kept is None or group is None:
        return None
    corrects = "betas" in group and group.get("bias_correction", True)
    step = state.get("step", group.get("step", group.get("k")))  # "k" is that of schedule-free optimizers
    if corrects and step is None:
        raise InputError(
            "the optimizer corrects the bias of its averages, but keeps no 'step' in its state or in its groups"
        )
    return AdaptiveState(
        state[kept],
        0 if step is None else step,
        group.get("scheduled_lr", group["lr"]),  # schedule-free optimizers warm up by themselves
        group["eps"],
        group.get("betas"),
        group.get("momentum", 0.0),
        corrects,
        state.get("grad_avg"),
    )


def sample_positions(subject: Subject, most: int) -> list[npt.NDArray[np.int64]]:
    """Return at most `most` random positions in each flattened trainable parameter.

    They are distinct, sorted and the same in every run, as they are drawn with a fixed seed.
    """
    generator = np.random.default_rng(SEED)
    sizes = [parameter.numel() for parameter in subject.parameters.values()]
    return [
        np.sort(generator.choice(n, most, replace=False, shuffle=False)) if n > most else np.arange(n) for n in sizes
    ]
