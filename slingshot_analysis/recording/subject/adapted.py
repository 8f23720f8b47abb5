"""Models whose inputs or outputs are not single tensors, in the form that probes use: inputs in, logits out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError

Output = Callable[[Any], Tensor] | str | int
"""How to find the logits in what a model returns: a function of it, or a name or place in it."""

LOGITS = ("logits", "output", "out", "preds", "predictions")
"""Names under which the logits are looked for in a mapping or an object."""


@dataclass(frozen=True)
class Fields:
    """Several tensors that a model takes together, such as token ids and an attention mask.

    Parameters
    ----------
    parts : mapping of str or int to object
        Values by the name of the argument, or by its place. The first axis of tensors is that of samples.

    Examples
    --------
    >>> fields = Fields({"input_ids": torch.arange(6).view(3, 2), "use_cache": False})
    >>> len(fields), fields[:2].parts["input_ids"].tolist()
    (3, [[0, 1], [2, 3]])
    """

    parts: Mapping[str | int, Any]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(next(part for part in self.parts.values() if isinstance(part, Tensor)))

    def __getitem__(self, rows: slice | Tensor) -> Fields:
        """Return some of the samples."""
        return self.map(lambda tensor: tensor[rows.to(tensor.device) if isinstance(rows, Tensor) else rows])

    def to(self, device: torch.device) -> Fields:
        """Return the fields with their tensors on a device."""
        return self.map(lambda tensor: tensor.to(device))

    def map(self, function: Callable[[Tensor], Tensor]) -> Fields:
        """Return the fields with each tensor replaced."""
        return Fields({n: function(part) if isinstance(part, Tensor) else part for n, part in self.parts.items()})

    @property
    def shape(self) -> tuple[object, ...]:
        """Shapes of the tensors; its first item is the number of samples, the second all other axes."""
        return len(self), tuple(part.shape[1:] for part in self.parts.values() if isinstance(part, Tensor))


Inputs = Tensor | Fields


def map_inputs(inputs: Inputs, function: Callable[[Tensor], Tensor]) -> Inputs:
    """Return inputs with each of their tensors replaced."""
    return inputs.map(function) if isinstance(inputs, Fields) else function(inputs)


def join_inputs(parts: Sequence[Inputs]) -> Inputs:
    """Return the samples of all parts, which are alike."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    fields = [part.parts for part in parts if isinstance(part, Fields)]
    return Fields(
        {n: torch.cat([p[n] for p in fields]) if isinstance(part, Tensor) else part for n, part in first.parts.items()}
    )


def find_logits(outputs: Any, output: Output | None = None) -> Tensor:
    """Return the logits in what a model returned.

    Parameters
    ----------
    outputs : object
        A tensor, a tuple, a mapping, or an object with an attribute such as ``logits``.
    output : callable, str or int, optional
        How to find them, where they are not the tensor itself, the first item of a tuple, or named as usual.

    Raises
    ------
    InputError
        If there are none.

    Examples
    --------
    >>> find_logits({"loss": torch.tensor(0.5), "logits": torch.tensor([1.0])})
    tensor([1.])
    """
    if callable(output):
        found = output(outputs)
    elif isinstance(output, int):
        found = outputs[output]
    else:
        found = _named(outputs, (output,) if output else LOGITS)
        if found is None and output is None:
            found = outputs[0] if isinstance(outputs, tuple | list) and outputs else outputs
    if not isinstance(found, Tensor):
        raise InputError(
            f"the model returns {type(outputs).__name__}, in which no logits are found: say where they are with "
            "output=, a name, a place, or a function of what the model returns"
        )
    return found


def _named(outputs: Any, names: Sequence[str]) -> Any:
    for name in names:
        if isinstance(outputs, Mapping) and name in outputs:
            return outputs[name]
        if not isinstance(outputs, Tensor | Mapping | list) and hasattr(outputs, name):
            return getattr(outputs, name)
    return None


def as_module(model: nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module]) -> nn.Module:
    """Return the model behind a wrapper of parallel training, or its parts as one."""
    while isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
        model = model.module
    if isinstance(model, nn.Module):
        return model
    return nn.ModuleDict(dict(model)) if isinstance(model, Mapping) else nn.ModuleList(model)


class Adapted(nn.Module):
    """A model that maps `Inputs` to logits. It shares all parameters, buffers and modules with the model itself.

    Parameters
    ----------
    model : nn.Module
        The model. Names of its parameters and modules stay the same.
    output : callable, str or int, optional
        How to find the logits in what it returns.
    shift_labels : bool, optional
        Whether the logits at a position belong to the target at the next one; then the last ones are left out.
    """

    inner: Any
    """The model itself."""
    _output: Output | None
    _shift_labels: bool

    def __init__(self, model: nn.Module, output: Output | None = None, shift_labels: bool = False) -> None:
        super().__init__()
        self.__dict__ |= {"inner": model, "_output": output, "_shift_labels": shift_labels}
        self.__dict__ |= {kind: getattr(model, kind) for kind in ("_parameters", "_buffers", "_modules")}
        self.__dict__["training"] = model.training

    def train(self, mode: bool = True) -> Adapted:
        """Set the mode of the model."""
        self.inner.train(mode)
        super().train(mode)
        return self

    def forward(self, inputs: Any) -> Tensor:
        """Return the logits for `Inputs`."""
        if isinstance(inputs, Fields):
            named = {name: part for name, part in inputs.parts.items() if isinstance(name, str)}
            outputs = self.inner(*(part for n, part in inputs.parts.items() if isinstance(n, int)), **named)
        else:
            outputs = self.inner(inputs)
        logits = find_logits(outputs, self._output)
        return logits[..., :-1, :] if self._shift_labels else logits
