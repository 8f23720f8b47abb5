"""What training many runs in lockstep gains: a recorded sweep against a plain loop that records nothing.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/sweep_throughput.py

The sweep uses `record_batch` and the light bundle to train runs of parity_3_50 with 9 settings (3 learning rates, 3
values of ε) and many seeds. Its time includes closing the files, but not making the runs and files, about 20 ms each.
The plain loop is the training loop of PyTorch's tutorials for one such run: nn.Sequential, torch.optim.Adam with its
defaults, tensors indexed by the batch. The two take turns within one process, so that a change of the machine's speed
affects both. Rates are updates per second, counted over all runs. `speedup` is the ratio of the two rates, with
quartiles over bootstrap samples of the turns.

``--probes`` names other probes for the sweep. ``--limits`` times what no update of the sweep can do without, in turns
with the plain loop: matrix products, Adam's kernel, and the copy of the batch. With ``--profile``, PyTorch's profiler
splits up the time of an update.
"""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn

from trainers.batch import _lockstep, record_batch
from trainers.passes import Mapped
from trainers.run import Run
from trainers.setup import Setup
from trainers.setups import find_setup
from trainers.stack import Stack

SETTINGS = list(itertools.product((0.002, 0.003, 0.004), (1e-8, 1e-7, 1e-6)))


class Compiled(Mapped):
    """`Mapped` with a compiled function."""

    def __init__(self, run: Run, stack: Stack) -> None:
        super().__init__(run, stack)
        self._call = torch.compile(self._call)


WAYS = {"chosen": _lockstep.find_batched_passes, "vmap": Mapped, "compiled": Compiled}

TURN = 500
"""Length of a turn of the plain loop, in updates."""
LIMIT_TURNS, LIMIT_REPEATS = 100, 20


def sweep(runs: int, steps: int) -> list[Setup]:
    setup = find_setup("parity_3_50")
    return [
        dataclasses.replace(
            setup, seed=seed, steps=steps, optimizer=dataclasses.replace(setup.optimizer, lr=lr, eps=eps)
        )
        for seed, (lr, eps) in zip(range(runs), itertools.cycle(SETTINGS), strict=False)
    ]


def plain_loop() -> Iterator[None]:
    data = Run(find_setup("parity_3_50"), torch.device("cpu")).data
    x, y = data.train_inputs, data.train_targets
    model = nn.Sequential(nn.Linear(50, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.004)
    while True:
        for batch in torch.randperm(len(x)).split(32)[: len(x) // 32]:
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield


def take_turns(runs: int, steps: int, probes: str) -> tuple[np.ndarray, np.ndarray]:
    """Return seconds and updates of each turn of the sweep, and seconds per update of each turn of the plain loop."""
    plain, swept, alone = plain_loop(), [], []
    now, done = 0.0, 0

    def progress(made: int, left: int) -> None:
        nonlocal now, done
        if now:
            swept.append((time.perf_counter() - now, made - done))
        start = time.perf_counter()
        for _ in range(TURN):
            next(plain)
        now, done = time.perf_counter(), made
        if swept:
            alone.append((now - start) / TURN)

    with tempfile.TemporaryDirectory() as folder:
        record_batch(
            sweep(runs, steps), [Path(folder) / f"{i}.h5" for i in range(runs)], probes=probes, progress=progress
        )
        seconds, made = swept[-1]
        swept[-1] = seconds + time.perf_counter() - now, made
    return np.array(swept), np.array(alone)


def parts_of_an_update(runs: int) -> dict[str, Callable[[], object]]:
    """Return what an update of the sweep can't do without."""
    members = [Run(setup, torch.device("cpu")) for setup in sweep(runs, 1)]
    data, batch = members[0].data, members[0].setup.batch_size
    stack = Stack(members, [0] * runs)
    inputs = torch.empty(runs, batch, data.train_inputs[0].numel())
    which = torch.randint(len(data.train_inputs), (runs * batch,))
    weights = [weight for name, weight in stack.parameters.items() if name.endswith("weight")]
    products: list[tuple[Tensor, Tensor, Tensor]] = []
    for i, weight in enumerate(weights):
        units, of_layer = weight.shape[1:]
        before, after = torch.randn(runs, batch, of_layer), torch.randn(runs, batch, units)
        products += [(before, weight.mT, torch.empty_like(after)), (after.mT, before, torch.empty_like(weight))]
        products += [(after, weight, torch.empty_like(before))] if i else []
    stack.update()
    return {
        "products": lambda: [torch.bmm(a, b, out=result) for a, b, result in products],
        "adam": stack.update,
        "batch": lambda: torch.index_select(data.train_inputs, 0, which, out=inputs.view(-1, inputs.shape[2])),
    }


@torch.no_grad()
def limits(runs: int) -> dict[str, float]:
    """Return the median seconds of each part for one run, and of an update of the plain loop, in turns."""
    plain, parts = plain_loop(), parts_of_an_update(runs)
    seconds: dict[str, list[float]] = {name: [] for name in (*parts, "plain")}
    for _ in range(LIMIT_TURNS):
        for name, part in parts.items():
            start = time.perf_counter()
            for _ in range(LIMIT_REPEATS):
                part()
            seconds[name].append((time.perf_counter() - start) / runs / LIMIT_REPEATS)
        with torch.enable_grad():
            start = time.perf_counter()
            for _ in range(LIMIT_REPEATS):
                next(plain)
            seconds["plain"].append((time.perf_counter() - start) / LIMIT_REPEATS)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def profile(runs: int) -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watch

    with tempfile.TemporaryDirectory() as folder, watch(activities=[ProfilerActivity.CPU]) as found:
        record_batch(sweep(runs, 1000), [Path(folder) / f"{i}.h5" for i in range(runs)], probes="light")
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=40))


@click.command()
@click.option("--steps", default=6000, help="Updates of each run.")
@click.option("--runs", multiple=True, type=int, default=[1, 4, 16, 32, 64], help="Runs of a sweep.")
@click.option(
    "--way", type=click.Choice(list(WAYS)), default="chosen", help="How to compute forward and backward pass."
)
@click.option("--probes", default="light", show_default=True, help="What the sweep records.")
@click.option("--limits", "only_limits", is_flag=True, help="Time what no update can do without.")
@click.option("--profile", "profiled", is_flag=True, help="Profile the first of --runs.")
def main(steps: int, runs: tuple[int, ...], way: str, probes: str, only_limits: bool, profiled: bool) -> None:
    _lockstep.find_batched_passes = WAYS[way]
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if profiled:
        profile(runs[0])
        return
    if only_limits:
        print(f"{'runs':>5}{'products':>10}{'adam':>8}{'batch':>8}{'plain':>8}{'limit':>8}   us per update of a run")
        for count in runs:
            found = limits(count)
            *parts, alone = found.values()
            print(f"{count:>5}{''.join(f'{1e6 * part:>8.1f}' for part in found.values())}{alone / sum(parts):>8.2f}")
        return
    print(
        f"parity_3_50, {steps} updates, {probes}, one thread, torch {torch.__version__}, "
        f"{torch.backends.cpu.get_cpu_capability()}"
    )
    print(f"{'runs':>5}{'sweep/s':>10}{'plain/s':>10}{'us/update':>11}{'speedup':>9}{'quartiles':>14}")
    for count in runs:
        swept, alone = take_turns(count, steps, probes)
        picked = np.random.default_rng(0).integers(len(alone), size=(1000, len(alone)))
        times = swept[picked].sum(1)
        low, high = np.quantile(alone[picked].mean(1) * times[:, 1] / times[:, 0], [0.25, 0.75])
        seconds, made = swept.sum(0)
        print(
            f"{count:>5}{made / seconds:>10.0f}{1 / alone.mean():>10.0f}{seconds / made * 1e6:>11.1f}"
            f"{alone.mean() * made / seconds:>9.2f}{low:>8.2f}{high:>6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
