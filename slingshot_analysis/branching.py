"""Branches of anybody's training loop: a state to which it can return, and arms that change one thing from there on."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError, unknown_name
from slingshot_analysis.files import replaced

FIRST_MOMENTS, SECOND_MOMENTS = ("exp_avg", "momentum_buffer"), ("exp_avg_sq", "square_avg")
RESETS = {"first_moment": FIRST_MOMENTS, "second_moment": SECOND_MOMENTS, "moments": (*FIRST_MOMENTS, *SECOND_MOMENTS)}
"""Names in an optimizer's state of what a reset sets to zero."""


class Snapshot:
    """The state of a training loop, to which it can return any number of times.

    The random states of Python, NumPy and PyTorch, on the CPU and all GPUs, belong to it.

    Parameters
    ----------
    **parts : object
        Everything whose state determines the rest of the run: model, optimizer, gradient scaler, scheduler, a data
        loader or sampler with ``state_dict`` and ``load_state_dict``, or a ``torch.Generator``.

    Raises
    ------
    InputError
        If a part has no state that can be taken.

    Examples
    --------
    >>> model = nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> def update():
    ...     optimizer.zero_grad()
    ...     model(torch.randn(4, 2)).square().mean().backward()
    ...     optimizer.step()
    >>> snapshot = Snapshot(model=model, optimizer=optimizer)
    >>> snapshot.check(update, updates=3)
    >>> with changed(optimizer, lr=0.5):
    ...     update()
    >>> snapshot.restore()
    """

    def __init__(self, **parts: Any) -> None:
        for name, part in parts.items():
            if not isinstance(part, torch.Generator) and not hasattr(part, "load_state_dict"):
                raise InputError(
                    f"{name}= is {type(part).__name__}, which has no load_state_dict; give an object that has it, or a "
                    "torch.Generator"
                )
        self._parts = parts
        self.take()

    def take(self) -> None:
        """Take the state as it is now, between two updates, in place of the one before.

        A callback of a `Recorder` comes in the middle of an update, so let it take a note, and call this at its end.
        """
        self._states = self._now()

    def restore(self) -> None:
        """Bring all parts and the random states back to where they were."""
        states = copy.deepcopy(self._states)
        for name, part in self._parts.items():
            if isinstance(part, torch.Generator):
                part.set_state(states[name])
            else:
                part.load_state_dict(states[name])
        _set_random_states(states["random"])

    def check(self, update: Callable[[], Any], updates: int = 10) -> None:
        """Train from this state twice, check that both times give the same bits, and return to this state.

        Parameters
        ----------
        update : callable
            Makes one update of the loop.
        updates : int, optional
            Number of updates.

        Raises
        ------
        InputError
            If the states differ; the message names the first value that does. Then an arm would differ from the
            control for another reason than its change.
        """
        ends = []
        for _ in range(2):
            self.restore()
            for _ in range(updates):
                update()
            ends.append(self._now())
        self.restore()
        if where := _first_difference(ends[0], ends[1]):
            raise InputError(
                f"after {updates} updates from the same state, {where} differs: something else determines the run. "
                "Give it to Snapshot, such as the loader or its generator, or use deterministic algorithms"
            )

    def save(self, path: str | Path) -> None:
        """Write the state to a file, which :meth:`load` reads."""
        with replaced(Path(path)) as aside:
            torch.save(self._states, aside)

    def load(self, path: str | Path) -> None:
        """Take over the state in a file that was saved for the same parts. No code in the file is executed.

        Raises
        ------
        InputError
            If the file can't be read, or was saved for other parts.
        """
        try:
            states = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise InputError(f"{path}: can't be read as a snapshot ({error})") from error
        if not isinstance(states, dict) or states.keys() != self._states.keys():
            raise InputError(f"{path}: is no snapshot of {', '.join(self._parts)}")
        self._states = states

    def _now(self) -> dict[str, Any]:
        states: dict[str, Any] = {"random": _random_states()}
        for name, part in self._parts.items():
            states[name] = part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
        return copy.deepcopy(states)


@contextmanager
def changed(
    optimizer: torch.optim.Optimizer,
    *,
    reset: str | None = None,
    freeze: nn.Module | None = None,
    clip_gradient: float | None = None,
    **settings: Any,
) -> Iterator[None]:
    """Apply the change of one arm while the block runs.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        The optimizer of the loop.
    reset : {"first_moment", "second_moment", "moments"}, optional
        Which state of the optimizer becomes zero at the beginning. It does not come back by itself; restore a
        `Snapshot` for that.
    freeze : nn.Module, optional
        Its parameters get no gradients, so the optimizer leaves them as they are.
    clip_gradient : float, loss per norm, optional
        Largest norm of the whole gradient, applied when the optimizer steps.
    **settings : object
        Settings of all parameter groups, such as ``eps=1e-6``, ``lr=1e-4`` or ``betas=(0.9, 0.99)``. A scheduler that
        sets the learning rate overrules ``lr``.

    Raises
    ------
    InputError
        If the optimizer has no such setting, or `reset` is another word.
    """
    for name in settings:
        if name == "params" or name not in optimizer.param_groups[0]:
            raise unknown_name(
                "setting of the optimizer", name, [n for n in optimizer.param_groups[0] if n != "params"]
            )
    if reset is not None and reset not in RESETS:
        raise unknown_name("reset", reset, RESETS)
    cleared = () if reset is None else RESETS[reset]
    for values in optimizer.state.values():
        for name in cleared:
            if isinstance(values.get(name), Tensor):
                values[name].zero_()
    before = [{name: group[name] for name in settings} for group in optimizer.param_groups]
    frozen = [p for p in freeze.parameters() if p.requires_grad] if freeze is not None else []
    weights = [p for group in optimizer.param_groups for p in group["params"]]

    def clip(*_: Any) -> None:
        for parameter in frozen:
            parameter.grad = None
        if clip_gradient is not None:
            nn.utils.clip_grad_norm_(weights, clip_gradient)

    handle = optimizer.register_step_pre_hook(clip)
    for group in optimizer.param_groups:
        group.update(settings)
    try:
        yield
    finally:
        handle.remove()
        for group, old in zip(optimizer.param_groups, before, strict=True):
            group.update(old)


def perturb(weight: Tensor, index: int = 0) -> None:
    """Change the last digit of one weight: a null arm, which shows how far runs drift apart by chance.

    Parameters
    ----------
    weight : Tensor
        A weight, changed in place.
    index : int, optional
        Index in the flattened weight. Choose one that is in use: an input of a dead unit changes nothing.
    """
    with torch.no_grad():
        flat = weight.view(-1)
        flat[index] = torch.nextafter(flat[index], torch.full_like(flat[index], torch.inf))


def _random_states() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random_states(states: Mapping[str, Any]) -> None:
    random.setstate(states["python"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    torch.cuda.set_rng_state_all(states["cuda"])


def _first_difference(one: Any, other: Any, path: str = "") -> str:
    """Return the path of the first value that differs between two nested states; empty if there is none."""
    if isinstance(one, Mapping):
        if one.keys() != other.keys():
            return path or "a name"
        found = (_first_difference(one[key], other[key], f"{path}.{key}".lstrip(".")) for key in one)
        return next((where for where in found if where), "")
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return path
        found = (_first_difference(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True)))
        return next((where for where in found if where), "")
    if isinstance(one, Tensor):
        same = one.shape == other.shape and one.dtype == other.dtype
        return "" if same and torch.equal(_bits(one), _bits(other)) else path
    return "" if one == other else path


def _bits(value: Tensor) -> Tensor:
    return value.detach().contiguous().reshape(-1).view(torch.uint8)
