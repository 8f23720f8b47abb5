"""The training loop that a recorder follows: its steps, its backward passes, and the batches of the next step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording._calls import UpdateCalls
from slingshot_analysis.recording._gradient_check import AS_THE_OPTIMIZER, GradientCheck
from slingshot_analysis.recording._microbatches import MicroBatch, PendingBatches
from slingshot_analysis.recording._steps import BackwardPasses, Steps
from slingshot_analysis.recording._unclipped import UnclippedNorm
from slingshot_analysis.recording.subject import Subject
from slingshot_analysis.recording.subject.losses import loss_weight

MOST_MICRO_BATCHES = 10_000
"""Maximum number of micro-batches of a step."""


class FollowedLoop:
    """Follows a training loop by the hooks of its optimizers and of a parameter.

    Parameters
    ----------
    path : Path
        The trace, which messages name.
    subject : Subject
        The run.
    optimizers : sequence of Optimizer
        The optimizers whose steps count.
    checks : bool
        Whether gradients and calls are compared with the steps.
    unclipped : UnclippedNorm or None
        Measures the norm of the gradient at the end of backward passes.
    """

    def __init__(
        self,
        path: Path,
        subject: Subject,
        optimizers: Sequence[torch.optim.Optimizer],
        checks: bool,
        unclipped: UnclippedNorm | None = None,
    ) -> None:
        self._path, self._subject = path, subject
        self._steps, self._gradients = Steps(optimizers), GradientCheck(subject.parameters, unclipped is not None)
        self._calls = UpdateCalls(path, self._steps, self._gradients, checks)
        self._pending = PendingBatches()
        self._unclipped, self._checks_unclipped = unclipped, checks
        self._backward = self._follow_backward() if len(optimizers) > 1 or unclipped is not None else None
        self._is_attached = False

    def attach(self, record: Callable[[MicroBatch], None]) -> None:
        """Call `record` with the batch of each step from now on, when the optimizer is about to make it."""
        if self._steps.is_closed or self._calls.made:
            raise InputError(f"{self._path}: attach() comes before the first update, and not with update()")
        weight_of = partial(loss_weight, self._subject.loss_function)
        self._steps.before = lambda: record(self._pending.take(weight_of))
        self._steps.skipped = self._pending.clear
        self._backward = self._backward or self._follow_backward()
        self._gradients.found = AS_THE_OPTIMIZER
        self._is_attached = True

    def _follow_backward(self) -> BackwardPasses:
        subject = self._subject
        return BackwardPasses(subject.parameters[subject.last_layer_parameters[0]], self._begin_backward)

    def _begin_backward(self, is_new: bool) -> None:
        if is_new:
            self._steps.end()
        self._pending.backward(is_new)
        if self._unclipped is not None:
            self._unclipped.begin()

    def unclipped_norm(self) -> Tensor | None:
        """Return the norm of the gradient at the end of the last backward pass, once, if it was measured."""
        norm = None if self._unclipped is None else self._unclipped.take()
        if norm is not None and self._checks_unclipped:
            self._gradients.compare_unclipped(norm)
            self._checks_unclipped = False
        return norm

    def add(self, batch: MicroBatch) -> None:
        """Keep a batch for the next step."""
        if self._backward is None or not self._is_attached:
            raise InputError(f"{self._path}: batch() needs attach() before it; or call update() before each step")
        self._pending.add(batch, self._backward.made)
        if len(self._pending) > MOST_MICRO_BATCHES:
            raise InputError(
                f"{self._path}: {len(self._pending):,} batches without a step of the optimizer; if it is another "
                "object by now, make a new recorder with resume="
            )

    def take_call(self) -> bool:
        """Take a call of ``update()``; return whether the step of the one before it was not made."""
        return self._calls.take()

    def take_back(self) -> bool:
        """Take back the last call of ``update()``, if its step is known not to have been made; return whether it is."""
        return self._calls.take_back()

    @property
    def gradients(self) -> str:
        """How the recorded gradients and those that the optimizer gets compare; empty while that is not known."""
        return self._gradients.found

    def close(self) -> None:
        """Follow the loop no further."""
        self._steps.close()
        if self._backward is not None:
            self._backward.close()
