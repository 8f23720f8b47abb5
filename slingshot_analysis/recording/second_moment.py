"""The second moment v of the gradient that adaptive optimizers keep, read without waiting for the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probe import Subject

__all__ = ["Root", "SecondMoments", "keeps_second_moment", "sample_positions"]

NAMES = "max_exp_avg_sq", "exp_avg_sq", "square_avg"
"""Of the second moment in an optimizer's state: Adam's with AMSGrad, Adam's, RMSprop's."""

SEED = 0


def keeps_second_moment(optimizer: torch.optim.Optimizer | None) -> bool:
    """Return whether the optimizer divides its update by √v + ε, as Adam, RMSprop and their relatives do.

    Told from the state, or before the first update from the hyperparameters: ε, and betas (Adam) or alpha (RMSprop).
    Adadelta and Adamax, which keep such a state or such hyperparameters but divide by something else, do not count.
    """
    if optimizer is None or isinstance(optimizer, torch.optim.Adadelta | torch.optim.Adamax):
        return False
    if optimizer.state:
        return any(name in state for state in optimizer.state.values() for name in NAMES)
    return any("eps" in group and ("betas" in group or "alpha" in group) for group in optimizer.param_groups)


class Root(NamedTuple):
    """√v̂ of a parameter tensor, or of some of its elements, with what makes a step of it.

    The learning rate is the one at hand, whether it belongs to the last or to the next update.
    """

    value: Tensor
    learning_rate: float | Tensor
    epsilon: float

    @property
    def effective_step(self) -> Tensor:
        """η/(√v̂ + ε)."""
        return self.learning_rate / (self.value + self.epsilon)


class SecondMoments:
    """√v̂ of a model's parameters.

    v̂ is v / (1 − β₂ᵗ) after t updates where the optimizer corrects the bias of its start at 0 (Adam and its relatives,
    unless they say ``bias_correction=False``), and v itself elsewhere (RMSprop). With AMSGrad it is the largest v so
    far, with centered RMSprop the variance.

    Parameters
    ----------
    subject : Subject
        The run; the optimizer's state and hyperparameters are read at every call.
    probe : str
        Name of the probe, for the error.

    Raises
    ------
    InputError
        If the optimizer keeps no second moment.
    """

    def __init__(self, subject: Subject, probe: str) -> None:
        optimizer = subject.optimizer
        if optimizer is None or not keeps_second_moment(optimizer):
            raise InputError(
                f"{probe} needs an optimizer that divides by a second moment, such as Adam or RMSprop, not "
                f"{type(optimizer).__name__}: leave {probe!r} out of Recorder(probes=[...])"
            )
        self._optimizer = optimizer
        groups = {id(p): i for i, group in enumerate(optimizer.param_groups) for p in group["params"]}
        self._parameters = [(p, groups.get(id(p))) for p in subject.parameters.values()]

    def roots(self, positions: Sequence[Tensor] | None = None) -> list[Root | None]:
        """Return √v̂ of each parameter; None where there is no second moment, such as before the first update.

        Parameters
        ----------
        positions : sequence of (n,) int64 Tensor, optional
            Which elements of each flattened parameter; those are returned in float64. By default all, in the shape and
            dtype of v.
        """
        each: Sequence[Tensor | None] = positions or [None] * len(self._parameters)
        return [self._root(p, group, where) for (p, group), where in zip(self._parameters, each, strict=True)]

    def _root(self, parameter: Tensor, index: int | None, where: Tensor | None) -> Root | None:
        state: dict[str, Any] = self._optimizer.state.get(parameter, {})
        name = next((name for name in NAMES if name in state), None)
        if name is None or index is None:
            return None
        group = self._optimizer.param_groups[index]

        def pick(moment: Tensor) -> Tensor:
            return moment if where is None else torch.take(moment, where).to(torch.float64)

        square = pick(state[name])
        if "grad_avg" in state:
            mean = pick(state["grad_avg"])
            square = torch.addcmul(square, mean, mean, value=-1)
        root = square.sqrt()
        if "betas" in group and group.get("bias_correction", True):
            updates = torch.as_tensor(state["step"], dtype=torch.float64)
            root = root / (1 - group["betas"][1] ** updates).sqrt()
        return Root(root, group["lr"], group["eps"])


def sample_positions(subject: Subject, most: int) -> list[npt.NDArray[np.int64]]:
    """Return random positions in each flattened trainable parameter: `most`, or all if there are no more.

    They are distinct and sorted, and the same in every run: drawn by a generator of their own with a fixed seed.
    """
    generator = np.random.default_rng(SEED)
    sizes = [parameter.numel() for parameter in subject.parameters.values()]
    return [
        np.sort(generator.choice(n, most, replace=False, shuffle=False)) if n > most else np.arange(n) for n in sizes
    ]
