"""Section `rivals` of ``detection.py``: general changepoint detectors on the norm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, get_args

import numpy as np
import ruptures
from detection_shared import FIRST_SEED, MARGINS, STEPS, detect, positives, table, transition_score

from slingshot_analysis.canonical import MAD_OF_NORMAL
from slingshot_analysis.evaluation import Score, pool_scores, score_events
from slingshot_analysis.events import Shape
from slingshot_analysis.synthetic import Style, SyntheticRun

RAW, SLOPE = "log norm", "slope"
RIVALS: dict[tuple[str, str], Callable[[int], Any]] = {
    ("Pelt l2", SLOPE): lambda rows: ruptures.Pelt("l2", jump=5),
    ("Pelt clinear", RAW): lambda rows: ruptures.Pelt("clinear", jump=5),
    ("BottomUp l2", SLOPE): lambda rows: ruptures.BottomUp("l2", jump=5),
    ("BottomUp linear", RAW): lambda rows: ruptures.BottomUp("linear", jump=5),
    ("Window l2", SLOPE): lambda rows: ruptures.Window(width=rows // 50, model="l2", jump=5),
    ("Window linear", RAW): lambda rows: ruptures.Window(width=rows // 50, model="linear", jump=5),
    ("KernelCPD lin.", SLOPE): lambda rows: ruptures.KernelCPD("linear"),
    ("KernelCPD rbf", SLOPE): lambda rows: ruptures.KernelCPD("rbf"),
}
SLOW = {"Pelt l2", "Pelt clinear", "KernelCPD rbf"}
"""Detectors that take minutes or gigabytes for a run of 20,000 rows."""
FACTORS = (2.0, 10.0, 50.0, 300.0, 2000.0, 1e4, 1e5, 1e6)
"""Penalties to try, in units of log(rows) times the variance of the noise. The first one is that of BIC."""
TUNING_SEEDS, RIVAL_SEEDS = range(1), 2
LARGEST_RIVAL = 20_000


def rivals(seeds: int, rows: tuple[int, ...]) -> None:
    """Score general changepoint detectors on the norm: with BIC, and with the penalty that is best on other seeds."""
    test = range(FIRST_SEED, FIRST_SEED + min(seeds, RIVAL_SEEDS))
    table(
        f"rivals: transition F1 from the norm alone (margin {MARGINS['norm']}; true onsets count as optional)",
        ["rows", "detector", "signal", "runs", "events", "F1, BIC", "found, BIC", "F1, tuned", "factor", "seconds"],
        (row for n in rows if n <= LARGEST_RIVAL for row in _rival_rows(test, n)),
    )


def _rival_rows(seeds: Iterable[int], rows: int) -> Iterator[list[Any]]:
    cells = [(style, shape) for style in get_args(Style) for shape in get_args(Shape)]
    tuning = [run for cell in cells for run in positives(TUNING_SEEDS, rows, *cell)]
    test = [run for cell in cells for run in positives(seeds, rows, *cell)]
    start = time.perf_counter()
    ours = [transition_score(detect(run, "norm"), run, MARGINS["norm"] * STEPS) for run in test]
    seconds = (time.perf_counter() - start) / len(test)
    total = pool_scores(ours)
    yield [rows, "slingshot", "", len(test), total.n_true, total.f1, total.n_found, total.f1, "", seconds]
    for (name, signal), make in RIVALS.items():
        if name in SLOW and rows > 2000:
            continue
        tried = {factor: pool_scores(_rival_scores(make, signal, tuning, factor)) for factor in FACTORS}
        best = max(FACTORS, key=lambda factor: tried[factor].f1)
        plain = pool_scores(_rival_scores(make, signal, test, FACTORS[0]))
        start = time.perf_counter()
        tuned = pool_scores(_rival_scores(make, signal, test, best))
        seconds = (time.perf_counter() - start) / len(test)
        yield [rows, name, signal, len(test), plain.n_true, plain.f1, plain.n_found, tuned.f1, best, seconds]


def _rival_scores(make: Callable[[int], Any], signal: str, runs: list[SyntheticRun], factor: float) -> Iterator[Score]:
    for run in runs:
        norm = run.signals["last_layer_norm"]
        log_norm = np.log(norm.value)
        values = np.diff(log_norm) if signal == SLOPE else log_norm
        order = 1 if signal == SLOPE else 2
        noise = np.median(np.abs(np.diff(values, n=order))) / MAD_OF_NORMAL / np.sqrt(2 if order == 1 else 6)
        columns = [values / noise]
        algorithm = make(len(values))
        if getattr(getattr(algorithm, "cost", None), "model", "") == "linear" and signal == RAW:
            columns += [np.linspace(0, 1, len(values)), np.ones(len(values))]
        found = algorithm.fit(np.stack(columns, axis=1)).predict(pen=factor * np.log(len(values)))[:-1]
        yield score_events(norm.step[found], run.transitions, MARGINS["norm"] * STEPS, optional=run.onsets)
