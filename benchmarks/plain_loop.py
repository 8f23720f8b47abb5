"""The loop with which trainers are compared: autograd, an optimizer of each parameter, and no recording."""

from __future__ import annotations

from collections.abc import Iterator

from trainers.optimizers import warm_up
from trainers.run import Run


def plain_updates(run: Run) -> Iterator[int]:
    """Train as PyTorch's tutorials do, with the setup's loss and its fused optimizer; yield the updates made."""
    setup, data, model, optimizer = run.setup, run.data, run.model, run.optimizer
    model.train()
    for step, batch in zip(range(setup.steps), run.batches, strict=False):
        targets = data.train_targets[batch]
        loss = setup.loss_function(model(data.train_inputs[batch]).to(setup.torch_loss_dtype), targets)
        optimizer.zero_grad()
        loss.backward()
        warm_up(optimizer, setup.optimizer.lr, step, setup.optimizer.warmup)
        optimizer.step()
        yield step + 1
