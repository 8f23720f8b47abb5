"""The probe for problems without classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import Buffer, Moment, Probe, Subject
from slingshot_analysis.trace import Quantity


class Objective(Probe):
    """`batch_loss`, the value of the objective at each state. Without classes there are no errors to count.

    References
    ----------
    Thilak et al. 2022, appendix D, arXiv 2206.04817.
    """

    name = "objective"
    cost = "a copy of one number"
    source = "arXiv 2206.04817, appendix D"
    needs_batch = True

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        """Declare the value of the objective."""
        return [Buffer("batch_loss", (), torch.float64)], [Quantity("batch_loss", "", "value of the objective")]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        """Copy the loss."""
        if moment.loss is None:
            raise InputError("the probe 'objective' needs recorder.update(loss)")
        slots[0].copy_(moment.loss)
