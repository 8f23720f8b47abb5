"""The logarithm of the softmax's normaliser, and the scale of the logits."""

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


class LogZ(BatchProbe):
    """`log_z` and `log_z_square`: means of log Z and of log² Z over each update's batch, with Z = Σ_c exp(z_c).

    z are the logits of a sample, or of a token. The z-loss is a small multiple of `log_z_square`; logits that drift
    away from log-probabilities show in both. `logit_rms` is the root of the mean of z_c² over samples and classes, and
    `largest_logit` the largest ``|z_c|``. Samples whose target is below 0, such as -100, the index that cross-entropy
    ignores, are left out.

    References
    ----------
    Wortsman et al. 2023, arXiv 2309.14322, section 3.1.2 (z-loss, and divergence of the output logits).
    """

    name = "log_z"
    default_schedule = Every(10)
    cost = "four passes per block of updates over the batch's logits"
    source = "arXiv 2309.14322, section 3.1.2"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return subject.targets.kind is Kind.CLASS

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        if not self.fits(subject):
            raise InputError(
                "the probe 'log_z' needs targets that are a class as an integer; these are "
                f"{subject.targets.kind.value}: leave it out of probes="
            )
        self.attach_batches()
        quantities = [
            Quantity("log_z", "nat", "mean logarithm of the softmax's normaliser, of the update's batch"),
            Quantity("log_z_square", "squared nat", "mean square of that logarithm"),
            Quantity("logit_rms", "logit", "root mean square of the logits of the update's batch"),
            Quantity("largest_logit", "logit", "largest absolute value of a logit of the update's batch"),
        ]
        return [Buffer(quantity.name) for quantity in quantities], quantities

    def of_batches(self, losses: Tensor, logits: Tensor, targets: Tensor) -> Sequence[Tensor]:
        batches, counted = len(targets), (targets >= 0).reshape(len(targets), -1)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)).reshape(batches, -1, logits.shape[-1])
        samples = counted.sum(1)

        def mean(of_samples: Tensor) -> Tensor:
            return torch.where(counted, of_samples.to(torch.float64), 0).sum(1) / samples

        log_z = logits.logsumexp(2).to(torch.float64)
        least, most = logits.aminmax(dim=2)
        largest = torch.where(counted, torch.maximum(most, -least), -torch.inf).amax(1)
        return (
            mean(log_z),
            mean(log_z.square()),
            mean(logits.square().mean(2)).sqrt(),
            torch.where(samples > 0, largest, torch.nan),
        )
