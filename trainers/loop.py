"""The one training loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording import Recorder
from slingshot_analysis.recording.provenance import flushes_denormals
from trainers.data.dataset import Dataset
from trainers.optimizers import warm_up
from trainers.setup import Setup

__all__ = ["Run", "cpu_settings", "train", "updates"]


class Run:
    """A setup brought to life on a device: data, model, optimizer and the order of batches.

    One seed gives three independent random states (data, initialisation, batch order), all drawn on the CPU, so
    that a run starts alike on every device.

    Parameters
    ----------
    setup : Setup
        What to train.
    device : torch.device
        Where to train.
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
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(model_seed)
            model = setup.model.build(data)
        self.data: Dataset = data.to(device, setup.torch_dtype)
        self.model: nn.Module = model.to(device, setup.torch_dtype)
        self.optimizer = setup.optimizer.build(self.model.parameters())
        self._order = torch.Generator().manual_seed(order_seed)

    def batches(self) -> Iterator[Tensor]:
        """Yield the indices of one batch after another: each epoch in a new order, without its incomplete batch."""
        samples, size = len(self.data.train_inputs), self.setup.batch_size
        while True:
            order = torch.randperm(samples, generator=self._order)[: samples - samples % size]
            yield from order.to(self.data.train_inputs.device, non_blocking=True).split(size)


def updates(run: Run, recorder: Recorder | None = None) -> Iterator[int]:
    """Train for the setup's number of updates, one whenever the next item is asked for.

    Parameters
    ----------
    run : Run
        Changed in place.
    recorder : Recorder, optional
        Called once per update, between backward pass and optimizer step.

    Yields
    ------
    int
        Updates done.
    """
    data, model, optimizer = run.data, run.model, run.optimizer
    loss_dtype, rate = run.setup.torch_loss_dtype, run.setup.optimizer
    model.train()
    for step, batch in zip(range(run.setup.steps), run.batches(), strict=False):
        targets = data.train_targets[batch]
        logits = model(data.train_inputs[batch])
        loss = cross_entropy(logits.to(loss_dtype), targets)
        optimizer.zero_grad()
        loss.backward()
        if recorder:
            recorder.update(loss, logits, targets)
        warm_up(optimizer, rate.lr, step, rate.warmup)
        optimizer.step()
        yield step + 1


def train(run: Run, recorder: Recorder | None = None) -> None:
    """Make all :func:`updates` of the run."""
    for _ in updates(run, recorder):
        pass


@contextmanager
def cpu_settings(threads: int, flush_denormal: bool) -> Iterator[None]:
    """Set PyTorch's number of CPU threads, and whether denormals are flushed; restore both afterwards."""
    before = torch.get_num_threads(), flushes_denormals()
    torch.set_flush_denormal(flush_denormal)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_flush_denormal(before[1])
