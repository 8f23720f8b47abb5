"""The parameters, gradients and optimizer states of runs of the same network, each as one tensor for all runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property, partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from slingshot_analysis.recording.torch_internals import fused_adam
from trainers.loss_scaling import LossScaler
from trainers.optimizers import warm_up
from trainers.run import Run

ALIGNED = 16
"""Each parameter starts at a multiple of this number of elements, 64 bytes of float32, as tensors of PyTorch do."""


class Layout:
    """Where each parameter of R runs of the same network stands in one vector of all of them.

    The values that the runs have of one parameter stand side by side, because some products of stacked matrices copy
    those that do not.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        The parameters of one run by name.
    runs : int
        R.
    """

    def __init__(self, parameters: Mapping[str, Tensor], runs: int) -> None:
        self._shapes = {name: parameter.shape for name, parameter in parameters.items()}
        self._sizes = [runs * parameter.numel() for parameter in parameters.values()]
        # the last parameter is not filled up: an optimizer rounds the elements that fill no whole vector differently
        self._places = [*(-(-size // ALIGNED) * ALIGNED for size in self._sizes[:-1]), self._sizes[-1]]
        self.size = sum(self._places)
        """Number of elements of the vector. Those between two parameters are 0."""

    def views(self, vector: Tensor) -> dict[str, Tensor]:
        """Return the parameters of all runs by name, (R, ...) each, as views of the vector.

        The layout of one run also takes the vectors of several, (R, size).
        """
        parts = zip(self._shapes.items(), self._sizes, vector.split(self._places, -1), strict=True)
        return {name: part[..., :size].view(-1, *shape) for (name, shape), size, part in parts}


class Stack:
    """Runs of the same network, or one run. All their parameters are one vector, or one for each run.

    The parameters of each run's model, their gradients and the states of its optimizer become views of such vectors, so
    models and optimizers of the runs stay valid and show the current state. An optimizer updates one tensor instead of
    many, which costs a small network a third of the time. Parameters must only be updated through the stack.

    Parameters
    ----------
    runs : sequence of R Run
        Runs of the same network, each between two updates. Adjacent runs of the same optimizer and step share one
        update. All parameters must be trainable and have one dtype.
    steps : sequence of R int, updates
        Number of updates that each run has made.
    apart : bool
        Whether each run has a vector of its own with the layout of a single run, and an update of its own. Then the
        optimizer rounds as it does for a single run.
    """

    @torch.no_grad()
    def __init__(self, runs: Sequence[Run], steps: Sequence[int], apart: bool = False) -> None:
        self._runs, self._apart = runs, apart
        self._longest_warmup = max(run.setup.optimizer.warmup for run in runs)
        own = [dict(run.model.named_parameters()) for run in runs]
        self._layout = Layout(own[0], 1 if apart else len(runs))
        vectors, size = len(runs) if apart else 1, self._layout.size
        # each vector starts at a multiple of 64 bytes too
        memory = next(iter(own[0].values())).new_zeros(vectors, -(-size // ALIGNED) * ALIGNED)
        self._vector, self._gradient = (
            part[:, :size] if apart else part[0, :size] for part in (memory, torch.zeros_like(memory))
        )
        self.parameters = self._layout.views(self._vector)
        """Each parameter of all runs by name, (R, ...)."""
        for name, joined in self.parameters.items():
            torch.stack([one[name] for one in own], out=joined)
        self.gradients = self._layout.views(self._gradient)
        """Their gradients."""
        self.buffers = _stack_buffers([run.model for run in runs])
        """Each buffer of all runs by name, (R, ...)."""
        for row, parameters in enumerate(own):
            for name, parameter in parameters.items():
                parameter.grad = None
                parameter.data = self.parameters[name][row]
                parameter.grad = self.gradients[name][row]
        self._merge_optimizers(steps)

    def _merge_optimizers(self, steps: Sequence[int]) -> None:
        """Make one optimizer of each kind, with a parameter group for adjacent runs of the same settings and step."""
        kinds: dict[type, list[_Group]] = {}
        alike = [(run.setup.optimizer, step) for run, step in zip(self._runs, steps, strict=True)]
        keys: Sequence[Hashable] = range(len(alike)) if self._apart else alike
        for _, members in groupby(range(len(keys)), key=keys.__getitem__):
            of_group = list(members)
            group = self._group(slice(of_group[0], of_group[-1] + 1))
            kinds.setdefault(type(group.runs[0].optimizer), []).append(group)
        # optimizers of all groups of a kind, which take over the states of the runs' own optimizers
        self._groups = [group for groups in kinds.values() for group in groups]
        self._optimizers: list[tuple[torch.optim.Optimizer, list[_Group]]] = []
        for groups in kinds.values():
            settings = [g.runs[0].optimizer.param_groups[0] | {"params": [p.values for p in g.parts]} for g in groups]
            optimizer = groups[0].runs[0].setup.optimizer.build(settings)
            for group, options in zip(groups, optimizer.param_groups, strict=True):
                group.attach(optimizer, options)
            self._optimizers.append((optimizer, groups))

    def _group(self, rows: slice) -> _Group:
        """Return the group of some adjacent runs: a whole vector, or a part of it for each parameter."""
        runs = self._runs[rows]
        if self._apart:
            return _Group([_Part(self._vector[rows.start], self._gradient[rows.start], self._layout.views)], runs)
        if len(runs) == len(self._runs):
            return _Group([_Part(self._vector, self._gradient, self._layout.views)], runs)
        parts = [
            _Part(values[rows], self.gradients[name][rows], partial(_named, name))
            for name, values in self.parameters.items()
        ]
        return _Group(parts, runs)

    def clear_gradients(self) -> None:
        """Set all gradients to 0."""
        self._gradient.zero_()

    def unscale(self, scaler: LossScaler) -> bool:
        """Undo the loss scaling of the gradients of a single run; return whether the update may be made."""
        ((optimizer, _),) = self._optimizers
        return scaler.unscale(optimizer)

    def share(self) -> None:
        """Update the state that the runs' own optimizers show."""
        for group in self._groups:
            group.share()

    def warm_up(self, steps: Sequence[int]) -> None:
        """Set the learning rates for the updates from the states `steps`, one of each run."""
        if min(steps) < self._longest_warmup:
            for run, step in zip(self._runs, steps, strict=True):
                warm_up(run.optimizer, run.setup.optimizer.lr, step, run.setup.optimizer.warmup)
            for group in self._groups:
                group.options["lr"] = group.runs[0].optimizer.param_groups[0]["lr"]

    def update(self) -> None:
        """Update all runs from their current gradients."""
        kernel = fused_adam()
        for optimizer, groups in self._optimizers:
            if kernel and type(optimizer) is torch.optim.Adam and all(group.parts[0].state for group in groups):
                _update_by_adam(groups, kernel)
            else:
                optimizer.step()


class _Part:
    """What an optimizer updates as one parameter: values of one or of all parameters of adjacent runs.

    Parameters
    ----------
    values, gradient : Tensor
        The values and their gradient.
    views : callable
        Returns the parameters of the n runs by name, (n, ...) each, as views of a tensor of the shape of `values`.
    """

    def __init__(self, values: Tensor, gradient: Tensor, views: Callable[[Tensor], dict[str, Tensor]]) -> None:
        self.values = nn.Parameter(values)
        self.values.grad = gradient
        self.views = views
        self.state: dict[str, Any] = {}
        """The optimizer's state of the values."""

    def attach(self, optimizer: torch.optim.Optimizer, own: Sequence[tuple[Run, Mapping[str, nn.Parameter]]]) -> None:
        """Join the states of the runs' optimizers in the state of the group's optimizer."""
        self.state = optimizer.state[self.values]
        names = list(self.views(self.values))
        run, parameters = own[0]
        for key, first in run.optimizer.state.get(parameters[names[0]], {}).items():
            if not _is_of_weights(first, parameters[names[0]]):
                self.state[key] = first.clone() if isinstance(first, Tensor) else first
                continue
            self.state[key] = torch.zeros_like(self.values.data)
            for name, joined in self.views(self.state[key]).items():
                torch.stack([run.optimizer.state[parameters[name]][key] for run, parameters in own], out=joined)

    def share(self, own: Sequence[tuple[Run, Mapping[str, nn.Parameter]]], only_numbers: bool) -> None:
        """Put views of the state into the runs' own optimizers, or only what is no tensor."""
        for key, value in self.state.items():
            if only_numbers and isinstance(value, Tensor):
                continue
            joined = self.views(value) if _is_of_weights(value, self.values) else None
            for name in self.views(self.values):
                for row, (run, parameters) in enumerate(own):
                    shown = run.optimizer.state[parameters[name]]
                    if joined is None:
                        shown[key] = value
                    elif isinstance(shown.get(key), Tensor):
                        shown[key].data = joined[name][row]  # keeps the tensor object, which a recorder may hold
                    else:
                        shown[key] = joined[name][row]


def _named(name: str, values: Tensor) -> dict[str, Tensor]:
    return {name: values}


def _is_of_weights(value: Any, weights: Tensor) -> bool:
    """Return whether a value of an optimizer's state has an element for each weight."""
    return isinstance(value, Tensor) and value.shape == weights.shape


class _Group:
    """Adjacent runs of the same optimizer and step, which are updated as if they were one run.

    Parameters
    ----------
    parts : sequence of _Part
        What the optimizer updates.
    runs : sequence of n Run
        The runs.
    """

    def __init__(self, parts: Sequence[_Part], runs: Sequence[Run]) -> None:
        self.parts, self.runs = parts, runs
        self.one = torch.ones((), device=parts[0].values.device)
        """What is added to Adam's step; adding a tensor takes a third of the time of adding a number."""
        self._own = [(run, dict(run.model.named_parameters())) for run in runs]
        self._is_shared = False

    def attach(self, optimizer: torch.optim.Optimizer, options: dict[str, Any]) -> None:
        """Join the states of the runs' optimizers in the state of the group's optimizer."""
        self.options = options
        for part in self.parts:
            part.attach(optimizer, self._own)
        self.share()

    def share(self) -> None:
        """Put views of the state into the runs' own optimizers. For tensors, once is enough."""
        state = self.parts[0].state
        if not state or (self._is_shared and all(isinstance(value, Tensor) for value in state.values())):
            return
        for part in self.parts:
            part.share(self._own, only_numbers=self._is_shared)
        self._is_shared = True

    @cached_property
    def of_adam(self) -> tuple[list[Tensor], ...]:
        """Arguments of Adam's kernel: parameters, gradients, moments and steps, with one step for all parameters."""
        step = self.parts[0].state["step"]
        for part in self.parts:
            part.state["step"] = step
        self._is_shared = False
        self.share()
        gradients = [part.values.grad for part in self.parts if part.values.grad is not None]
        first, second = ([part.state[name] for part in self.parts] for name in ("exp_avg", "exp_avg_sq"))
        return [part.values for part in self.parts], gradients, first, second, [], [step] * len(self.parts)


def _update_by_adam(groups: Sequence[_Group], kernel: Callable[..., None]) -> None:
    """Update as ``torch.optim.Adam(fused=True).step()`` does, without its bookkeeping, which takes as long again."""
    for group in groups:
        options = group.options
        group.of_adam[-1][0].add_(group.one)
        kernel(
            *group.of_adam,
            lr=options["lr"],
            beta1=options["betas"][0],
            beta2=options["betas"][1],
            weight_decay=options["weight_decay"],
            eps=options["eps"],
            amsgrad=False,
            maximize=False,
        )


def _stack_buffers(models: Sequence[nn.Module]) -> dict[str, Tensor]:
    own = [dict(model.named_buffers()) for model in models]
    stacked = {name: torch.stack([buffers[name] for buffers in own]) for name in own[0]}
    for row, buffers in enumerate(own):
        for name, buffer in buffers.items():
            buffer.data = stacked[name][row]
    return stacked
