"""How well and how fast slingshots are found, compared with general changepoint detectors.

Run it from the project's root; each section can be run alone::

    OMP_NUM_THREADS=1 python benchmarks/detection.py --section synthetic

Scores come from seeds of 50,000 and more; no threshold of this project was tuned on these seeds. Half of the runs have
losses that underflow to 0. The counts of all runs in a row of a table are pooled. F1 is over events of confidence 0.5
or more, matched one to one. Section `logs` needs a folder, and `recorded` takes another folder than examples/data::

    python benchmarks/detection.py --section logs --logs LOGS --section recorded --recorded RUNS
"""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import click
from detection_logs import logs, recorded, strangers
from detection_rivals import rivals
from detection_shared import (
    FIRST_SEED,
    INPUTS,
    MARGINS,
    STEPS,
    certain,
    detect,
    others,
    positives,
    table,
    transition_score,
)

from slingshot_analysis import Slingshot, detect_slingshots
from slingshot_analysis.evaluation import Score, calibration, match_events, pool_scores, score_events
from slingshot_analysis.events import Shape
from slingshot_analysis.slingshots import assemble
from slingshot_analysis.synthetic import NEGATIVE_KINDS, Style, SyntheticRun, negative_run, slingshot_run

DATA = Path(os.environ.get("SLINGSHOT_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
BESIDE = DATA / "strangers"
"""Where the tests look for these logs."""
ONSET_MARGIN = 0.01


def onset_score(events: list[Slingshot], run: SyntheticRun, margin: float) -> Score:
    onsets = [event.growth_start for event in certain(events) if event.growth_start is not None]
    return score_events(onsets, run.onsets, margin)


def synthetic(seeds: int, rows: tuple[int, ...]) -> None:
    """Score transitions, onsets, false events and confidences on synthetic runs."""
    test = range(FIRST_SEED, FIRST_SEED + seeds)
    judged: dict[str, list[tuple[str, float, bool]]] = {name: [] for name in INPUTS}
    table(
        f"synthetic: F1 by input (margins: transitions {MARGINS}, onsets {ONSET_MARGIN}, of the run)",
        ["rows", "style", "shape", "runs", "events", *INPUTS, "median error", "onset, norm", "onset, loss"],
        (
            _positive_row(judged, test, n, style, shape)
            for n in rows
            for style in get_args(Style)
            for shape in get_args(Shape)
        ),
    )
    table(
        "synthetic: runs without slingshots: false events per run, and share of runs with the verdict 'slingshots'",
        ["rows", "kind", "runs", *INPUTS, "verdict, loss", "verdict, errors"],
        (_negative_row(judged, test, n, kind) for n in rows for kind in NEGATIVE_KINDS),
    )
    for inputs, events in judged.items():
        _print_calibration(f"synthetic: confidence from {inputs}", events)
        _print_calibration("the same without steady instability", [e for e in events if e[0] != "instability"])


def _print_calibration(title: str, events: list[tuple[str, float, bool]]) -> None:
    found = calibration([event[1] for event in events], [event[2] for event in events])
    values = found.edges[:-1], found.edges[1:], found.count, found.confidence, found.correct
    rows = [row for row in zip(*(value.tolist() for value in values), strict=True) if row[2]]
    title += f"; expected calibration error {found.error:.3f}, {found.n} events"
    table(title, ["from", "to", "events", "confidence", "correct"], rows)


def _positive_row(judged: dict[str, Any], seeds: Iterable[int], rows: int, style: str, shape: str) -> list[Any]:
    scores: dict[str, list[Score]] = {name: [] for name in INPUTS}
    onsets: dict[str, list[Score]] = {name: [] for name in INPUTS}
    span = max(STEPS, rows)
    for run in positives(seeds, rows, style, shape):
        for inputs, margin in MARGINS.items():
            events = detect(run, inputs)
            scores[inputs].append(transition_score(events, run, margin * span))
            onsets[inputs].append(onset_score(events, run, ONSET_MARGIN * span))
            hits = match_events([event.transition for event in events], run.transitions, margin * span)[:, 0]
            judged[inputs] += [("slingshots", event.confidence, i in hits) for i, event in enumerate(events)]
    f1 = [pool_scores(each).f1 for each in scores.values()]
    loss = pool_scores(scores["loss"])
    of_onsets = [pool_scores(onsets[inputs]).f1 for inputs in ("norm", "loss")]
    return [rows, style, shape, len(scores["loss"]), loss.n_true, *f1, loss.median_error, *of_onsets]


def _negative_row(judged: dict[str, Any], seeds: range, rows: int, kind: Any) -> list[Any]:
    counts = dict.fromkeys(INPUTS, 0)
    verdicts = dict.fromkeys(INPUTS, 0)
    for seed in seeds:
        run = negative_run(seed, kind, rows=rows, steps=max(STEPS, rows), underflow=bool(seed % 2))
        for inputs in INPUTS:
            found = assemble(norm=run.signals["last_layer_norm"], **others(run, inputs))
            counts[inputs] += len(certain(list(found.slingshots)))
            verdicts[inputs] += found.verdict == "slingshots"
            judged[inputs] += [(kind, event.confidence, False) for event in found.slingshots]
    shares = [verdicts[name] / len(seeds) for name in INPUTS if INPUTS[name]]
    return [rows, kind, len(seeds), *(count / len(seeds) for count in counts.values()), *shares]


SPEED_ROWS = (80_000, 1_000_000)
LONG_ROWS = 10_000_000
REPEATS = 3


def speed(rows: tuple[int, ...]) -> None:
    """Time `detect_slingshots` with four signals in memory, and measure the additional memory that it allocates."""
    table(
        f"speed: four signals, warm, best of {REPEATS}; memory is what Python and NumPy allocate, at its peak",
        ["rows", "array MB", "seconds", "extra MB", "ratio", "true", "F1"],
        (_speed_row(n) for n in rows),
    )


def _speed_row(rows: int) -> list[Any]:
    run = slingshot_run(FIRST_SEED, rows=rows, steps=rows, cycles=(rows / 200, rows / 5))
    step = run.signals["last_layer_norm"].step
    errors = run.signals["batch_errors"].value
    arrays = {
        "norm": run.signals["last_layer_norm"].value,
        "batch_loss": run.signals["batch_loss"].value,
        "batch_errors": errors,
        "train_accuracy": 1 - errors / 32,
    }
    size = step.nbytes + sum(array.nbytes for array in arrays.values())
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        events = detect_slingshots(step, **arrays)
        times.append(time.perf_counter() - start)
    tracemalloc.start()
    detect_slingshots(step, **arrays)
    extra = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    score = transition_score(events, run, 0.001 * rows)
    return [rows, size / 1e6, min(times[1:]), extra / 1e6, extra / size, score.n_true, score.f1]


SECTIONS = ("synthetic", "rivals", "speed", "logs", "strangers", "recorded")


@click.command()
@click.option("--section", "sections", multiple=True, type=click.Choice(SECTIONS), default=SECTIONS)
@click.option("--seeds", default=10, show_default=True, help="Runs for each row of a table.")
@click.option("--rows", default="2000,20000,200000", show_default=True, help="Lengths, separated by commas.")
@click.option("--logs", "log_folder", type=click.Path(path_type=Path), help="Labelled logs, with their LABELS.json.")
@click.option(
    "--strangers",
    "strangers_folder",
    type=click.Path(path_type=Path),
    default=lambda: BESIDE if BESIDE.is_dir() else None,
    help="Small logs in others' shapes; by default those of the tests.",
)
@click.option(
    "--recorded",
    "recorded_folder",
    type=click.Path(path_type=Path),
    default="examples/data",
    show_default=True,
    help="Traces, such as those of labelled_runs.py.",
)
@click.option("--long", is_flag=True, help=f"Time {LONG_ROWS:,} rows too; takes 1.5 GB.")
def main(
    sections: tuple[str, ...],
    seeds: int,
    rows: str,
    log_folder: Path | None,
    strangers_folder: Path | None,
    recorded_folder: Path,
    long: bool,
) -> None:
    lengths = tuple(map(int, rows.split(",")))
    if "synthetic" in sections:
        synthetic(seeds, lengths)
    if "rivals" in sections:
        rivals(seeds, lengths)
    if "speed" in sections:
        speed((*SPEED_ROWS, LONG_ROWS) if long else SPEED_ROWS)
    if "logs" in sections and log_folder:
        logs(log_folder)
    if "strangers" in sections and strangers_folder:
        strangers(strangers_folder)
    if "recorded" in sections:
        recorded(recorded_folder)


if __name__ == "__main__":
    main()
