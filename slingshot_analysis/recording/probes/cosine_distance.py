"""Cosine distance of the parameters from their initialisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.trace import Quantity


class CosineDistance(Probe):
    """1 − cos(w_t, w_0), for the last layer (classifier) and for all other parameters (representation).

    It is computed in float64. w_0 are the parameters when the recorder was made.

    References
    ----------
    Thilak et al. 2022, appendix B.1, arXiv 2206.04817.
    """

    name = "cosine_distance"
    default_schedule = Every(100)
    cost = "a few passes over the parameters in float64, and one copy of them kept"
    source = "arXiv 2206.04817, appendix B.1"

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        last = subject.last_layer_parameters
        classifier = [p for name, p in subject.parameters.items() if name in last]
        representation = [p for name, p in subject.parameters.items() if name not in last]
        self._parts = [(part, _direction(part)) for part in (representation, classifier) if part]
        kinds = ["representation", "classifier"] if representation else ["classifier"]
        quantities = [
            Quantity(f"cosine_distance_{kind}", "", f"1 - cos(w_t, w_0) of the {kind} parameters") for kind in kinds
        ]
        return [Buffer(quantity.name) for quantity in quantities], quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        for slot, (part, initial) in zip(slots, self._parts, strict=True):
            slot.copy_(1 - torch.dot(_direction(part), initial)).clamp_(min=0)

    def state_dict(self) -> dict[str, Any]:
        return {"initial": [initial for _, initial in self._parts]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for (_, initial), saved in zip(self._parts, state["initial"], strict=True):
            initial.copy_(saved)


def _direction(tensors: Sequence[Tensor]) -> Tensor:
    """Return the tensors as one vector of length 1."""
    flat = torch.cat([t.detach().flatten() for t in tensors]).to(torch.float64)
    direction: Tensor = flat / torch.linalg.vector_norm(flat)
    return direction
