"""Which setups can be trained as one batch."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache

import torch

from trainers.batch._passes import as_chain
from trainers.setup import DataConfig, ModelConfig, Setup

__all__ = ["batch_key"]

LARGEST = 2**26
"""Weights times samples of a batch, of a network that is not a chain. Products of larger ones keep a core busy alone,
and stacked they take longer: a Transformer of 422,400 weights takes 1.4 times as long, one of 27,000 half as long."""


def batch_key(setup: Setup) -> Hashable | None:
    """Return what setups have in common that can be trained as one batch.

    Those of equal key have the same network, batch size, loss and dtypes, and data of the same shape. Optimizer, its
    hyperparameters, seed, number of updates, operation or size of the data set may differ.

    Parameters
    ----------
    setup : Setup
        Of a run.

    Returns
    -------
    hashable or None
        None for a run that is to be trained alone: one whose network is neither a chain of linear layers and ReLUs nor
        so small (weights times samples of a batch at most 2²⁶) that lockstep saves time; that has frozen weights; or
        whose data or network can't be made, which is told where it is trained.

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
    try:
        found = _shapes(setup.data, setup.model)
    except Exception:  # whatever it is, training the run alone tells it
        return None
    if found is None or setup.batch_size * found[1] > LARGEST:
        return None
    agree = setup.model, setup.batch_size, setup.dtype, setup.loss_dtype, setup.loss, setup.orthogonal_gradient
    return *agree, found[0]


@lru_cache(maxsize=256)
def _shapes(data_config: DataConfig, model_config: ModelConfig) -> tuple[Hashable, int] | None:
    """Return what has to agree of data and model, and the weights that count for its size; None if some are frozen."""
    data = data_config.make(torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        model = model_config.build(data)
    parameters = dict(model.named_parameters())
    if not all(parameter.requires_grad for parameter in parameters.values()):
        return None
    tensors = parameters | dict(model.named_buffers())
    shapes = tuple((name, tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items())
    sample = tuple(data.train_inputs.shape[1:]), data.train_inputs.dtype, data.classes
    return (*sample, shapes), 0 if as_chain(model) else sum(p.numel() for p in parameters.values())
