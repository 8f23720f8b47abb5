"""How often the association test and its check by shifts reject: size and power, by simulation.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/association.py --runs 1000

A simulated run has 100,000 updates, an evaluation every 500, transitions from 8 to 12 geometric cycles that begin
between updates 2,000 and 6,000, and validation jumps that are seen at evaluations. Unrelated jumps, 3 to 6 a run, are
spread evenly in log time. Or half of the transitions carry a jump 50 to 600 updates later, besides one unrelated jump.
Each test is asked about each run alone, and about five runs pooled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from slingshot_analysis.association import (
    association_test,
    log_time_shift_test,
    near_window,
    pool_associations,
    pool_shifts,
)

FloatArray = npt.NDArray[np.float64]
Run = tuple[FloatArray, FloatArray]

STRIDE = 500
SPAN = (1000, 100_000)
WINDOW = near_window(STRIDE, SPAN)
POOLED = 5


def transitions(random: np.random.Generator) -> FloatArray:
    """Return 8 to 12 transitions in geometric cycles, each length varied by 15%."""
    cycles = random.integers(8, 13)
    first, last = random.uniform(2000, 6000), random.uniform(80_000, 98_000)
    growth = np.log(last / first) * np.sort(np.linspace(0, 1, cycles) + random.normal(0, 0.15 / cycles, cycles))
    return np.unique(np.clip(np.round(first * np.exp(growth)), SPAN[0], SPAN[1]))


def at_evaluations(steps: FloatArray) -> FloatArray:
    """Return the first evaluation at or after each step."""
    return np.minimum(np.ceil(steps / STRIDE) * STRIDE, SPAN[1])


def scattered(random: np.random.Generator, number: int) -> FloatArray:
    return at_evaluations(np.exp(random.uniform(*np.log(SPAN), number)))


def unrelated(random: np.random.Generator) -> Run:
    return scattered(random, random.integers(3, 7)), transitions(random)


def carried(random: np.random.Generator) -> Run:
    at = transitions(random)
    half = random.choice(at, (len(at) + 1) // 2, replace=False)
    caused = at_evaluations(half + random.uniform(50, 600, len(half)))
    return np.append(caused, scattered(random, 1)), at


def p_values(run: Run, seed: int) -> tuple[Any, Any]:
    """Return the exact test and the test by shifts of one run."""
    return association_test(*run, WINDOW, SPAN), log_time_shift_test(*run, WINDOW, SPAN, resamples=999, seed=seed)


def report(what: str, p: list[float | None]) -> None:
    rejected = sum(one is not None and one <= 0.05 for one in p)
    low, high = binomtest(rejected, len(p)).proportion_ci(0.95, method="wilson")
    click.echo(f"{what:<58}{rejected / len(p):>8.3f}   [{low:.3f}, {high:.3f}]   n = {len(p)}")


@click.command()
@click.option("--runs", default=1000, show_default=True, help="Simulated runs, and pools of runs, of each kind.")
@click.option("--seed", default=0, show_default=True)
def main(runs: int, seed: int) -> None:
    kinds: dict[str, Callable[[np.random.Generator], Run]] = {
        "unrelated jumps (size)": unrelated,
        "half of the transitions carry a jump (power)": carried,
    }
    click.echo(f"{'rejected at 5%':<58}{'rate':>8}   95% by Wilson")
    for kind, simulate in kinds.items():
        random = np.random.default_rng(seed)
        tests = [p_values(simulate(random), number) for number in range(runs * POOLED)]
        joins: dict[str, Callable[[Any], Any]] = {"association": pool_associations, "log-time shift": pool_shifts}
        for results, (name, join) in enumerate(joins.items()):
            each = [test[results] for test in tests]
            report(f"{kind}, {name}", [test.p_value for test in each[:runs]])
            groups = [join(each[i : i + POOLED]) for i in range(0, len(each), POOLED)]
            report(f"    {POOLED} runs pooled", [group.p_value for group in groups])


if __name__ == "__main__":
    main()
