"""How often `signals_before` finds a signal that moves before spikes, by simulation, and how long it takes.

Run it from the project's root; each section can be run alone::

    OMP_NUM_THREADS=1 python benchmarks/leads.py --section false --runs 2000
    OMP_NUM_THREADS=1 python benchmarks/leads.py --section power --runs 500
    OMP_NUM_THREADS=1 python benchmarks/leads.py --section speed

Section `false`: a simulated run has 1 to 20 spikes at random steps, either anywhere or all in one fifth of the run, and
32 signals, two of each of 16 kinds, none of which knows of the spikes (`after` moves with each of them, not before).
The table gives the share of runs with any finding, that of runs with a finding in any kind but `restless third`, which
has spikes of its own in one third of the run alone, and for each kind the share of signals with a p-value of at most
0.05 before the correction for their number.

Section `power`: one of these 32 signals moves before each spike, by 5 or 8 standard deviations (of its logarithm, if it
is log-normal), from some updates before the spike up to it. A run has 5,000 rows. The table gives three shares:
of the runs, those that find it among the 32 signals, and those with a p-value of at most 0.05, as if it were alone; of
these, those with the median lead within one row of the true one.

Section `speed`: 30 signals of 10,000 and of 1,000,000 rows, CPU time of the best of five calls.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import click
import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from slingshot_analysis.association import SignalLead, signals_before

Array = npt.NDArray[np.float64]
Pair = tuple[Array, Array]
SPIKES = 1, 2, 3, 5, 10, 20
PLANTED = (5, 1), (5, 5), (5, 20), (8, 5)


def autocorrelated(random: np.random.Generator, n: int, share: float = 0.95) -> Array:
    """Return AR(1) noise of unit variance."""
    shock = random.normal(0, np.sqrt(1 - share**2), n)
    shock[0] /= np.sqrt(1 - share**2)
    return np.asarray(lfilter([1.0], [1.0, -share], shock))


def bursts(random: np.random.Generator, n: int) -> Array:
    """Return 20 spikes at random places that decay within some rows."""
    hits = np.zeros(n)
    hits[random.integers(0, n, 20)] = random.exponential(3.0, 20)
    return np.asarray(lfilter([1.0], [1.0, -0.8], hits))


def restless(random: np.random.Generator, n: int) -> Array:
    """Return noise with 20 short spikes in one third of the run, and none elsewhere."""
    hits = np.zeros(n)
    hits[random.integers(0, n - n // 3) + random.integers(0, n // 3, 20)] = random.exponential(3.0, 20)
    return 1 + np.asarray(lfilter([1.0], [1.0, -0.8], hits)) + 0.1 * random.normal(0, 1, n)


def steps(random: np.random.Generator, n: int) -> Array:
    """Return a level that changes at ten random places."""
    change = np.zeros(n)
    change[random.integers(0, n, 10)] = random.normal(0, 1, 10)
    return np.cumsum(change)


def schedule(random: np.random.Generator, n: int) -> Array:
    """Return a learning rate with warm-up and cosine decay, in four digits."""
    warm = int(n * random.uniform(0.01, 0.2))
    rest = 0.5 * (1 + np.cos(np.pi * np.linspace(0, 1, n - warm)))
    return np.round(1e-3 * np.append(np.arange(warm) / warm, rest), 7)


def missing(random: np.random.Generator, n: int) -> Array:
    """Return noise of which a third is NaN, in part in long gaps."""
    value = random.normal(1, 0.1, n)
    value[random.random(n) < 0.2] = np.nan
    for start in random.integers(0, n, 5):
        value[start : start + n // 40] = np.nan
    return value


KINDS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "white": lambda random, n: random.normal(1, 0.1, n),
    "AR(1) 0.95": lambda random, n: 1 + 0.1 * autocorrelated(random, n),
    "random walk": lambda random, n: np.cumsum(random.normal(0, 1, n)),
    "growing norm": lambda random, n: np.log1p(np.arange(n)) * (1 + 1e-4 * random.normal(0, 1, n)),
    "schedule": schedule,
    "learning-rate drops": lambda random, n: 10.0 ** -np.searchsorted(np.sort(random.integers(0, n, 3)), np.arange(n)),
    "heavy tails (t, 2)": lambda random, n: random.standard_t(2, n),
    "log-normal": lambda random, n: np.exp(autocorrelated(random, n, 0.5)),
    "spikes of its own": lambda random, n: 1 + bursts(random, n) + 0.1 * random.normal(0, 1, n),
    "restless third": restless,
    "steps": lambda random, n: steps(random, n) + 0.1 * random.normal(0, 1, n),
    "periodic": lambda random, n: (
        np.sin(np.arange(n) * 2 * np.pi / random.uniform(5, 500) + random.uniform(0, 6)) + 0.2 * random.normal(0, 1, n)
    ),
    "counts": lambda random, n: random.poisson(random.choice([0.01, 0.3, 20.0]), n).astype(float),
    "missing rows": missing,
    "every 20th row": lambda random, n: random.normal(1, 0.1, n),
    "after": lambda random, n: random.normal(1, 0.1, n),
}


def make_run(random: np.random.Generator, n: int, spikes: int, clustered: bool) -> tuple[Array, dict[str, Pair]]:
    """Return spikes, and two signals of each kind."""
    first, length = (random.integers(0, n - n // 5), n // 5) if clustered else (0, n)
    starts = np.sort(first + random.choice(length, spikes, replace=False)).astype(float)
    step = np.arange(n, dtype=float)
    signals = {}
    for kind, make in KINDS.items():
        for copy in range(2):
            every = 20 if kind == "every 20th row" else 1
            value = make(random, n)
            if kind == "after":
                value += response(random, n, starts)
            signals[f"{kind} {copy}"] = (step[::every], value[::every])
    return starts, signals


def response(random: np.random.Generator, n: int, starts: Array) -> Array:
    """Return what begins at each spike and decays over 5 to 100 rows."""
    hits = np.zeros(n)
    hits[starts.astype(int)] = random.uniform(1, 10)
    return np.asarray(lfilter([1.0], [1.0, -np.exp(-1 / random.uniform(5, 100))], hits))


def false_alarms(runs: int, rows: tuple[int, ...]) -> None:
    """Print how often anything is found where there is nothing."""
    click.echo(f"{'rows':>6} {'spikes':>6} {'place':>9} {'any':>6} {'steady':>6}   p <= 0.05 by kind, in per cent")
    click.echo(" " * 41 + "  ".join(KINDS))
    for n in rows:
        for clustered in (False, True):
            for spikes in SPIKES:
                if spikes > n // 50 or (clustered and spikes < 3):
                    continue
                alarms, steady, by_kind, tested = 0, 0, Counter[str](), Counter[str]()
                for seed in range(runs):
                    random = np.random.default_rng([n, spikes, clustered, seed])
                    starts, signals = make_run(random, n, spikes, clustered)
                    found = signals_before(starts, signals, seed=seed)
                    kinds = {one.name[:-2] for one in found if one.finding == "moves"}
                    alarms += bool(kinds)
                    steady += bool(kinds - {"restless third"})
                    for one in found:
                        tested[one.name[:-2]] += one.p_value is not None
                        by_kind[one.name[:-2]] += one.p_value is not None and one.p_value <= 0.05
                shares = "  ".join(f"{100 * by_kind[kind] / max(tested[kind], 1):4.1f}" for kind in KINDS)
                place = "one fifth" if clustered else "anywhere"
                click.echo(f"{n:>6} {spikes:>6} {place:>9} {alarms / runs:>6.3f} {steady / runs:>6.3f}   {shares}")


def power(runs: int) -> None:
    """Print how often a planted movement is found, and with the right lead."""
    n = 5000
    head = "  ".join(f"{spikes:>16}" for spikes in SPIKES)
    click.echo(
        f"{'noise':>12} {'deviations':>10} {'lead':>4}   found of 32, alone, lead right, by spikes:\n{' ' * 31}{head}"
    )
    for kind in ("white", "AR(1) 0.95", "log-normal"):
        for size, lead in PLANTED:
            cells = []
            for spikes in SPIKES:
                found = [planted(kind, size, lead, n, spikes, seed) for seed in range(runs)]
                of_many = sum(one.finding == "moves" for one in found) / runs
                alone = [one for one in found if one.p_value is not None and one.p_value <= 0.05]
                right = sum(one.lead is not None and abs(one.lead - lead) <= 1 for one in alone)
                cells.append(f"{of_many:.2f} {len(alone) / runs:.2f} {right / max(len(alone), 1):.2f}")
            click.echo(f"{kind:>12} {size:>10} {lead:>4}   " + "  ".join(f"{cell:>16}" for cell in cells))


def planted(kind: str, size: float, lead: int, n: int, spikes: int, seed: int) -> SignalLead:
    """Return what is found for a signal that moves before each spike, among 31 others that don't."""
    random = np.random.default_rng([1, spikes, int(size), lead, seed])
    starts, signals = make_run(random, n, spikes, clustered=False)
    step, value = signals[f"{kind} 0"]
    moved = np.searchsorted(starts, step, "right") < np.searchsorted(starts, step + lead, "right")
    signals[f"{kind} 0"] = step, value * np.exp(size * moved) if kind == "log-normal" else value + 0.1 * size * moved
    return next(one for one in signals_before(starts, signals, seed=seed) if one.name == f"{kind} 0")


def speed() -> None:
    """Print CPU times."""
    random = np.random.default_rng(0)
    for n, spikes in ((10_000, 5), (10_000, 20), (1_000_000, 20)):
        step = np.arange(n, dtype=float)
        signals = {str(number): (step, random.normal(1, 0.1, n)) for number in range(30)}
        starts = random.choice(n, spikes, replace=False).astype(float)
        times = []
        for _ in range(5):
            begun = time.process_time()
            signals_before(starts, signals)
            times.append(time.process_time() - begun)
        click.echo(f"30 signals of {n:>9,} rows, {spikes:>2} spikes: {1000 * min(times):5.0f} ms")


@click.command()
@click.option("--section", type=click.Choice(["false", "power", "speed"]), multiple=True)
@click.option("--runs", default=500, show_default=True, help="Simulated runs in each cell.")
@click.option("--rows", type=int, multiple=True, default=(500, 3000), show_default=True, help="Lengths of runs.")
def main(section: tuple[str, ...], runs: int, rows: tuple[int, ...]) -> None:
    """Measure size, power and speed of `signals_before`."""
    chosen = section or ("false", "power", "speed")
    if "false" in chosen:
        false_alarms(runs, rows)
    if "power" in chosen:
        power(runs)
    if "speed" in chosen:
        speed()


if __name__ == "__main__":
    main()
