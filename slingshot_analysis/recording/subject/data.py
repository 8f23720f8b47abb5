"""The training and validation sets in a form that can be read repeatedly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError

BATCH_SAMPLES = 500
"""Number of samples in a batch of a set that is given as a pair of tensors."""

Batches = Iterable[tuple[Tensor, Tensor]]
Data = tuple[Tensor, Tensor] | Batches


def whole_set(data: Data | None, device: torch.device) -> Batches | None:
    """Return a set in batches. A pair of tensors is moved to the device and split; anything else is returned as it is.

    Raises
    ------
    InputError
        If inputs and targets differ in number, there are none, they can be read only once, or batches are not pairs of
        tensors.
    """
    if data is None:
        return None
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], Tensor) and isinstance(data[1], Tensor):
        inputs, targets = (part.to(device) for part in data)
        if len(inputs) != len(targets) or not len(inputs):
            raise InputError(
                f"train_data= or val_data= has {len(inputs)} inputs and {len(targets)} targets: give as many of each"
            )
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
    if not (isinstance(first, tuple | list) and len(first) == 2 and all(isinstance(part, Tensor) for part in first)):
        raise InputError(
            f"train_data= and val_data= must yield (inputs, targets) as a pair of tensors, not {type(first).__name__}: "
            "wrap them in a class whose __iter__ yields such pairs"
        )
    return data


class _Undisturbed:
    """Batches of a loader with a random generator, whose state is restored, as training may draw from it too."""

    def __init__(self, batches: Batches, generator: torch.Generator) -> None:
        self._batches, self._generator = batches, generator

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        state = self._generator.get_state()
        try:
            yield from self._batches
        finally:
            self._generator.set_state(state)
