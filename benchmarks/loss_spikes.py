"""How well loss spikes are found in pretraining-like logs, what becomes of them, and how fast.

Run it from the project's root::

    OMP_NUM_THREADS=1 python benchmarks/loss_spikes.py

Thresholds were tuned on seeds below 7,000 of `pretraining_log`; the default seeds begin at 50,000. A spike is found if
one begins within five rows of it, matched one to one.
"""

from __future__ import annotations

import time
from collections import Counter

import click
import numpy as np

from slingshot_analysis import analyze, detect_loss_spikes
from slingshot_analysis.evaluation import match_events
from slingshot_analysis.synthetic import PretrainingLog, pretraining_log

ROWS_APART = 5
"""Maximum distance of a spike found and a true one, in rows."""
LENGTHS = (300, 2000, 20_000)
COLUMNS = ("number", "true", "found", "recall", "precision", "outcome", "verdict")
LONG_ROWS = 1_000_000
REPEATS = 3


def judged(log: PretrainingLog) -> Counter[str]:
    """Count true, found and matched spikes of a log, right outcomes, and whether the verdict is right."""
    found = analyze(log.signals)
    step = log.signals["train_loss"].step
    steps = [spike.start for spike in found.loss_spikes], [spike.start for spike in log.spikes]
    pairs = match_events(*steps, float(ROWS_APART * (step[1] - step[0])))
    right = sum(found.loss_spikes[i].outcome == log.spikes[j].outcome for i, j in pairs.tolist())
    return Counter(
        logs=1,
        true=len(log.spikes),
        found=len(found.loss_spikes),
        hits=len(pairs),
        outcomes=right,
        verdicts=int(found.verdict == log.verdict),
    )


def table(seeds: range) -> None:
    """Print recall, precision and the shares of right outcomes and verdicts, by true verdict and by number of rows."""
    counts: dict[str, Counter[str]] = {}
    for seed in seeds:
        log = pretraining_log(seed)
        rows = len(log.signals["train_loss"])
        length = next(f"up to {most:,} rows" for most in LENGTHS if rows <= most)
        judgement = judged(log)
        for group in ("all", log.verdict, length):
            counts.setdefault(group, Counter()).update(judgement)
    click.echo(f"{'logs':>20}" + "".join(f"{name:>12}" for name in COLUMNS))
    for group in ("all", "none", "spikes", "diverged", *(f"up to {most:,} rows" for most in LENGTHS)):
        n = counts.get(group, Counter())
        shares = (("hits", "true"), ("hits", "found"), ("outcomes", "hits"), ("verdicts", "logs"))
        cells = [f"{n[part] / n[of]:.3f}" if n[of] else "-" for part, of in shares]
        click.echo(f"{group:>20}" + "".join(f"{cell:>12}" for cell in (n["logs"], n["true"], n["found"], *cells)))


def speed() -> None:
    """Time `detect_loss_spikes` on a long log."""
    random = np.random.default_rng(0)
    step = np.arange(LONG_ROWS)
    loss = 3 + 2 * np.exp(-step / 1e5) + random.normal(0, 0.05, LONG_ROWS)
    for at in random.integers(1000, LONG_ROWS - 1000, 30):
        loss[at : at + 60] += 2 * np.exp(-np.arange(60) / 15)
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        found = detect_loss_spikes(step, loss)
        times.append(time.process_time() - start)
    click.echo(f"{LONG_ROWS:,} rows: {len(found)} of 30 spikes, {min(times):.3f} s")


@click.command()
@click.option("--first-seed", default=50_000, show_default=True)
@click.option("--logs", default=1000, show_default=True, help="Number of logs.")
def main(first_seed: int, logs: int) -> None:
    table(range(first_seed, first_seed + logs))
    speed()


if __name__ == "__main__":
    main()
