"""A run in training: data, model, optimizer and the order of its batches."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.provenance import flushes_denormals
from trainers.data.dataset import Dataset
from trainers.interventions import Intervening
from trainers.loss_scaling import LossScaler
from trainers.setup import Setup

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt``, in bytes: how much free memory at the end of the heap is returned, and from what
size on a block has a mapping of its own, which is returned when the block is freed. 32 MiB is the largest such size."""


class Run:
    """A run in training: data, model, optimizer and batch order of a setup, on a device.

    The seed of the setup determines three independent random states: of the data, of the initialisation and of the
    batch order. All three are drawn on the CPU, so a run starts with the same values on every device.

    Parameters
    ----------
    setup : Setup
        The experiment.
    device : torch.device
        Device of model and data.

    Raises
    ------
    InputError
        If the batch is larger than the training set, the loss does not fit the data, or data or model can't be made.
    """

    def __init__(self, setup: Setup, device: torch.device) -> None:
        seeds = np.random.SeedSequence(setup.seed).spawn(3)
        data_seed, model_seed, order_seed = (int(seed.generate_state(1)[0]) for seed in seeds)
        self.setup = setup
        data = setup.data.make(torch.Generator().manual_seed(data_seed))
        if setup.batch_size > len(data.train_inputs):
            raise InputError(
                f"batch_size is {setup.batch_size} but there are only {len(data.train_inputs)} training samples"
            )
        if (setup.loss == "output") == bool(data.classes):
            raise InputError(f"loss is {setup.loss!r}, which does not fit data of {data.classes} classes")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(model_seed)
            model = setup.model.build(data)
        self.data: Dataset = data.to(device, setup.torch_dtype)
        self.model: nn.Module = model.to(device, setup.torch_dtype)
        self.optimizer = setup.optimizer.build(self.model.parameters())
        self.intervening = Intervening(
            setup.interventions, setup.orthogonal_gradient, dict(self.model.named_parameters())
        )
        self.scaler = LossScaler(device) if setup.autocast == "float16" else None
        self.batches = BatchOrder(len(data.train_inputs), setup.batch_size, order_seed, device, setup.drop_last)

    def state_dict(self) -> dict[str, Any]:
        """Return all that determines the rest of the run: model, optimizer, loss scale, batches, random generators."""
        state = {
            "model": _copied(self.model.state_dict()),
            "optimizer": _copied(self.optimizer.state_dict()),
            "batches": self.batches.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        return state if self.scaler is None else state | {"scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.batches.load_state_dict(state["batches"])
        torch.set_rng_state(state["random"])
        torch.cuda.set_rng_state_all(state["random_cuda"])


def _copied(state: Any) -> Any:
    """Return a copy of a nested state. For a view, ``torch.save`` would store the whole tensor behind it."""
    if isinstance(state, Mapping):
        return {name: _copied(value) for name, value in state.items()}
    if isinstance(state, list):
        return [_copied(value) for value in state]
    return state.clone() if isinstance(state, Tensor) else state


class BatchOrder(Iterator[Tensor]):
    """Iterator over the indices of batches. Each epoch has a new random order.

    Parameters
    ----------
    samples, size : int
        Number of training samples, and number of samples in a batch.
    seed : int
        Seed of the orders, which are drawn on the CPU.
    device : torch.device
        Device of the indices.
    drop_last : bool
        Whether an epoch drops its incomplete batch. Otherwise that batch is its last one.
    """

    def __init__(self, samples: int, size: int, seed: int, device: torch.device, drop_last: bool) -> None:
        self._samples, self._size, self._device = samples, size, device
        self._incomplete = 0 if drop_last else samples % size
        self._generator = torch.Generator().manual_seed(seed)
        self._begin_epoch()

    def _begin_epoch(self, taken: int = 0) -> None:
        self._at_epoch = self._generator.get_state()
        order = torch.randperm(self._samples, generator=self._generator)
        used = order[: self._samples - self._samples % self._size + self._incomplete]
        batches: Sequence[Tensor] = used.to(self._device, non_blocking=True).split(self._size)
        self._per_epoch = len(batches)
        self._left = list(reversed(batches[taken:]))

    def __next__(self) -> Tensor:
        """Return the indices of the next batch."""
        if not self._left:
            self._begin_epoch()
        return self._left.pop()

    @property
    def place(self) -> int:
        """Number of batches left of the epoch if they differ in size, otherwise 0. Equal places give equal sizes."""
        return len(self._left) % self._per_epoch if self._incomplete else 0

    @property
    def equally_large(self) -> float:
        """Number of next batches that have the same size as the next one, at least 1; infinite if all have."""
        if not self._incomplete:
            return math.inf
        return max(1, (len(self._left) or self._per_epoch) - 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the random state at the start of the epoch, and the number of its batches that were taken."""
        return {"epoch": self._at_epoch, "taken": self._per_epoch - len(self._left)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that :meth:`state_dict` returned."""
        self._generator.set_state(state["epoch"])
        self._begin_epoch(state["taken"])


@contextmanager
def cpu_settings(threads: int, flush_denormal: bool) -> Iterator[None]:
    """Set PyTorch's number of CPU threads and whether denormal numbers become zero; restore both afterwards.

    From then on the process also keeps the memory that tensors free, see :func:`keep_freed_memory`.
    """
    keep_freed_memory()
    before = torch.get_num_threads(), flushes_denormals()
    torch.set_flush_denormal(flush_denormal)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_flush_denormal(before[1])


def keep_freed_memory() -> None:
    """On Linux with glibc, let this process keep freed memory for its next tensors, until it ends.

    By default glibc returns the memory of large tensors to the system after each update and asks for it again in the
    next one, which costs a page fault for every 4 KiB: 2,000 in an update of the Transformer.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
        mallopt(MMAP_THRESHOLD, 2**25)
