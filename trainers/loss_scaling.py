"""Loss scaling, without which small gradients of float16 become 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError

SMALLEST_SCALE = 2.0**-60
"""Scale at which no finite gradient overflows any more: those that still aren't finite never will be."""


class LossScaler:
    """Multiplies the loss by a scale and divides the gradients by it: PyTorch's ``GradScaler`` with its defaults.

    The scale begins at 65,536. It is halved where a gradient is not finite, and doubled after 2,000 updates without.

    Parameters
    ----------
    device : torch.device
        Device of the loss.

    References
    ----------
    Micikevicius et al. 2018, "Mixed precision training", arXiv 1710.03740.
    """

    def __init__(self, device: torch.device) -> None:
        self._scaler = torch.amp.GradScaler(device.type)

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss times the scale."""
        return self._scaler.scale(loss)

    def unscale(self, optimizer: torch.optim.Optimizer) -> bool:
        """Divide the gradients of an optimizer's parameters by the scale, and adapt the scale. Waits for the device.

        Returns
        -------
        bool
            Whether all gradients are finite. If not, the update must be left out.

        Raises
        ------
        InputError
            If the scale has become so small that no scale makes the gradients finite.
        """
        before = self._scaler.get_scale()
        self._scaler.unscale_(optimizer)
        self._scaler.update()
        after = self._scaler.get_scale()
        if after < SMALLEST_SCALE:
            raise InputError(
                "autocast='float16': gradients are not finite at any loss scale, so the run has diverged; use "
                "autocast='bfloat16' or a smaller optimizer.lr"
            )
        return after >= before

    def state_dict(self) -> dict[str, Any]:
        """Return the scale and the number of updates since it last changed."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        self._scaler.load_state_dict(dict(state))
