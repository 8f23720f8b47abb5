"""What a bundle costs on a Vision Transformer: a plain loop beside the same loop with a recorder, in turns.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/stability_overhead.py               # about five minutes
    OMP_NUM_THREADS=1 python benchmarks/stability_overhead.py --bundle standard

The network has 9.5 M parameters and 12 blocks, and is trained by Adam on random images. `ratio` is the processor time
of the recorded loop, including closing the file, relative to that of the plain loop. Its quartiles are over bootstrap
samples of the turns. Only one batch is evaluated, as the cost of evaluation is that of the user's set.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from recording_overhead import take_turns

from slingshot_analysis import Recorder
from trainers.data.cifar10 import RandomImages
from trainers.run import Run
from trainers.setups import find_setup


def loop(run: Run, recorder: Recorder | None) -> Iterator[int]:
    data = run.data
    for step, batch in zip(range(run.setup.steps), run.batches, strict=False):
        targets = data.train_targets[batch]
        logits = run.model(data.train_inputs[batch])
        loss = torch.nn.functional.cross_entropy(logits, targets)
        run.optimizer.zero_grad()
        loss.backward()
        if recorder is not None:
            recorder.update(loss, logits, targets)
        run.optimizer.step()
        yield step + 1
    if recorder is not None:
        recorder.close()


@click.command()
@click.option("--bundle", default="stability", show_default=True)
@click.option("--batch", default=8, show_default=True, help="Images of an update.")
@click.option("--steps", default=200, show_default=True, help="Updates of each loop; whole turns.")
@click.option("--turn", default=10, show_default=True, help="Updates of a turn.")
def main(bundle: str, batch: int, steps: int, turn: int) -> None:
    torch.set_num_threads(1)
    setup = dataclasses.replace(
        find_setup("cifar10_vit_1000"), data=RandomImages(train=1000), batch_size=batch, steps=steps
    )
    plain, recorded = (Run(setup, torch.device("cpu")) for _ in range(2))
    data = recorded.data
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(
            Path(folder) / "run.h5",
            recorded.model,
            recorded.optimizer,
            val_data=(data.train_inputs[:batch], data.train_targets[:batch]),
            probe_inputs=data.train_inputs[:32],
            probes=bundle,
        )
        seconds = take_turns([loop(plain, None), loop(recorded, recorder)], turn)
    samples = np.random.default_rng(0).integers(len(seconds[0]), size=(1000, len(seconds[0])))
    low, high = np.quantile(seconds[1][samples].sum(1) / seconds[0][samples].sum(1), [0.25, 0.75])
    print(f"{bundle}, batch of {batch}, {steps} updates in turns of {turn}, torch {torch.__version__}")
    print(f"plain {seconds[0].sum() / steps * 1e3:.0f} ms, recorded {seconds[1].sum() / steps * 1e3:.0f} ms an update")
    print(f"ratio {seconds[1].sum() / seconds[0].sum():.3f}, quartiles {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
