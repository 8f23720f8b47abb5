"""The samples over which the loss is averaged: the whole set, or a fixed part of it."""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.subject import Batches
from slingshot_analysis.recording.subject.model import random_states_kept

__all__ = ["LARGEST_SET", "fixed_samples"]

LARGEST_SET = 2048
"""Samples. Of larger sets a fixed random part of this size stands for the whole."""

CHUNK = 1024
"""Samples that go through the model together."""


def fixed_samples(batches: Batches, largest: int = LARGEST_SET, chunk: int = CHUNK) -> list[tuple[Tensor, Tensor]]:
    """Return all samples, or always the same `largest` ones of a larger set, in chunks.

    Parameters
    ----------
    batches : iterable of (inputs, targets)
        The whole set; it is run through twice, and only what is returned is kept.
    largest : int, optional, samples
        Of a larger set this many are drawn, all with the same probability and from a seed of their own.
    chunk : int, optional, samples
        Most in a chunk; all samples of a chunk have one shape.

    Returns
    -------
    list of (inputs, targets)
        In the order of the set.

    Raises
    ------
    InputError
        If there is no sample.

    Examples
    --------
    >>> batches = [(torch.arange(i, i + 10.0), torch.arange(i, i + 10)) for i in range(0, 100, 10)]
    >>> fixed_samples(batches, largest=5, chunk=3)
    [(tensor([19., 44., 71.]), tensor([19, 44, 71])), (tensor([90., 93.]), tensor([90, 93]))]
    """
    with random_states_kept(), torch.random.fork_rng(devices=[]):
        sizes = [len(targets) for _, targets in batches]
        if not sum(sizes):
            raise InputError("the training data hold no sample")
        drawn = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(0))[:largest].sort().values
        kept, start = [], 0
        for (inputs, targets), size in zip(batches, sizes, strict=True):
            index = drawn[(drawn >= start) & (drawn < start + size)] - start
            if len(index):
                kept.append((inputs[index.to(inputs.device)], targets[index.to(targets.device)]))
            start += size
    chunks: list[tuple[Tensor, Tensor]] = []
    for _, alike in groupby(kept, key=lambda pair: (pair[0].shape[1:], pair[1].shape[1:])):
        inputs, targets = (torch.cat(parts) for parts in zip(*alike, strict=True))
        chunks += zip(torch.split(inputs, chunk), torch.split(targets, chunk), strict=True)
    return chunks
