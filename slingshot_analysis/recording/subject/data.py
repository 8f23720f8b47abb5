"""The training and validation sets in a form that can be read repeatedly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.subject.adapted import Fields, Inputs

BATCH_SAMPLES = 500
"""Number of samples in a batch of a set that is given as a pair of tensors."""

TARGETS = ("labels", "label", "targets", "target", "y")
"""Names of the targets in a batch that is a mapping."""

Batches = Iterable[tuple[Inputs, Tensor]]
Data = tuple[Tensor, Tensor] | Iterable[Any]


def whole_set(data: Data | None, device: torch.device, shift_labels: bool = False) -> Batches | None:
    """Return a set in batches of inputs and targets. A pair of tensors is moved to the device and split.

    Parameters
    ----------
    data : pair of tensors, or iterable of batches, or None
        Each batch is a pair (inputs, targets) or a mapping that holds the targets as "labels". Inputs are a tensor, or
        a mapping or sequence of tensors, which the model takes as arguments.
    device : torch.device
        Where a pair of tensors is kept.
    shift_labels : bool, optional
        Whether to leave out the first target of each sequence.

    Raises
    ------
    InputError
        If inputs and targets differ in number, there are none, they can be read only once, or a batch can't be
        understood.
    """
    if data is None:
        return None
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], Tensor) and isinstance(data[1], Tensor):
        inputs, targets = (part.to(device) for part in data)
        if len(inputs) != len(targets) or not len(inputs):
            raise InputError(
                f"train_data= or val_data= has {len(inputs)} inputs and {len(targets)} targets: give as many of each"
            )
        targets = targets[..., 1:] if shift_labels else targets
        return list(zip(torch.split(inputs, BATCH_SAMPLES), torch.split(targets, BATCH_SAMPLES), strict=True))
    if isinstance(data, Iterator):
        raise InputError(
            "train_data= and val_data= are read many times: give a pair of tensors or a DataLoader, not an iterator"
        )
    generator = getattr(data, "generator", None)
    if isinstance(generator, torch.Generator):
        data = _Undisturbed(data, generator)
    first = next(iter(data), None)
    if first is None:
        raise InputError("train_data= or val_data= holds no batch: give at least one, or leave it out")
    inputs, targets = understood(first)
    if isinstance(inputs, Tensor) and not shift_labels and not isinstance(first, Mapping):
        plain: Iterable[Any] = data
        return plain
    batches = _Understood(data, shift_labels)
    return list(batches) if isinstance(data, list | tuple) else batches


def understood(batch: Any) -> tuple[Inputs, Tensor]:
    """Return inputs and targets of a batch.

    Raises
    ------
    InputError
        If it is neither a pair nor a mapping with targets, or holds no tensor.
    """
    if isinstance(batch, Mapping):
        name = next((name for name in TARGETS if isinstance(batch.get(name), Tensor)), None)
        if name is None:
            raise InputError(
                f"train_data= and val_data= yield mappings of {', '.join(map(str, batch))}, without targets: name them "
                f"{TARGETS[0]!r}, or yield pairs (inputs, targets)"
            )
        inputs: Any = {key: part for key, part in batch.items() if key != name}
        targets = batch[name]
    elif isinstance(batch, tuple | list) and len(batch) == 2:
        inputs, targets = batch
    else:
        inputs = targets = None
    inputs = as_inputs(inputs)
    if not (isinstance(inputs, Tensor | Fields) and isinstance(targets, Tensor)):
        raise InputError(
            f"train_data= and val_data= must yield pairs (inputs, targets) of tensors, not {type(batch).__name__}: "
            "wrap them in a class whose __iter__ yields such pairs, or mappings with 'labels'"
        )
    return inputs, targets


def as_inputs(given: Any) -> Any:
    """Return a mapping or sequence that holds a tensor as `Fields`, and anything else unchanged."""
    if not isinstance(given, Mapping | tuple | list):
        return given
    parts = dict(given) if isinstance(given, Mapping) else dict(enumerate(given))
    return Fields(parts) if any(isinstance(part, Tensor) for part in parts.values()) else given


class _Understood:
    """Batches of a loader as inputs and targets."""

    def __init__(self, batches: Iterable[Any], shift_labels: bool) -> None:
        self._batches, self._shift_labels = batches, shift_labels

    def __iter__(self) -> Iterator[tuple[Inputs, Tensor]]:
        for batch in self._batches:
            inputs, targets = understood(batch)
            yield inputs, targets[..., 1:] if self._shift_labels else targets


class _Undisturbed:
    """Batches of a loader with a random generator, whose state is restored, as training may draw from it too."""

    def __init__(self, batches: Iterable[Any], generator: torch.Generator) -> None:
        self._batches, self._generator = batches, generator

    def __iter__(self) -> Iterator[Any]:
        state = self._generator.get_state()
        try:
            yield from self._batches
        finally:
            self._generator.set_state(state)
