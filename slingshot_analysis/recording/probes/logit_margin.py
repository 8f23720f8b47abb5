"""By how much the correct class leads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer
from slingshot_analysis.recording.probes._batch_probe import BatchProbe
from slingshot_analysis.recording.schedule import Every
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.targets import Kind
from slingshot_analysis.trace import Quantity


class LogitMargin(BatchProbe):
    """`logit_margin` and `smallest_logit_margin`: mean and least z_y − max_{c≠y} z_c over each update's batch.

    z are the logits, in float64, and y is the class of a sample; a margin below 0 is a misclassification. Targets
    below 0 (such as -100, the index that cross-entropy ignores) do not count.

    References
    ----------
    "What does the weight norm control in grokking?", arXiv 2606.18465.
    """

    name = "logit_margin"
    default_schedule = Every(100)
    cost = "two passes per block of updates over the logits that `batch` keeps"
    source = "arXiv 2606.18465"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return subject.targets.kind is Kind.CLASS

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        if not self.fits(subject):
            raise InputError(
                "logit_margin is defined for targets that are a class as an integer; these are "
                f"{subject.targets.kind.value}: leave it out of probes="
            )
        self.attach_batches()
        quantities = [
            Quantity("logit_margin", "logit", "mean lead of the correct class over the next, of the update's batch"),
            Quantity("smallest_logit_margin", "logit", "least lead of the correct class in the update's batch"),
        ]
        return [Buffer(quantity.name) for quantity in quantities], quantities

    def of_batches(self, losses: Tensor, logits: Tensor, targets: Tensor) -> Sequence[Tensor]:
        by_class = logits.movedim(-1, 0).to(torch.float64, memory_format=torch.contiguous_format)
        index, counted = targets.clamp(min=0).unsqueeze(0), targets >= 0
        correct = by_class.gather(0, index)[0]
        margins = (correct - by_class.scatter(0, index, -torch.inf).amax(0)).view(len(targets), -1)
        counted = counted.view(len(targets), -1)
        samples = counted.sum(1)
        least = torch.where(counted, margins, torch.inf).amin(1)
        return (margins * counted).sum(1) / samples, torch.where(samples > 0, least, torch.nan)
