"""The stacked parameters, gradients and optimizer states of a batch of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from slingshot_analysis.recording.torch_internals import foreach, fused_adam
from trainers.loop import Run
from trainers.optimizers import warm_up


class Stack:
    """Runs of the same network. Each parameter is one tensor that stacks the values of all runs.

    The parameters of each run's model become views of the stacked ones, so models and optimizers of the runs stay valid
    and show the current state. Parameters must only be updated through the stack.

    Parameters
    ----------
    runs : sequence of R Run
        Runs with the same :func:`~trainers.batch.batch_key`, each between two updates. Adjacent runs of the same
        optimizer and step share one update.
    steps : sequence of R int, updates
        Number of updates that each run has made.
    """

    def __init__(self, runs: Sequence[Run], steps: Sequence[int]) -> None:
        self._runs = runs
        self._longest_warmup = max(run.setup.optimizer.warmup for run in runs)
        own = [dict(run.model.named_parameters()) for run in runs]
        with torch.no_grad():
            self.parameters = {name: torch.stack([parameters[name] for parameters in own]) for name in own[0]}
            """Each parameter of all runs by name, (R, ...)."""
        self.gradients = {name: torch.zeros_like(values) for name, values in self.parameters.items()}
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
        # parameters of a group: slices of the stacked ones
        kinds: dict[type, list[_Group]] = {}
        keys = [(run.setup.optimizer, step) for run, step in zip(self._runs, steps, strict=True)]
        for _, members in groupby(range(len(keys)), key=keys.__getitem__):
            of_group = list(members)
            rows = slice(of_group[0], of_group[-1] + 1)
            parameters = [nn.Parameter(values[rows]) for values in self.parameters.values()]
            for parameter, gradient in zip(parameters, self.gradients.values(), strict=True):
                parameter.grad = gradient[rows]
            group = _Group(parameters, self._runs[rows])
            kinds.setdefault(type(group.runs[0].optimizer), []).append(group)
        # optimizers of all groups of a kind, which take over the states of the runs' own optimizers
        self._groups = [group for groups in kinds.values() for group in groups]
        self._optimizers: list[tuple[torch.optim.Optimizer, list[_Group]]] = []
        for groups in kinds.values():
            settings = [group.runs[0].optimizer.param_groups[0] | {"params": group.parameters} for group in groups]
            optimizer = groups[0].runs[0].setup.optimizer.build(settings)
            for group, options in zip(groups, optimizer.param_groups, strict=True):
                group.attach(optimizer, options)
            self._optimizers.append((optimizer, groups))

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
            if kernel and type(optimizer) is torch.optim.Adam and all(group.states[0] for group in groups):
                _update_by_adam(groups, kernel)
            else:
                optimizer.step()


class _Group:
    """Adjacent runs of the same optimizer and step, whose stacked parameters are updated as if they were one run.

    Parameters
    ----------
    parameters : sequence of Parameter
        Stacked parameters of the n runs, (n, ...).
    runs : sequence of n Run
        The runs.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], runs: Sequence[Run]) -> None:
        self.parameters, self.runs = list(parameters), runs
        self._own = [list(run.model.parameters()) for run in runs]
        self._is_shared = False

    def attach(self, optimizer: torch.optim.Optimizer, options: dict[str, Any]) -> None:
        """Stack the states of the runs' optimizers in the state of the group's optimizer."""
        self.options = options
        self.states: list[dict[str, Any]] = [optimizer.state[parameter] for parameter in self.parameters]
        for i, state in enumerate(self.states):
            each = [run.optimizer.state.get(own[i], {}) for run, own in zip(self.runs, self._own, strict=True)]
            for name, first in each[0].items():
                if not isinstance(first, Tensor):
                    state[name] = first
                elif first.shape == self._own[0][i].shape:
                    state[name] = torch.stack([one[name] for one in each])
                else:
                    state[name] = first.clone()
        self.share()

    def share(self) -> None:
        """Put views of the state into the runs' own optimizers. Once is enough if the state consists of tensors."""
        if self._is_shared or not self.states[0]:
            return
        for run, own, row in zip(self.runs, self._own, range(len(self.runs)), strict=True):
            for mine, state, parameter in zip(own, self.states, self.parameters, strict=True):
                shown = run.optimizer.state[mine]
                for name, value in state.items():
                    of_run = isinstance(value, Tensor) and value.shape == parameter.shape
                    if of_run and isinstance(shown.get(name), Tensor):
                        shown[name].data = value[row]  # keeps the tensor object, which a recorder may hold
                    else:
                        shown[name] = value[row] if of_run else value
        self._is_shared = all(isinstance(value, Tensor) for state in self.states for value in state.values())

    @cached_property
    def of_adam(self) -> tuple[list[Tensor], ...]:
        """Arguments of Adam's kernel: parameters, gradients, moments and steps, with one step for all parameters."""
        step = self.states[0]["step"]
        for state in self.states:
            state["step"] = step
        self._is_shared = False
        self.share()
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        first, second = ([state[name] for state in self.states] for name in ("exp_avg", "exp_avg_sq"))
        return [*self.parameters], gradients, first, second, [], [step] * len(self.parameters)


def _update_by_adam(groups: Sequence[_Group], kernel: Callable[..., None]) -> None:
    """Update as ``torch.optim.Adam(fused=True).step()`` does, without its bookkeeping, which takes as long again."""
    foreach("add_", [group.of_adam[-1][0] for group in groups], 1)
    for group in groups:
        options = group.options
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
