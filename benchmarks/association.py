"""Size, power and speed of the association tests, by simulation.

Run it from the project's root; each section can be run alone::

    OMP_NUM_THREADS=1 python benchmarks/association.py --section jumps --runs 1000
    OMP_NUM_THREADS=1 python benchmarks/association.py --section gain --runs 4000

Section `jumps`: a simulated run has 100,000 updates and an evaluation every 500. Its transitions belong to 8 to 12
geometric cycles that begin between updates 2,000 and 6,000. Validation jumps are seen at evaluations. Under the null
hypothesis, 3 to 6 unrelated jumps per run are spread evenly in log time. For the power, half of the transitions carry a
jump 50 to 600 updates later, and there is one unrelated jump. Each test is applied to each run alone, and to five runs
pooled.

Section `gain`: a simulated run has 5 to 100 cycles of 1,500 updates on average, and an evaluation every 25, 100, 250 or
500. The cycles are regular, irregular (each length varies by 60%) or geometric. The accuracy is exact, rounded to
multiples of 1/500, or fluctuates. Under the null hypothesis it rises independently of the transitions, in one of six
families. For the power, half of the gain follows transitions by 50 to 600 updates, the gain of a cycle is exponentially
distributed, and there is an evaluation every 100. The other half of the gain comes evenly, or for each cycle at a
random place.

Section `speed`: the time of the two tests of one run, by the number of transitions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from slingshot_analysis import association_test, gain_association
from slingshot_analysis.association import (
    GainAssociation,
    log_time_shift_test,
    near_window,
    pool_associations,
    pool_gain_associations,
    pool_shifts,
)

FloatArray = npt.NDArray[np.float64]
Random = np.random.Generator
Run = tuple[FloatArray, FloatArray]

STRIDE = 500
SPAN = (1000, 100_000)
WINDOW = near_window(STRIDE, SPAN)
POOLED = 5
CYCLE = 1500


def transitions(random: Random) -> FloatArray:
    """Return 8 to 12 transitions in geometric cycles, whose lengths vary by 15%."""
    cycles = random.integers(8, 13)
    first, last = random.uniform(2000, 6000), random.uniform(80_000, 98_000)
    growth = np.log(last / first) * np.sort(np.linspace(0, 1, cycles) + random.normal(0, 0.15 / cycles, cycles))
    return np.unique(np.clip(np.round(first * np.exp(growth)), SPAN[0], SPAN[1]))


def at_evaluations(steps: FloatArray) -> FloatArray:
    """Return the first evaluation at or after each step."""
    return np.minimum(np.ceil(steps / STRIDE) * STRIDE, SPAN[1])


def scattered(random: Random, number: int) -> FloatArray:
    return at_evaluations(np.exp(random.uniform(*np.log(SPAN), number)))


def unrelated(random: Random) -> Run:
    return scattered(random, random.integers(3, 7)), transitions(random)


def carried(random: Random) -> Run:
    at = transitions(random)
    half = random.choice(at, (len(at) + 1) // 2, replace=False)
    caused = at_evaluations(half + random.uniform(50, 600, len(half)))
    return np.append(caused, scattered(random, 1)), at


def p_values(run: Run, seed: int) -> tuple[Any, Any]:
    """Return the exact test and the test by shifts of one run."""
    return association_test(*run, WINDOW, SPAN), log_time_shift_test(*run, WINDOW, SPAN, resamples=999, seed=seed)


def report(what: str, p: list[float | None]) -> None:
    """Print how often a test rejects. A test without a p-value does not reject."""
    rejected = sum(one is not None and one <= 0.05 for one in p)
    low, high = binomtest(rejected, len(p)).proportion_ci(0.95, method="wilson")
    unknown = sum(one is None for one in p)
    click.echo(
        f"{what:<70}{rejected / len(p):>8.3f}   [{low:.3f}, {high:.3f}]   n = {len(p)}"
        + (f", {unknown} without p" if unknown else "")
    )


def jumps(runs: int, seed: int) -> None:
    kinds: dict[str, Callable[[Random], Run]] = {
        "unrelated jumps (size)": unrelated,
        "half of the transitions carry a jump (power)": carried,
    }
    for kind, simulate in kinds.items():
        random = np.random.default_rng(seed)
        tests = [p_values(simulate(random), number) for number in range(runs * POOLED)]
        joins: dict[str, Callable[[Any], Any]] = {"association": pool_associations, "log-time shift": pool_shifts}
        for results, (name, join) in enumerate(joins.items()):
            each = [test[results] for test in tests]
            report(f"{kind}, {name}", [test.p_value for test in each[:runs]])
            groups = [join(each[i : i + POOLED]) for i in range(0, len(each), POOLED)]
            report(f"    {POOLED} runs pooled", [group.p_value for group in groups])


def cycles(random: Random, kind: str, number: int) -> tuple[FloatArray, float]:
    """Return the transitions at which cycles begin, and the end of the run within the last cycle."""
    length = {
        "regular": np.ones(number),
        "irregular": random.uniform(0.4, 1.6, number),
        "geometric": 1.15 ** np.linspace(0, min(number, 20), number) * random.uniform(0.85, 1.15, number),
    }[kind]
    length *= CYCLE / length.mean()
    start = random.uniform(0.3, 1.5) * length[0] + np.concatenate([[0], np.cumsum(length[:-1])])
    return np.round(start), float(start[-1] + random.uniform(0.3, 1.0) * length[-1])


def pulses(at: FloatArray, size: FloatArray, width: FloatArray | float, time: FloatArray) -> FloatArray:
    """Return the gain so far as a fraction of the total. Each gain is spread over a width around its time."""
    return np.asarray((np.clip((time[:, None] - at) / width, 0, 1) * size).sum(axis=1) / size.sum())


def accelerating(random: Random, time: FloatArray) -> FloatArray:
    return np.asarray(np.expm1(random.uniform(1, 6) * time))


def saturating(random: Random, time: FloatArray) -> FloatArray:
    return np.asarray(1 - np.exp(-random.uniform(1, 10) * time))


def sigmoid(random: Random, time: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp((random.uniform(0.1, 0.9) - time) / random.uniform(0.02, 0.2))))


def thinning(random: Random, time: FloatArray) -> FloatArray:
    number = random.integers(3, 60)
    return pulses(np.exp(random.uniform(np.log(0.003), 0, number)), random.exponential(1, number), 1e-6, time)


def clumped(random: Random, time: FloatArray) -> FloatArray:
    """Return 1 to 40 gains of very unequal size at random times, sudden or gradual."""
    number = random.integers(1, 41)
    size = random.exponential(1, number) ** random.choice([1, 2])
    width = random.choice([1e-6, 0.005, 0.02]) * random.uniform(0.3, 1.5, number)
    return pulses(random.uniform(0, 1, number), size, width, time)


FAMILIES = {
    "accelerating": accelerating,
    "saturating": saturating,
    "sigmoid": sigmoid,
    "thinning in log time": thinning,
    "clumped": clumped,
}


def measured(random: Random, accuracy: FloatArray) -> FloatArray:
    """Return an accuracy as it may be logged: exact, rounded, or with fluctuations that last some evaluations."""
    kind = random.integers(3)
    if kind == 1:
        accuracy = np.round(accuracy * 500) / 500
    if kind == 2:
        noise = np.convolve(random.normal(0, 0.002, len(accuracy) + 4), np.ones(5) / 2, mode="valid")
        accuracy = accuracy + noise
    return np.clip(accuracy, 0, 1)


def gain_without_relation(random: Random, family: str, dips: bool) -> GainAssociation:
    number = int(np.exp(random.uniform(np.log(5), np.log(101))))
    at, end = cycles(random, str(random.choice(["regular", "irregular", "geometric"])), number)
    step = np.arange(0, end, random.choice([25, 100, 250, 500]))
    gain = FAMILIES[family](random, step / end)
    accuracy = 0.2 + random.uniform(0.07, 0.7) * (gain - gain[0]) / (gain[-1] - gain[0] or 1)
    if dips:
        since = step - np.append(-np.inf, at)[np.searchsorted(at, step, side="right")]
        accuracy = accuracy - random.uniform(0.02, 0.2) * np.exp(-since / CYCLE / random.uniform(0.02, 0.4))
    return gain_association(step, measured(random, accuracy), at[at <= step[-1]], (0, step[-1]))


def gain_after_transitions(random: Random, number: int, kind: str, evenly: bool) -> GainAssociation:
    at, end = cycles(random, kind, number)
    step = np.arange(0, end, 100)
    size = random.exponential(1, number)
    length = np.diff(np.append(at, end))
    follows = pulses(at + np.minimum(random.uniform(50, 600, number), length / 2), size, 1e-6, step)
    other = step / end if evenly else pulses(at + random.uniform(0, 1, number) * length, size, 1e-6, step)
    accuracy = 0.2 + 0.7 * (follows + other) / 2
    return gain_association(step, measured(random, accuracy), at[at <= step[-1]], (0, step[-1]))


def gain(runs: int, seed: int) -> None:
    for dips in (False, True):
        for family in FAMILIES:
            random = np.random.default_rng(seed)
            each = [gain_without_relation(random, family, dips) for _ in range(runs * POOLED)]
            report(f"{family}{', dips at transitions' if dips else ''} (size)", [one.p_value for one in each[:runs]])
            groups = [pool_gain_associations(each[i : i + POOLED]) for i in range(0, len(each), POOLED)]
            report(f"    {POOLED} runs pooled", [group.p_value for group in groups])
    for kind in ("regular", "irregular"):
        for evenly, words in ((True, "evenly"), (False, "anywhere in its cycle")):
            for number in (20, 40, 60):
                random = np.random.default_rng(seed)
                each = [gain_after_transitions(random, number, kind, evenly) for _ in range(runs // 4)]
                report(f"{number} {kind} cycles, other half {words} (power)", [one.p_value for one in each])


def speed(runs: int, seed: int) -> None:
    """Print the median time of each test over ten runs."""
    random = np.random.default_rng(seed)
    for number in (10, 100, 1000, 10_000):
        times = []
        for _ in range(10):
            at, late = random.uniform(10, 1e6, number), random.uniform(0, 1e6, 1000)
            step, accuracy = np.arange(0, 1e6 + 1, 100), np.sort(random.uniform(0, 1, 10_001))
            start = time.perf_counter()
            association_test(late, at, (-200, 1000), (0, 1e6))
            middle = time.perf_counter()
            gain_association(step, accuracy, at, (0, 1e6))
            times.append((middle - start, time.perf_counter() - middle))
        of_jumps, of_gain = np.median(times, axis=0)
        click.echo(f"{number:>6} transitions: jumps {of_jumps:.4f} s, gain {of_gain:.4f} s")


SECTIONS: dict[str, Callable[[int, int], None]] = {"jumps": jumps, "gain": gain, "speed": speed}


@click.command()
@click.option("--section", type=click.Choice(list(SECTIONS)), multiple=True, default=list(SECTIONS))
@click.option("--runs", default=1000, show_default=True, help="Simulated runs, and pools of runs, of each kind.")
@click.option("--seed", default=0, show_default=True)
def main(section: tuple[str, ...], runs: int, seed: int) -> None:
    for name in section:
        click.echo(f"\n{name}, seed {seed}: rejected at 5%, 95% interval by Wilson")
        SECTIONS[name](runs, seed)


if __name__ == "__main__":
    main()
