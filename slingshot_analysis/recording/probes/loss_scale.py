"""The scale by which a gradient scaler multiplies the loss."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.torch_internals import scale_of
from slingshot_analysis.trace import Quantity


class LossScale(Probe):
    """`loss_scale`: the factor by which the gradient scaler has multiplied the loss of this update.

    A scaler halves it after a step that it skips, and doubles it after 2,000 steps without one. A scale that falls
    again and again means that gradients overflow. Needs ``scaler=``; frameworks' adapters give it themselves.

    References
    ----------
    Micikevicius et al. 2018, section 3.2, arXiv 1710.03740.
    """

    name = "loss_scale"
    cost = "the copy of a number"
    source = "arXiv 1710.03740, section 3.2"
    needs_batch = True

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return subject.scaler is not None and subject.scaler.is_enabled()

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        if subject.scaler is None or not self.fits(subject):
            raise InputError(
                "the probe 'loss_scale' needs scaler=, an enabled torch.amp.GradScaler: leave it out of probes="
            )
        self._scaler = subject.scaler
        quantity = Quantity("loss_scale", "", "factor of the loss in the backward pass")
        return [Buffer(quantity.name)], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        slots[0].copy_(scale_of(self._scaler, slots[0].device))
