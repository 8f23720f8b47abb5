"""By how much clipping shrinks the gradient."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.torch_internals import norm_of_gradients
from slingshot_analysis.trace import Quantity


class ClipCoefficient(Probe):
    """`clip_coefficient`: ‖g‖ as the optimizer gets it over ‖g‖ at the end of the backward pass, in float64.

    It is 1 where nothing clips the gradient, and c/‖g‖ where its norm is clipped to c. Any other change of the gradient
    between the two counts too. With a gradient scaler, which has to be given as ``scaler=``, both norms are unscaled.
    With ``update()``, only what comes before that call counts. NaN where the gradient is zero, and where no backward
    pass of autograd was seen.

    References
    ----------
    Pascanu et al. 2013, Algorithm 1, arXiv 1211.5063.
    """

    name = "clip_coefficient"
    cost = "two passes over the gradients"
    source = "arXiv 1211.5063, Algorithm 1"
    needs_batch = True
    needs_unclipped = True

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._parameters = list(subject.parameters.values())
        quantity = Quantity("clip_coefficient", "", "norm of the gradient after clipping over that before it")
        return [Buffer(quantity.name)], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        if moment.unclipped_norm is None:
            slots[0].fill_(float("nan"))
        else:
            slots[0].copy_(norm_of_gradients(self._parameters) / moment.unclipped_norm)
