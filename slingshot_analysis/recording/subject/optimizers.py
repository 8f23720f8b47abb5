"""The optimizers of a run, read as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Optimizers:
    """Several optimizers of one run, such as Muon with AdamW; their groups and states are only read.

    Parameters
    ----------
    members : sequence of Optimizer
        The optimizers.
    """

    def __init__(self, members: Sequence[torch.optim.Optimizer]) -> None:
        self.members = list(members)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The parameter groups of all of them."""
        return [group for member in self.members for group in member.param_groups]

    @property
    def state(self) -> dict[Tensor, Any]:
        """The state of each parameter that has one."""
        return {parameter: state for member in self.members for parameter, state in member.state.items()}


AnyOptimizer = torch.optim.Optimizer | Optimizers


def members_of(optimizer: AnyOptimizer) -> list[torch.optim.Optimizer]:
    """Return the optimizers that are read as one."""
    return optimizer.members if isinstance(optimizer, Optimizers) else [optimizer]
