"""Copies of the model's state before and after updates, for probes that compare them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from slingshot_analysis.recording.subject.subject import Subject
from slingshot_analysis.recording.torch_internals import foreach

KEPT_BYTES = 4 * 2**20
"""Bytes. Pairs of states that fit into this are compared together, which costs hardly more than comparing one pair."""

MOST_PAIRS = 64
"""Maximum number of pairs: comparisons are computed for all of them, even if only a few are kept."""


class StatePairs:
    """The states w_t and w_{t+1} of one update or, for small models, of several updates.

    Its tensors always have `capacity` rows, of which the first ``len(pairs)`` are valid. So what is computed for a pair
    does not depend, even in the last bit, on the number of other pairs.

    Parameters
    ----------
    subject : Subject
        The run. All trainable parameters and buffers of its model are copied on their device.
    capacity : int, optional
        Number of pairs to keep; by default as many as fit into `KEPT_BYTES`, but at most `MOST_PAIRS`.
    """

    def __init__(self, subject: Subject, capacity: int | None = None) -> None:
        self._model, live = subject.model, dict(subject.model.named_buffers())
        fitting = KEPT_BYTES // (2 * sum(tensor.nbytes for tensor in [*subject.parameters.values(), *live.values()]))
        self.capacity = capacity or max(1, min(fitting, MOST_PAIRS))
        self._trainable, parameters = _make_space(subject.parameters, self.capacity)
        _, buffers = _make_space(live, self.capacity)
        self._tensors = parameters | buffers
        self._parameters = [subject.parameters[name] for name in parameters]
        self._buffers = list(buffers)
        columns = [tensor.unbind(0) for tensor in self._tensors.values()]
        self._slots = [
            [list(states) for states in zip(*(pair.unbind(0) for pair in row), strict=True)]
            for row in zip(*columns, strict=True)
        ]
        self._rows = 0

    def keep_before(self) -> None:
        """Copy the state before an update."""
        buffers = [self._model.get_buffer(name) for name in self._buffers]
        foreach("copy_", self._slots[self._rows][0], [*self._parameters, *buffers])

    def keep_after(self) -> None:
        """Copy the parameters after that update; buffers, which it does not change, are those before it."""
        before, after = self._slots[self._rows]
        foreach("copy_", after, [*self._parameters, *before[len(self._parameters) :]])
        self._rows += 1

    def clear(self) -> None:
        """Make room for `capacity` pairs."""
        self._rows = 0

    def __len__(self) -> int:
        """Return the number of complete pairs."""
        return self._rows

    @property
    def trainable(self) -> list[Tensor]:
        """All trainable parameters as one (capacity, 2, parameters) tensor for each dtype; [:, 0] is w_t."""
        return self._trainable

    @property
    def states(self) -> dict[str, Tensor]:
        """Each trainable parameter and buffer by name, (2 · capacity, ...): w_t and w_{t+1} of a pair in turn."""
        return {name: tensor.flatten(0, 1) for name, tensor in self._tensors.items()}


def _make_space(tensors: dict[str, Tensor], pairs: int) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Return one (pairs, 2, elements) tensor for each dtype, and by name a view of it in the shape of each tensor."""
    flats: list[Tensor] = []
    views: dict[str, Tensor] = {}
    for dtype in _unique(tensor.dtype for tensor in tensors.values()):
        alike = {name: tensor for name, tensor in tensors.items() if tensor.dtype == dtype}
        sizes = [tensor.numel() for tensor in alike.values()]
        flat = torch.zeros((pairs, 2, sum(sizes)), dtype=dtype, device=next(iter(alike.values())).device)
        flats.append(flat)
        parts = zip(alike.items(), torch.split(flat, sizes, dim=2), strict=True)
        views |= {name: part.view(pairs, 2, *tensor.shape) for (name, tensor), part in parts}
    return flats, views


def _unique(dtypes: Iterable[torch.dtype]) -> list[torch.dtype]:
    return list(dict.fromkeys(dtypes))
