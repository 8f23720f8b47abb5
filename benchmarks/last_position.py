"""What it saves to compute the Transformer's last block and head at the last position only.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/last_position.py

Two runs of modular_division_prenorm with the same seed take turns of 10 updates: one with the model as it is, and one
whose last block computes every position. The table has the median milliseconds of an update over the turns, their
ratio, and the smallest and largest ratio of a turn. The number of multiplications with weights would give a ratio of
0.69.
"""

from __future__ import annotations

import dataclasses
import statistics
import time

import click
import torch

from trainers.loop import train
from trainers.run import Run, cpu_settings
from trainers.setups.modular import SETUPS

TURN = 10


def turn(run: Run) -> float:
    """Train a turn; return the milliseconds of an update."""
    start = time.perf_counter()
    train(run)
    return (time.perf_counter() - start) / TURN * 1e3


@click.command()
@click.option("--turns", default=15, help="Turns of each run.")
def main(turns: int) -> None:
    setup = next(setup for setup in SETUPS if setup.name == "modular_division_prenorm")
    setup = dataclasses.replace(setup, steps=TURN)
    with cpu_settings(threads=1, flush_denormal=True):
        last, every = (Run(setup, torch.device("cpu")) for _ in range(2))
        every.model.blocks[-1].last_only = False
        turn(last), turn(every)
        times = [(turn(last), turn(every)) for _ in range(turns)]
    a, b = (statistics.median(column) for column in zip(*times, strict=True))
    ratios = [x / y for x, y in times]
    print(f"one thread, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}; ms of an update")
    print(f"{'last position':<15}{a:>8.1f}\n{'all positions':<15}{b:>8.1f}")
    print(f"{'ratio':<15}{a / b:>8.2f}   ({min(ratios):.2f} to {max(ratios):.2f}; at most 0.80 is asked)")


if __name__ == "__main__":
    main()
