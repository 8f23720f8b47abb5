"""The key that tells which setups can be trained as one batch."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache

import torch

from trainers.passes import as_chain
from trainers.setup import DataConfig, ModelConfig, Setup

LARGEST_NETWORK = 2**26
"""Number of weights times samples of a batch, above which networks other than chains are trained alone.

The matrix products of large networks already keep a core busy, and are slower when they are stacked. A Transformer of
422,400 weights takes 1.4 times as long in a batch, one of 27,000 weights half as long."""


def batch_key(setup: Setup) -> Hashable | None:
    """Return a key that is equal for setups that can be trained as one batch.

    They have the same network, batch size, loss and dtypes, and samples of the same shape. Optimizer, hyperparameters,
    interventions, seed, number of updates, and operation or size of the data set may differ. If the incomplete batch of
    an epoch is kept, the training sets have the same size.

    Parameters
    ----------
    setup : Setup
        The setup of a run.

    Returns
    -------
    hashable or None
        None for a run that must be trained alone. This is the case with autocast, or if the network has frozen weights.
        It is also the case if weights times samples of a batch exceed 2²⁶ and the network is not a chain of linear
        layers and ReLUs, because such a network does not gain from a batch. If data or network can't be made, the
        result is None too; training the run then reports the error.

    Examples
    --------
    >>> import dataclasses
    >>> from trainers.setups import find_setup
    >>> setup = find_setup("parity_3_50")
    >>> batch_key(setup) == batch_key(dataclasses.replace(setup, seed=7, steps=100))
    True
    >>> batch_key(setup) == batch_key(dataclasses.replace(setup, batch_size=64))
    False
    """
    if setup.autocast != "none":
        return None
    try:
        found = _shapes(setup.data, setup.model)
    except Exception:  # training the run alone reports the error
        return None
    if found is None or setup.batch_size * found[1] > LARGEST_NETWORK:
        return None
    equal = setup.model, setup.batch_size, setup.dtype, setup.loss_dtype, setup.loss_function
    return *equal, None if setup.drop_last else found[2], found[0]


@lru_cache(maxsize=256)
def _shapes(data_config: DataConfig, model_config: ModelConfig) -> tuple[Hashable, int, int] | None:
    """Return the shapes of data and model, and the numbers of weights (0 for a chain) and of training samples.

    The result is None if some weights are frozen.
    """
    data = data_config.make(torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        model = model_config.build(data)
    parameters = dict(model.named_parameters())
    if not all(parameter.requires_grad for parameter in parameters.values()):
        return None
    tensors = parameters | dict(model.named_buffers())
    shapes = tuple((name, tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items())
    sample = tuple(data.train_inputs.shape[1:]), data.train_inputs.dtype, data.classes
    weights = 0 if as_chain(model) else sum(p.numel() for p in parameters.values())
    return (*sample, shapes), weights, len(data.train_inputs)
