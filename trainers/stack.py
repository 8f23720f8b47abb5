"""The parameters, gradients and optimizer states of runs of the same network, each as one tensor for all runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, groupby, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from slingshot_analysis.recording.torch_internals import fused_adam
from trainers.optimizers import warm_up
from trainers.run import Run


class Layout:
    """Where each parameter of a network stands in one row of all its parameters.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        The parameters by name.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._shapes = {name: parameter.shape for name, parameter in parameters.items()}
        ends = list(accumulate((parameter.numel() for parameter in parameters.values()), initial=0))
        self._parts = [slice(start, end) for start, end in pairwise(ends)]
        self.size = ends[-1]
        """Number of elements of a row."""

    def views(self, rows: Tensor) -> dict[str, Tensor]:
        """Return the parameters by name, (R, ...) each, as views of (R, size) rows."""
        parts = zip(self._shapes.items(), self._parts, strict=True)
        return {name: rows[:, part].view(len(rows), *shape) for (name, shape), part in parts}


class Stack:
    """Runs of the same network, or one run. All their parameters are one tensor, with one row for each run.

    The parameters of each run's model, their gradients and the states of its optimizer become views of that row, so
    models and optimizers of the runs stay valid and show the current state. An optimizer updates one tensor instead of
    many, which costs a small network a third of the time. Parameters must only be updated through the stack.

    Parameters
    ----------
    runs : sequence of R Run
        Runs of the same network, each between two updates. Adjacent runs of the same optimizer and step share one
        update. All parameters must be trainable and have one dtype.
    steps : sequence of R int, updates
        Number of updates that each run has made.
    """

    @torch.no_grad()
    def __init__(self, runs: Sequence[Run], steps: Sequence[int]) -> None:
        self._runs = runs
        self._longest_warmup = max(run.setup.optimizer.warmup for run in runs)
        own = [dict(run.model.named_parameters()) for run in runs]
        self._layout = Layout(own[0])
        self._rows = torch.stack([torch.cat([p.flatten() for p in parameters.values()]) for parameters in own])
        self._row_gradients = torch.zeros_like(self._rows)
        self.parameters = self._layout.views(self._rows)
        """Each parameter of all runs by name, (R, ...)."""
        self.gradients = self._layout.views(self._row_gradients)
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
        keys = [(run.setup.optimizer, step) for run, step in zip(self._runs, steps, strict=True)]
        for _, members in groupby(range(len(keys)), key=keys.__getitem__):
            of_group = list(members)
            rows = slice(of_group[0], of_group[-1] + 1)
            parameter = nn.Parameter(self._rows[rows])
            parameter.grad = self._row_gradients[rows]
            group = _Group(parameter, self._layout, self._runs[rows])
            kinds.setdefault(type(group.runs[0].optimizer), []).append(group)
        # optimizers of all groups of a kind, which take over the states of the runs' own optimizers
        self._groups = [group for groups in kinds.values() for group in groups]
        self._optimizers: list[tuple[torch.optim.Optimizer, list[_Group]]] = []
        for groups in kinds.values():
            settings = [group.runs[0].optimizer.param_groups[0] | {"params": [group.parameter]} for group in groups]
            optimizer = groups[0].runs[0].setup.optimizer.build(settings)
            for group, options in zip(groups, optimizer.param_groups, strict=True):
                group.attach(optimizer, options)
            self._optimizers.append((optimizer, groups))

    def clear_gradients(self) -> None:
        """Set all gradients to 0."""
        self._row_gradients.zero_()

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
            if kernel and type(optimizer) is torch.optim.Adam and all(group.state for group in groups):
                _update_by_adam(groups, kernel)
            else:
                optimizer.step()


class _Group:
    """Adjacent runs of the same optimizer and step, which are updated as if they were one run.

    Parameters
    ----------
    parameter : (n, size) Parameter
        The rows of the n runs.
    layout : Layout
        Where each parameter stands in a row.
    runs : sequence of n Run
        The runs.
    """

    def __init__(self, parameter: nn.Parameter, layout: Layout, runs: Sequence[Run]) -> None:
        self.parameter, self._layout, self.runs = parameter, layout, runs
        self._own = [list(run.model.parameters()) for run in runs]
        self._is_shared = False

    def attach(self, optimizer: torch.optim.Optimizer, options: dict[str, Any]) -> None:
        """Join the states of the runs' optimizers in the state of the group's optimizer."""
        self.options = options
        self.state: dict[str, Any] = optimizer.state[self.parameter]
        each = [[run.optimizer.state.get(p, {}) for p in own] for run, own in zip(self.runs, self._own, strict=True)]
        for name, first in each[0][0].items():
            if self._is_of_weights(first, self._own[0][0]):
                rows = [torch.cat([state[name].flatten() for state in states]) for states in each]
                self.state[name] = torch.stack(rows)
            else:
                self.state[name] = first.clone() if isinstance(first, Tensor) else first
        self.share()

    @staticmethod
    def _is_of_weights(value: Any, weights: Tensor) -> bool:
        """Return whether a value of an optimizer's state has an element for each weight."""
        return isinstance(value, Tensor) and value.shape == weights.shape

    def share(self) -> None:
        """Put views of the state into the runs' own optimizers. Once is enough if the state consists of tensors."""
        if self._is_shared or not self.state:
            return
        of_weights = {
            name: list(self._layout.views(value).values())
            for name, value in self.state.items()
            if self._is_of_weights(value, self.parameter)
        }
        for row, (run, own) in enumerate(zip(self.runs, self._own, strict=True)):
            for i, parameter in enumerate(own):
                shown = run.optimizer.state[parameter]
                for name, value in self.state.items():
                    view = of_weights[name][i][row] if name in of_weights else value
                    if name in of_weights and isinstance(shown.get(name), Tensor):
                        shown[name].data = view  # keeps the tensor object, which a recorder may hold
                    else:
                        shown[name] = view
        self._is_shared = all(isinstance(value, Tensor) for value in self.state.values())

    @cached_property
    def of_adam(self) -> tuple[list[Tensor], ...]:
        """Arguments of Adam's kernel: parameters, gradients, moments and steps."""
        gradient = self.parameter.grad
        assert gradient is not None
        first, second, step = (self.state[name] for name in ("exp_avg", "exp_avg_sq", "step"))
        return [self.parameter.data], [gradient], [first], [second], [], [step]


def _update_by_adam(groups: Sequence[_Group], kernel: Callable[..., None]) -> None:
    """Update as ``torch.optim.Adam(fused=True).step()`` does, without its bookkeeping, which takes as long again."""
    for group in groups:
        options = group.options
        group.state["step"].add_(1)
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
