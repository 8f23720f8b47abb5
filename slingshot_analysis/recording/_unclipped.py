"""The norm of the gradient before anything clips it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.torch_internals import after_backward, norm_of_gradients, scale_of


class UnclippedNorm:
    """Measures the norm of all gradients at the end of each backward pass, where it is wanted.

    Parameters
    ----------
    subject : Subject
        The run.
    is_wanted : callable
        Returns whether the next update needs it.
    """

    def __init__(self, subject: Subject, is_wanted: Callable[[], bool]) -> None:
        self._parameters, self._scaler = list(subject.parameters.values()), subject.scaler
        self._is_wanted = is_wanted
        self._value: Tensor | None = None

    def begin(self) -> None:
        """Take a backward pass, which is going on."""
        if self._is_wanted():
            after_backward(self._measure)

    @torch.no_grad()
    def _measure(self) -> None:
        self._value = norm_of_gradients(self._parameters)
        if self._scaler is not None:
            self._value /= scale_of(self._scaler, self._value.device)

    def take(self) -> Tensor | None:
        """Return the norm at the end of the last backward pass since the last call."""
        value, self._value = self._value, None
        return value
