"""Follow the steps of a run's optimizers by their own hooks."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

Step = Callable[[], None]


def unwrapped(optimizer: Any) -> Any:
    """Return PyTorch's optimizer behind the wrappers of a framework, such as those of Accelerate and Lightning.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> sgd = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> unwrapped(SimpleNamespace(optimizer=sgd)) is sgd
    True
    """
    while isinstance(inner := getattr(optimizer, "optimizer", None), torch.optim.Optimizer) or hasattr(
        inner, "optimizer"
    ):
        optimizer = inner
    return optimizer


class Steps:
    """The steps that optimizers make.

    Optimizers that step after the same backward pass make one step together. It begins when the first of them steps,
    and the next one begins when one of them steps again.

    Parameters
    ----------
    optimizers : sequence of Optimizer
        The optimizers whose steps count.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        self.begun = 0
        """Number of steps that have begun, those that a gradient scaler skips not included."""
        self.before: Step | None = None
        """Called at the beginning of each step, when the gradients are as the optimizer gets them."""
        self.skipped: Step | None = None
        """Called instead of that for a step that the optimizer itself skips, as its scaled gradients are not finite."""
        self.is_closed = False
        """Whether steps are not followed any more."""
        self._members: set[int] = set()
        self._inside: set[int] = set()
        self._hooks = []
        for member, optimizer in enumerate(optimizers):
            self._hooks.append(optimizer.register_step_pre_hook(partial(self._before, member)))
            self._hooks.append(optimizer.register_step_post_hook(partial(self._after, member)))

    def end(self) -> None:
        """End the present step, although some optimizers have made none: a new backward pass begins another one."""
        self._members = set()

    def close(self) -> None:
        """Follow no further steps."""
        self.is_closed = True
        for hook in self._hooks:
            hook.remove()

    def _before(
        self, member: int, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        if member in self._inside:  # a subclass calls the step of its parent
            return None
        self._inside.add(member)
        if self._members and member not in self._members:
            self._members.add(member)
            return None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")  # the optimizer itself is the first one
        if closure is None:
            self._begin(member, optimizer)
            return None
        # the gradients are computed within the step, so the hook goes behind the first call of the closure
        calls = iter([partial(self._begin, member, optimizer)])

        def closure_and_hook() -> Any:
            try:
                with torch.enable_grad():
                    loss = closure()
            except BaseException:
                self._inside.discard(member)
                raise
            for begin in calls:
                begin()
            return loss

        return (optimizer, closure_and_hook, *args[2:]), {
            name: value for name, value in kwargs.items() if name != "closure"
        }

    def _after(self, member: int, *_: Any) -> None:
        self._inside.discard(member)

    def _begin(self, member: int, optimizer: torch.optim.Optimizer) -> None:
        # for an optimizer that scales gradients itself, a scaler leaves its scale and whether to skip the step
        skips = getattr(optimizer, "found_inf", None)
        if skips is not None and bool(skips):
            if self.skipped is not None:
                self.skipped()
            return
        self._members = {member}
        self.begun += 1
        if self.before is not None:
            with _unscaled(optimizer, getattr(optimizer, "grad_scale", None)):
                self.before()


class BackwardPasses:
    """Tells when a backward pass makes new gradients, instead of adding to those that are there.

    Parameters
    ----------
    parameter : Tensor
        A parameter that gets a gradient in every backward pass.
    on_pass : callable
        Called at each pass, before it is counted, with whether it makes new gradients.
    """

    def __init__(self, parameter: Tensor, on_pass: Callable[[bool], None]) -> None:
        self.made = 0
        """Number of backward passes."""
        self._on_pass = on_pass
        self._gradient: weakref.ref[Tensor] | None = None
        self._hook = parameter.register_post_accumulate_grad_hook(self._note)

    def _note(self, parameter: Tensor) -> None:
        gradient = parameter.grad
        is_new = gradient is None or self._gradient is None or self._gradient() is not gradient
        self._on_pass(is_new)
        self._gradient = None if gradient is None else weakref.ref(gradient)
        self.made += 1

    def close(self) -> None:
        """Follow no further backward passes."""
        self._hook.remove()


@contextmanager
def _unscaled(optimizer: torch.optim.Optimizer, scale: Tensor | None) -> Iterator[None]:
    """Let the gradients be unscaled for the moment."""
    if scale is None:
        yield
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    scaled = [p.grad for p in parameters]
    try:
        for parameter, gradient in zip(parameters, scaled, strict=True):
            parameter.grad = gradient / scale
        yield
    finally:
        for parameter, gradient in zip(parameters, scaled, strict=True):
            parameter.grad = gradient
