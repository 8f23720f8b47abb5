"""What it saves that the trainers keep the memory which tensors free, instead of returning it to the system.

Run it from the project's root, on Linux with glibc::

    OMP_NUM_THREADS=1 python benchmarks/freed_memory.py                      # three setups, about eight minutes
    OMP_NUM_THREADS=1 python benchmarks/freed_memory.py modular_division --turns 6

The images need CIFAR-10 in the folder that SLINGSHOT_DATA names, or a connection. Each measurement has a process of its
own, because the setting of the allocator can't be taken back. Processes with and without it take turns. `time` and
`faults` are processor time and page faults of an update, from the tenth part of the run on; `ratio` is the median over
turns of the time with the setting, relative to that without it.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor

import click
import numpy as np
import torch

from trainers.loop import updates
from trainers.run import Run, keep_freed_memory
from trainers.setups import find_setup

STEPS = {"modular_division": 150, "cifar10_vit_1000": 6, "parity_3_50": 5000}


def measure(name: str, steps: int, keep: bool) -> tuple[float, float, float]:
    """Return seconds and page faults of an update, and the largest memory of the process in MiB."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if keep:
        keep_freed_memory()
    training = updates(Run(dataclasses.replace(find_setup(name), steps=steps), torch.device("cpu")))
    for step in training:
        if step >= steps / 10:
            break
    seconds, faults = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    made = sum(1 for _ in training)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (time.process_time() - seconds) / made, (usage.ru_minflt - faults) / made, usage.ru_maxrss / 1024


@click.command()
@click.argument("setups", nargs=-1)
@click.option("--steps", type=int, help="Updates of each process.")
@click.option("--turns", default=3, show_default=True, help="Processes with the setting, and as many without it.")
def main(setups: tuple[str, ...], steps: int | None, turns: int) -> None:
    print(f"{'setup':<22}{'memory':<12}{'time, us':>12}{'faults':>10}{'MiB':>7}{'ratio':>8}")
    for name in setups or STEPS:
        found = np.empty((turns, 2, 3))
        for turn in range(turns):
            for keep in (False, True):
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    found[turn, int(keep)] = pool.submit(measure, name, steps or STEPS[name], keep).result()
        ratio = np.median(found[:, 1, 0] / found[:, 0, 0])
        for keep, values in enumerate(np.median(found, axis=0)):
            memory = ("returned", "kept")[keep]
            seconds, faults, largest = values
            shown = f"{ratio:.2f}" if keep else ""
            print(f"{name:<22}{memory:<12}{seconds * 1e6:>12,.0f}{faults:>10,.0f}{largest:>7.0f}{shown:>8}", flush=True)


if __name__ == "__main__":
    main()
