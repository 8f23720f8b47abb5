"""Loss, accuracy and errors on the whole training and validation sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Batches, Subject
from slingshot_analysis.recording.subject.losses import float64_loss, loss_weight
from slingshot_analysis.recording.subject.model import ForwardPass, random_states_kept
from slingshot_analysis.trace import Quantity

KEPT_BYTES = 2**18
"""Logits of several batches that fit into this are compared with their targets together."""


class Evaluation(Probe):
    """`train_*` and `val_*`: mean loss, accuracy and misclassified samples, each over a whole set.

    The model runs in evaluation mode, in its own dtype; cross-entropy is computed from
    the logits in float64 and without cancellation. Targets that are numbers to regress on have a loss only.

    References
    ----------
    Thilak et al. 2022, Figure 1, arXiv 2206.04817.
    """

    name = "evaluation"
    default_schedule = Every(500)
    cost = "one forward pass of the training and validation sets"
    source = "arXiv 2206.04817, Figure 1"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return subject.train_data is not None or subject.val_data is not None

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        sets = {"train": subject.train_data, "val": subject.val_data}
        self._sets = {name: batches for name, batches in sets.items() if batches is not None}
        if not self._sets:
            raise InputError("evaluation needs train_data= or val_data=, or leave it out of probes=")
        self._forward = ForwardPass(subject.model)
        self._loss_function, self._targets = subject.loss_function, subject.targets
        words = {"train": "training", "val": "validation"}
        quantities = []
        for name in self._sets:
            unit = subject.loss_unit
            quantities += [Quantity(f"{name}_loss", unit, f"mean loss of the whole {words[name]} set, in float64")]
            if self._targets.have_errors:
                errors, accuracy = "misclassified samples of the", "share classified correctly of the"
                quantities += [
                    Quantity(f"{name}_errors", "samples", f"{errors} {words[name]} set", dtype="int64"),
                    Quantity(f"{name}_accuracy", "", f"{accuracy} {words[name]} set"),
                ]
        dtypes = {"float64": torch.float64, "int64": torch.int64}
        return [Buffer(quantity.name, (), dtypes[quantity.dtype]) for quantity in quantities], quantities

    def measure(self, moment: Moment, slots: Sequence[Tensor]) -> None:
        with self._forward.undisturbed(), random_states_kept():
            each = len(slots) // len(self._sets)
            for i, batches in enumerate(self._sets.values()):
                loss, *of_errors = (slot.zero_() for slot in slots[each * i : each * (i + 1)])
                samples, weight = torch.zeros_like(loss), torch.zeros_like(loss)
                for logits, targets in self._outputs(batches, loss.device):
                    counts = loss_weight(self._loss_function, targets)
                    loss.add_(float64_loss(self._loss_function, logits, targets) * counts)
                    weight.add_(counts)
                    if of_errors:
                        of_errors[0].add_(self._targets.errors(logits, targets))
                        samples.add_(self._targets.count(targets))
                loss.div_(weight)
                if of_errors:
                    torch.sub(1, of_errors[0] / samples, out=of_errors[1])

    def _outputs(self, batches: Batches, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield logits and targets, those of several batches at once where they are small."""
        kept: list[tuple[Tensor, Tensor]] = []
        size = 0
        for inputs, targets in batches:
            logits, targets = self._forward.model(inputs.to(device)), targets.to(device)
            if not isinstance(logits, Tensor):
                raise InputError(
                    f"the model returns {type(logits).__name__}, and evaluation needs logits as a tensor: give the "
                    "recorder a module whose forward pass returns them, or leave 'evaluation' out of probes="
                )
            if kept and (size + logits.nbytes > KEPT_BYTES or logits.shape[1:] != kept[0][0].shape[1:]):
                yield _joined(kept)
                kept, size = [], 0
            kept.append((logits, targets))
            size += logits.nbytes
        if kept:
            yield _joined(kept)


def _joined(kept: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    logits, targets = (torch.cat(parts) for parts in zip(*kept, strict=True))
    return logits, targets
