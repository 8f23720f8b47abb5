"""What recording costs on a Vision Transformer, in a plain loop and in the Trainers of others.

Run it from the project's root, where the frameworks are installed (constraints-integrations.txt)::

    OMP_NUM_THREADS=1 python benchmarks/integrations_overhead.py               # about six minutes on a quiet machine
    OMP_NUM_THREADS=1 python benchmarks/integrations_overhead.py plain --probes stability --batch 8

The network has 9.5 M parameters and 12 blocks, and is trained by AdamW on random images. In each framework, one
training that records nothing and one for each bundle make updates in turns: they are threads of one process, of which
one runs at a time. `ratio` is the processor time of a recorded training relative to that of the unrecorded one, in
all turns but the first; its quartiles are over bootstrap samples of the turns. `start` is what the recording has cost
until the end of the first turn, in updates. Only one batch is evaluated, as the cost of evaluation is that of the
user's set. The default bundle leaves out curvature, as it does for every network of this size; `curvature` is the
default bundle with it, over one batch. Its share of the time is kept by the clock of each training's thread.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from slingshot_analysis import Recorder
from slingshot_analysis.recording import _table
from slingshot_analysis.recording.online import flight
from trainers.data.cifar10 import RandomImages
from trainers.setups import find_setup

Options = dict[str, Any]
"""Path and options of a recorder; empty for none."""

PROBES = {"curvature": "standard,hessian,update_sharpness"}
"""What names that are no bundles stand for."""


class Network(nn.Module):
    """Takes and returns what Transformers' Trainer expects, if it is called with labels."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
        """Return logits, or the loss and the logits."""
        logits = self.inner(inputs)
        if labels is None:
            return logits
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def plain(
    model: nn.Module, optimizer: Any, loader: DataLoader[Any], options: Options, backward: Any = torch.Tensor.backward
) -> None:
    recorder = Recorder(model=model, optimizer=optimizer, **options).attach() if options else None
    for inputs, targets in loader:
        logits = model(inputs)
        loss = nn.functional.cross_entropy(logits, targets)
        if recorder is not None:
            recorder.batch(loss, logits, targets)
        optimizer.zero_grad()
        backward(loss)
        optimizer.step()
    if recorder is not None:
        recorder.close()


def accelerate(model: nn.Module, optimizer: Any, loader: DataLoader[Any], options: Options) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    plain(*accelerator.prepare(model, optimizer, loader), options, accelerator.backward)


def lightning(model: nn.Module, optimizer: Any, loader: DataLoader[Any], options: Options) -> None:
    from lightning import LightningModule, Trainer

    from slingshot_analysis.integrations.lightning import SlingshotCallback

    class Module(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return optimizer

    callbacks = [SlingshotCallback(**options, model=lambda module: module.net)] if options else []
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(callbacks=callbacks, accelerator="cpu", max_epochs=1, enable_checkpointing=False, **quiet)
    trainer.fit(Module(), loader)


def transformers(model: nn.Module, optimizer: Any, loader: DataLoader[Any], options: Options) -> None:
    from transformers import Trainer, TrainingArguments

    from slingshot_analysis.integrations.transformers import SlingshotCallback

    data = [{"inputs": inputs, "labels": label} for inputs, label in loader.dataset]
    arguments = TrainingArguments(
        tempfile.mkdtemp(), num_train_epochs=1, per_device_train_batch_size=loader.batch_size, report_to="none",
        use_cpu=True, save_strategy="no", disable_tqdm=True, logging_strategy="no", max_grad_norm=0.0,
    )  # fmt: skip
    callbacks = [SlingshotCallback(**options)] if options else []
    constant = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    Trainer(model, arguments, train_dataset=data, callbacks=callbacks, optimizers=(optimizer, constant)).train()


FRAMEWORKS: dict[str, Callable[..., None]] = {
    "plain": plain,
    "accelerate": accelerate,
    "lightning": lightning,
    "transformers": transformers,
}


class Training:
    """A training in a thread of its own, which waits after each update."""

    def __init__(self, train: Callable[..., None], model: nn.Module, loader: DataLoader[Any], options: Options) -> None:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        optimizer.register_step_post_hook(lambda *_: self._wait())
        self._go, self._made = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        arguments = train, model, optimizer, loader, options
        threading.Thread(target=self._run, args=arguments, daemon=True).start()

    def _run(self, train: Callable[..., None], *arguments: Any) -> None:
        self._go.acquire()
        try:
            train(*arguments)
        except BaseException as error:
            self._error = error
        self._made.release()

    def _wait(self) -> None:
        self._made.release()
        self._go.acquire()

    def __call__(self, updates: int) -> float:
        """Make so many updates; return the processor time, in seconds."""
        start = time.process_time()
        for _ in range(updates):
            self._go.release()
            self._made.acquire()
            if self._error is not None:
                raise self._error
        return time.process_time() - start


def measure(
    framework: str, bundles: tuple[str, ...], batch: int, steps: int, turn: int
) -> Iterator[tuple[str, float, float, float, float, float]]:
    """Yield bundle, milliseconds of an update, ratio, its quartiles, and the cost of the start in updates."""
    setup = find_setup("cifar10_vit_1000")
    generator = torch.Generator().manual_seed(0)
    data = RandomImages(train=batch * (steps + 1)).make(generator)
    loader = DataLoader(TensorDataset(data.train_inputs, data.train_targets), batch)
    one = data.train_inputs[:batch], data.train_targets[:batch]
    held = {"val_data": one, "train_data": one, "probe_inputs": data.train_inputs[:32]}
    with tempfile.TemporaryDirectory() as folder:
        trainings = []
        for bundle in ("", *bundles):
            torch.manual_seed(0)
            probes = PROBES.get(bundle, bundle)
            options = {"path": Path(folder) / f"{bundle}.h5", "probes": probes, **held} if bundle else {}
            trainings.append(Training(FRAMEWORKS[framework], Network(setup.model.build(data)), loader, options))
        seconds = np.array([[each(turn) for each in trainings] for _ in range(steps // turn)]).T
    plain_turns = seconds[0, 1:]
    samples = np.random.default_rng(0).integers(len(plain_turns), size=(1000, len(plain_turns)))
    update = plain_turns.mean() / turn
    for bundle, turns in zip(bundles, seconds[1:], strict=True):
        ratios = turns[1:][samples].sum(1) / plain_turns[samples].sum(1)
        low, high = np.quantile(ratios, [0.25, 0.75])
        ratio = turns[1:].sum() / plain_turns.sum()
        yield bundle, 1e3 * turns[1:].mean() / turn, ratio, low, high, (turns[0] - seconds[0, 0]) / update


@click.command()
@click.argument("frameworks", nargs=-1, type=click.Choice(list(FRAMEWORKS)))
@click.option("--probes", default="light,standard,curvature,stability", show_default=True, help="Between commas.")
@click.option("--batch", default=32, show_default=True, help="Images of an update.")
@click.option("--steps", default=80, show_default=True, help="Updates of each training; whole turns.")
@click.option("--turn", default=10, show_default=True, help="Updates of a turn.")
def main(frameworks: tuple[str, ...], probes: str, batch: int, steps: int, turn: int) -> None:
    torch.set_num_threads(1)
    _table.time = flight.time = SimpleNamespace(perf_counter=time.thread_time, monotonic=time.monotonic)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    print(f"batches of {batch}, {steps} updates in turns of {turn}, torch {torch.__version__}")
    print(f"{'framework':<14}{'bundle':<12}{'ms/update':>10}{'ratio':>8}{'quartiles':>16}{'start':>7}")
    for framework in frameworks or FRAMEWORKS:
        for bundle, ms, ratio, low, high, start in measure(framework, tuple(probes.split(",")), batch, steps, turn):
            print(
                f"{framework:<14}{bundle:<12}{ms:>10.0f}{ratio:>8.3f}{low:>9.3f}{high:>7.3f}{start:>7.1f}", flush=True
            )


if __name__ == "__main__":
    main()
