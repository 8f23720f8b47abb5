"""Norms of the parameters and of the gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer, Columns, Moment, Probe, dtype_name
from slingshot_analysis.recording.probes._parameter_norms import ParameterNorms
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.signal import Axis
from slingshot_analysis.trace import Quantity


class Norms(Probe):
    """Euclidean norms ‖w‖ of the trainable parameters at each state, and of the gradient of each update.

    `last_layer_norm` is the norm of the last layer's weight without its bias, `representation_norm` that of all
    parameters outside the last layer, and `total_norm` that of all parameters. `gradient_norm` is the norm of the
    gradient that the optimizer gets, after any clipping.

    References
    ----------
    Thilak et al. 2022, Figures 1 and 2, arXiv 2206.04817; Power et al. 2022, arXiv 2201.02177 (gradient).
    """

    name = "norms"
    cost = "one pass over the parameters and the gradients"
    source = "arXiv 2206.04817, Figures 1 and 2; arXiv 2201.02177"
    needs_batch = True

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        self._norms = ParameterNorms(list(subject.parameters.values()))
        names = list(subject.parameters)
        last = subject.last_layer_parameters
        self._last_weight = names.index(last[0])
        self._representation = [i for i, name in enumerate(names) if name not in last]
        axis, dtype = Axis("parameter", names), dtype_name(self._norms.dtype)
        return [Buffer("parameter_and_gradient_norms", (2 * len(names),), self._norms.dtype)], [
            Quantity("parameter_norm", "", "norm of each trainable parameter", (axis,), dtype),
            Quantity("last_layer_norm", "", f"norm of {last[0]}"),
            Quantity("representation_norm", "", "norm of all trainable parameters outside the last layer"),
            Quantity("total_norm", "", "norm of all trainable parameters"),
            Quantity("gradient_norm", "loss per norm", "norm of the update's gradient over all trainable parameters"),
        ]

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        if not self._norms.measure(slots[0]):
            raise InputError(
                "no parameter has a gradient: call recorder.update(...) between loss.backward() and optimizer.step()"
            )

    def derive(self, measured: Columns) -> Columns:
        parameters, gradients = np.split(measured["parameter_and_gradient_norms"], 2, axis=1)
        norms = parameters.astype(np.float64)
        return {
            "parameter_norm": parameters,
            "last_layer_norm": norms[:, self._last_weight],
            "representation_norm": np.linalg.norm(norms.take(self._representation, axis=1), axis=1),
            "total_norm": np.linalg.norm(norms, axis=1),
            "gradient_norm": np.linalg.norm(gradients.astype(np.float64), axis=1),
        }
