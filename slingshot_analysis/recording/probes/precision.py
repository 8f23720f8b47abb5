"""How far the loss and its gradient have sunk below the precision in which training computes them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.probes._base import Buffer
from slingshot_analysis.recording.probes._batch_probe import BatchProbe
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.losses import cross_entropy
from slingshot_analysis.recording.torch_internals import log_softmax_backward
from slingshot_analysis.trace import Quantity


class Precision(BatchProbe):
    """Four signs of lost precision in the cross-entropy of each update's batch.

    They are computed from the batch's logits z in the dtype in which training computes the loss. y is the class of a
    sample, p = softmax(z), and g = ∂(mean loss)/∂z as autograd computes it in that dtype:

    - `softmax_collapse`: share of samples with Σ_c exp(z_c − max z) = 1: rounding has removed all classes but one;
    - `zero_loss_fraction`: share of samples with log p_y = 0, whose loss is exactly zero;
    - `zero_gradient_fraction`: share of samples with g_y = 0, that is, p_y − 1 = 0;
    - `zero_sum_violation`: ``Σ_i |Σ_c g_ic| / Σ_ic |g_ic|`` over samples i. It is 0 in exact arithmetic, and 1 when
      only gradients of one sign are left, which then change all logits of a class in the same direction. It is NaN
      where every gradient is exactly zero.

    Targets below 0, such as -100, the index that cross-entropy ignores, are left out.

    References
    ----------
    Prieto et al. 2025, arXiv 2501.04697, section 3 (softmax collapse); Liu et al. 2026, arXiv 2605.06152 (gradients
    of the correct class, zero-sum violation).
    """

    name = "precision"
    cost = "one softmax and its gradient per block of updates, from the logits that `batch` keeps"
    source = "arXiv 2501.04697, section 3; arXiv 2605.06152"

    @classmethod
    def fits(cls, subject: Subject) -> bool:
        return subject.loss_function is cross_entropy

    def attach(self, subject: Subject) -> tuple[Sequence[Buffer], Sequence[Quantity]]:
        if not self.fits(subject):
            raise InputError(
                "the probe 'precision' is defined for cross-entropy: leave out loss_function=, or leave the probe "
                "out of probes="
            )
        self.attach_batches()
        self._dtype = subject.loss_dtype
        quantities = [
            Quantity("softmax_collapse", "", "share of the batch whose softmax has rounded away all but one class"),
            Quantity("zero_loss_fraction", "", "share of the batch with a loss of exactly zero"),
            Quantity("zero_gradient_fraction", "", "share of the batch whose correct class has no gradient"),
            Quantity("zero_sum_violation", "", "|sum over classes of the logits' gradient|, relative to its size"),
        ]
        return [Buffer(quantity.name) for quantity in quantities], quantities

    def of_batches(self, losses: Tensor, logits: Tensor, targets: Tensor) -> Sequence[Tensor]:
        logits = logits.to(self._dtype or losses.dtype)
        index, counted = targets.clamp(min=0).unsqueeze(-1), targets >= 0
        samples = _sum(counted, torch.int64)
        shares = (logits - logits.amax(-1, keepdim=True)).exp_()
        collapsed = shares.sum(-1) == 1
        log_p = torch.log_softmax(logits, -1)
        weight = counted.to(logits.dtype) / samples.to(logits.dtype).view(-1, *[1] * (counted.ndim - 1))
        upstream = shares.zero_().scatter_(-1, index, -weight.unsqueeze(-1))
        gradient = log_softmax_backward(upstream, log_p, logits)
        no_loss, no_gradient = (part.gather(-1, index).squeeze(-1) == 0 for part in (log_p, gradient))
        sizes = gradient.movedim(-1, 0).to(torch.float64, memory_format=torch.contiguous_format)
        violation = _sum(sizes.sum(0).abs_()) / _sum(sizes.abs_().sum(0))
        return *(_sum(is_so & counted) / samples for is_so in (collapsed, no_loss, no_gradient)), violation


def _sum(values: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return the sum over each batch of (n, ...) values, as (n,)."""
    return values.view(len(values), -1).sum(1, dtype=dtype)
