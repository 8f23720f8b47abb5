"""The training loop of one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from slingshot_analysis.recording import Recorder
from slingshot_analysis.recording.lagged import without_following
from trainers.passes import find_passes
from trainers.run import Run
from trainers.stack import Stack

Watcher = Callable[[Tensor, Tensor, Tensor, Tensor], None]
"""What is called with loss, logits, targets and indices of each update's batch."""


def updates(run: Run, recorder: Recorder | Watcher | None = None, start: int = 0) -> Iterator[int]:
    """Train to the end of the run. Each item of the iterator makes one update.

    The updates are bit-identical to those of a loop with autograd and the run's own optimizer, and take half the time
    for a small network. A batch whose scaled gradients are not finite in float16 makes no update: the weights stay, the
    recorder does not see it, and the next batch takes its place.

    Parameters
    ----------
    run : Run
        The run, which is changed in place.
    recorder : Recorder or callable, optional
        Called once per update, between backward pass and optimizer step, with loss, logits, targets and indices of the
        batch.
    start : int, optional, updates
        Number of updates that the run has already made.

    Yields
    ------
    int
        Number of updates made so far.
    """
    setup, data = run.setup, run.data
    stack = Stack([run], [start])
    passes = find_passes(run, stack)
    intervening = run.intervening
    run.model.train()
    record = without_following(recorder) if isinstance(recorder, Recorder) else recorder
    step = start
    while step < setup.steps:
        batch = next(run.batches)
        with torch.no_grad():
            targets = data.train_targets.index_select(0, batch)
            loss, logits = passes(data.train_inputs.index_select(0, batch), targets)
            if run.scaler is not None and not stack.unscale(run.scaler):
                continue
            if intervening.is_needed:
                intervening.before_update()
            if record:
                record(loss, logits, targets, batch)
            stack.warm_up([step])
            stack.update()
            if intervening.is_needed:
                intervening.after_update()
            stack.share()
        step += 1
        yield step


def train(run: Run, recorder: Recorder | Watcher | None = None) -> None:
    """Train a run from its start to its end."""
    for _ in updates(run, recorder):
        pass
