"""The samples over which the loss is averaged: the whole set, or a fixed random subset."""

from __future__ import annotations

from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.subject import Batches
from slingshot_analysis.recording.subject.adapted import Inputs, join_inputs, map_inputs
from slingshot_analysis.recording.subject.model import random_states_kept

LARGEST_SET = 5000
"""Maximum number of samples; a larger set is replaced by a fixed random subset of this size. All 4,656 equations of an
operation count: 2,048 of them gave eigenvalues up to 15% off, and a sharpness up to 24% (docs/curvature.md)."""

CHUNK = 1024
"""Maximum number of samples in one forward pass."""


def fixed_samples(batches: Batches, largest: int = LARGEST_SET) -> list[tuple[Inputs, Tensor]]:
    """Return all samples, or the same random `largest` ones of a larger set each time, in chunks.

    Parameters
    ----------
    batches : iterable of (inputs, targets)
        The whole set, which is run through twice.
    largest : int, optional, samples
        Maximum number of samples. All subsets of a larger set have the same probability; the seed is fixed.

    Returns
    -------
    list of (inputs, targets)
        Chunks in the order of the set, of samples of one shape and of at most `CHUNK` samples each.

    Raises
    ------
    InputError
        If there is no sample.

    Examples
    --------
    >>> batches = [(torch.arange(i, i + 10.0), torch.arange(i, i + 10)) for i in range(0, 100, 10)]
    >>> fixed_samples(batches, largest=5)
    [(tensor([19., 44., 71., 90., 93.]), tensor([19, 44, 71, 90, 93]))]
    """
    with random_states_kept(), torch.random.fork_rng(devices=[]):
        sizes = [len(targets) for _, targets in batches]
        if not sum(sizes):
            raise InputError("train_data= holds no sample: give at least one, or leave it out")
        drawn = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(0))[:largest].sort().values
        kept, start = [], 0
        for (inputs, targets), size in zip(batches, sizes, strict=True):
            index = drawn[(drawn >= start) & (drawn < start + size)] - start
            if len(index):
                kept.append((map_inputs(inputs, partial(_rows, index)), _rows(index, targets)))
            start += size
    chunks: list[tuple[Inputs, Tensor]] = []
    for _, group in groupby(kept, key=lambda pair: (pair[0].shape[1:], pair[1].shape[1:])):
        alike = list(group)
        inputs, targets = join_inputs([pair[0] for pair in alike]), torch.cat([pair[1] for pair in alike])
        for start in range(0, len(targets), CHUNK):
            chunks.append((inputs[start : start + CHUNK], targets[start : start + CHUNK]))
    return chunks


def _rows(index: Tensor, tensor: Tensor) -> Tensor:
    return tensor[index.to(tensor.device)]
