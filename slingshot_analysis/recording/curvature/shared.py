"""What the curvature probes of a run share: the mean loss, and the Hessian at the last point with its graph."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.curvature.hessian import HessianOperator
from slingshot_analysis.recording.curvature.mean_loss import MeanLoss
from slingshot_analysis.recording.curvature.samples import LARGEST_SET, fixed_samples
from slingshot_analysis.recording.subject import Subject


class Curvature:
    """Hessians of a run's training loss. The last one is kept, so that probes at the same state share its graph.

    Parameters
    ----------
    subject : Subject
        The run.
    samples : int, optional
        Maximum number of training samples; a larger set is replaced by a fixed random subset of this size.

    Raises
    ------
    InputError
        If the run has no training data.
    """

    def __init__(self, subject: Subject, samples: int = LARGEST_SET) -> None:
        if subject.train_data is None:
            raise InputError("curvature needs train_data=, or leave its probes out of probes=")
        self._subject, self._data = subject, fixed_samples(subject.train_data, samples)
        self.mean_loss = self._mean_loss()
        self._last: HessianOperator | None = None

    def _mean_loss(self, model_dtype: torch.dtype | None = None) -> MeanLoss:
        subject = self._subject
        return MeanLoss(subject.model, subject.loss_function, self._data, list(subject.parameters), model_dtype)

    @cached_property
    def precise_loss(self) -> MeanLoss:
        """The same loss with the model in float64 too; differences of gradients need it."""
        return self._mean_loss(torch.float64)

    def hessian(
        self, parameters: Mapping[str, Tensor] | None = None, buffers: Mapping[str, Tensor] | None = None
    ) -> HessianOperator:
        """Return the Hessian at a point; by default at the model's present parameters and buffers."""
        last = self._last
        if last is None or not last.is_at(parameters, buffers):
            self._last = last = None  # frees its graph before the next one is built
            self._last = last = HessianOperator(self.mean_loss, parameters, buffers)
        return last


class Curvatures:
    """The curvatures of one run for different numbers of samples. Each is made when it is first needed.

    Parameters
    ----------
    subject : Subject
        The run.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._by_samples: dict[int, Curvature] = {}

    def over(self, samples: int) -> Curvature:
        """Return the curvature of the mean loss over at most this many training samples.

        Raises
        ------
        InputError
            If the run has no training data.
        """
        if samples not in self._by_samples:
            self._by_samples[samples] = Curvature(self._subject, samples)
        return self._by_samples[samples]


def second_derivative_flops(subject: Subject) -> float | None:
    """Return the floating-point operations of a product with the Hessian of one sample's loss, gradient included.

    None if the loss can't be differentiated twice. Some kernels, such as those of fused attention and of recurrent
    networks on a GPU, have no second derivative.
    """
    assert subject.train_data is not None
    inputs, targets = next(iter(subject.train_data))
    device = next(iter(subject.parameters.values())).device
    few = [(inputs[:2].to(device), targets[:2].to(device))]
    try:
        loss = MeanLoss(subject.model, subject.loss_function, few, list(subject.parameters))
        with FlopCounterMode(display=False) as counter:
            hessian = HessianOperator(loss)
            hessian(torch.ones(hessian.dimension, dtype=hessian.dtype, device=device))
    except Exception:  # whatever a model or a kernel of others raises, the run is recorded without curvature
        return None
    return float(counter.get_total_flops()) / len(few[0][1])
