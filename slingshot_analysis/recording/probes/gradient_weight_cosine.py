"""Alignment of the negative gradient with the weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.torch_internals import norms
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity


class GradientWeightCosine(Probe):
    """`gradient_weight_cosine`: cos(−g, w) of each parameter tensor w and its gradient g, in float64.

    Near 1, gradient descent does little but scale the weights up ("naive loss minimisation"). NaN where the gradient or
    the weights are all zero, and where there is no gradient.

    References
    ----------
    Prieto et al. 2025, arXiv 2501.04697, section 4.
    """

    name = "gradient_weight_cosine"
    default_schedule = Every(500)
    cost = "three passes over the parameters and the gradients in float64"
    source = "arXiv 2501.04697, section 4"
    needs_batch = True

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._parameters = list(subject.parameters.values())
        axis = Axis("parameter", list(subject.parameters))
        quantity = Quantity("gradient_weight_cosine", "", "cosine of the negative gradient with the weights", (axis,))
        return [Buffer(quantity.name, (len(axis.labels),))], [quantity]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        pairs = [
            (p.detach().flatten().to(torch.float64), p.grad.to_dense().flatten().to(torch.float64))
            for p in self._parameters
            if p.grad is not None
        ]
        if not pairs:
            raise InputError(
                "no parameter has a gradient: call recorder.update(...) between loss.backward() and optimizer.step()"
            )
        weights, gradients = (list(part) for part in zip(*pairs, strict=True))
        products = torch.stack(norms(weights)) * torch.stack(norms(gradients))
        cosines = iter((torch.stack(list(map(torch.dot, weights, gradients))) / -products).unbind())
        nan = slots[0].new_full((), torch.nan)
        torch.stack([nan if p.grad is None else next(cosines) for p in self._parameters], out=slots[0])
