"""Norms of Adam's moments, and the direction of the first one relative to the gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer, Columns, Moment, Probe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.optimizer_state import adaptive_states, keeps_second_moment
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity

FIRST = "exp_avg"
"""Name of the first moment in an optimizer's state."""

OF_PARAMETERS = "parameter_first_moment_norm", "parameter_second_moment_norm", "moment_gradient_cosine"
TOTALS = "first_moment_norm", "second_moment_norm"


class Moments(Probe):
    """`parameter_first_moment_norm` and `parameter_second_moment_norm`: ‖m‖ and ‖v‖ of each parameter, in float64.

    m and v are the averages of the gradient and of its square as the optimizer keeps them at step t, without bias
    correction. They do not contain the gradient g of the update from t yet. With AMSGrad, v is its maximum so far.
    `first_moment_norm` and `second_moment_norm` are the norms over all parameters. `moment_gradient_cosine` is
    cos(m, g) of each parameter: below 0, the gradient points against the momentum. Values are NaN before the first
    update, and where a parameter has no moment or no gradient.

    References
    ----------
    Kingma and Ba 2015, Algorithm 1, arXiv 1412.6980; Molybog et al. 2023, arXiv 2304.09871, on how they behave around
    a loss spike.
    """

    name = "moments"
    default_schedule = Every(10)
    cost = "five passes over the gradients and the moments in float64"
    source = "arXiv 1412.6980, Algorithm 1; arXiv 2304.09871"
    needs_batch = True

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        optimizer = subject.optimizer
        return (
            optimizer is not None
            and keeps_second_moment(optimizer)
            and any("betas" in group for group in optimizer.param_groups)
        )

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        if subject.optimizer is None or not self.fits(subject):
            raise InputError(
                "the probe 'moments' needs an optimizer with a first and a second moment, such as Adam, not "
                f"{type(subject.optimizer).__name__}: leave it out of probes="
            )
        self._optimizer, self._parameters = subject.optimizer, subject.parameters
        axes = (Axis("parameter", list(subject.parameters)),)
        first, second = "loss per norm", "squared loss per squared norm"
        shape = len(subject.parameters), len(OF_PARAMETERS)
        return [Buffer("of_parameters", shape), *map(Buffer, TOTALS)], [
            Quantity(OF_PARAMETERS[0], first, "norm of the gradient's average in the optimizer", axes),
            Quantity(OF_PARAMETERS[1], second, "norm of the squared gradient's average", axes),
            Quantity(TOTALS[0], first, "norm of the gradient's average over all trainable parameters"),
            Quantity(TOTALS[1], second, "norm of the squared gradient's average over all of them"),
            Quantity(OF_PARAMETERS[2], "", "cosine of the gradient's average with the new gradient", axes),
        ]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        of_parameters, *totals = slots
        states = adaptive_states(self._optimizer, self._parameters)
        nan = of_parameters.new_full((), torch.nan)
        known: list[list[Tensor]] = []
        for slot, (name, parameter) in zip(of_parameters, self._parameters.items(), strict=True):
            state = states[name]
            first = _flat(self._optimizer.state.get(parameter, {}).get(FIRST))
            second = _flat(None if state is None else state.second_moment)
            gradient = _flat(parameter.grad)
            norms = [nan if flat is None else torch.linalg.vector_norm(flat) for flat in (first, second)]
            cosine = nan
            if first is not None and gradient is not None:
                cosine = torch.dot(first, gradient) / (norms[0] * torch.linalg.vector_norm(gradient))
            torch.stack([*norms, cosine], out=slot)
            if state is not None:
                known.append(norms)
        for i, total in enumerate(totals):
            total.copy_(torch.linalg.vector_norm(torch.stack([norms[i] for norms in known] or [nan])))

    def derive(self, measured: Columns) -> Columns:
        of_parameters = measured["of_parameters"]
        values = {name: of_parameters[..., i] for i, name in enumerate(OF_PARAMETERS)}
        return values | {name: measured[name] for name in TOTALS}


def _flat(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().to_dense().flatten().to(torch.float64)
