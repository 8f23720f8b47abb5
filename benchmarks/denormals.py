"""What denormal numbers cost Adam, with and without flushing them, side by side in one run.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/denormals.py

The first table times the optimizer's step in the worst case, in which all moments are denormal. It compares PyTorch's
fused implementation with its for-loop implementation. The second table compares two runs of parity_3_50 with the same
seed, one with ``torch.set_flush_denormal`` on and one with it off. They take turns of 5,000 updates. The table has the
time of an update in each turn, the time of Adam's step at the end of the turn, and the fraction of Adam's second
moments that are denormal then in the run that does not flush.
"""

from __future__ import annotations

import copy
import dataclasses
import statistics
import time

import click
import torch

from trainers.loop import train
from trainers.run import Run
from trainers.setups import find_setup

TURN = 5000


def turn(run: Run, flush: bool) -> tuple[float, float]:
    """Train a turn; return the seconds of an update and of Adam's step alone."""
    torch.set_flush_denormal(flush)
    start = time.perf_counter()
    train(run)
    update = (time.perf_counter() - start) / TURN
    optimizer = copy.deepcopy(run.optimizer)
    for p in (p for group in optimizer.param_groups for p in group["params"]):
        p.grad = torch.zeros_like(p)
    steps = []
    for _ in range(50):
        start = time.perf_counter()
        optimizer.step()
        steps.append(time.perf_counter() - start)
    return update, statistics.median(steps)


def denormal_share(run: Run) -> float:
    moments = torch.cat([state["exp_avg_sq"].flatten() for state in run.optimizer.state.values()])
    torch.set_flush_denormal(False)
    return float(((moments > 0) & (moments < torch.finfo(moments.dtype).tiny)).double().mean())


def worst_case(fused: bool, flush: bool, parameters: int = 23_298, repetitions: int = 300) -> float:
    """Return the median seconds of Adam's step with all moments denormal."""
    torch.set_flush_denormal(False)
    parameter = torch.nn.Parameter(torch.randn(parameters))
    parameter.grad = torch.zeros_like(parameter)
    optimizer = torch.optim.Adam([parameter], fused=fused, foreach=False)
    optimizer.step()
    first, second = (torch.full_like(parameter, value) for value in (1e-41, 1e-40))
    seconds = []
    for _ in range(repetitions):
        torch.set_flush_denormal(False)
        optimizer.state[parameter]["exp_avg"].copy_(first)
        optimizer.state[parameter]["exp_avg_sq"].copy_(second)
        torch.set_flush_denormal(flush)
        start = time.perf_counter()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


@click.command()
@click.option("--steps", default=80_000, help="Updates of each run.")
@click.option("--set-eps", default=1e-8, help="Adam's epsilon.")
def main(steps: int, set_eps: float) -> None:
    torch.set_num_threads(1)
    setup = find_setup("parity_3_50")
    setup = dataclasses.replace(setup, steps=TURN, optimizer=dataclasses.replace(setup.optimizer, eps=set_eps))
    print(f"one thread, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}; times in us")
    print(f"{'all moments denormal':<22}{'flushed':>9}{'kept':>8}{'ratio':>7}")
    for fused in (True, False):
        a, b = worst_case(fused, flush=True), worst_case(fused, flush=False)
        name = "fused (as here)" if fused else "for-loop"
        print(f"{name:<22}{a * 1e6:>9.0f}{b * 1e6:>8.0f}{b / a:>7.1f}")
    flushed, kept = Run(setup, torch.device("cpu")), Run(setup, torch.device("cpu"))
    print(f"\nparity_3_50, eps {set_eps}")
    print(
        f"{'updates':>8}{'flushed':>9}{'kept':>8}{'ratio':>7}{'Adam flushed':>14}{'kept':>8}{'ratio':>7}"
        f"{'denormal':>10}"
    )
    for end in range(TURN, steps + 1, TURN):
        (a, adam_a), (b, adam_b) = turn(flushed, True), turn(kept, False)
        print(
            f"{end:>8}{a * 1e6:>9.0f}{b * 1e6:>8.0f}{b / a:>7.2f}{adam_a * 1e6:>14.0f}{adam_b * 1e6:>8.0f}"
            f"{adam_b / adam_a:>7.1f}{denormal_share(kept):>10.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
