"""How well and how fast slingshots are found, compared with general changepoint detectors.

Run it from the project's root; each section can be run alone::

    OMP_NUM_THREADS=1 python benchmarks/detection.py --section synthetic

Scores come from seeds of 50,000 and more; no threshold of this project was tuned on these seeds. Half of the runs have
losses that underflow to 0. The counts of all runs in a row of a table are pooled. F1 is over events of confidence 0.5
or more, matched one to one. Section `logs` needs a folder, and `recorded` takes another folder than examples/data::

    python benchmarks/detection.py --section logs --logs LOGS --section recorded --recorded RUNS
"""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
import ruptures

from slingshot_analysis import Labels, Slingshot, Trace, analyze, detect_slingshots, evaluate, open_trace, read_log
from slingshot_analysis.canonical import MAD_OF_NORMAL
from slingshot_analysis.evaluation import Score, calibration, match_events, pool_scores, score_events
from slingshot_analysis.events import CERTAIN, Shape
from slingshot_analysis.slingshots import assemble
from slingshot_analysis.synthetic import (
    HOSTILE_VERDICTS,
    NEGATIVE_KINDS,
    CoarseShape,
    Style,
    SyntheticRun,
    coarse_run,
    hostile_run,
    negative_run,
    slingshot_run,
)

FIRST_SEED = 50_000
DATA = Path(os.environ.get("SLINGSHOT_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
BESIDE = DATA / "strangers"
"""Where the tests look for these logs."""
INPUTS: dict[str, tuple[str, ...]] = {
    "norm": (),
    "loss": ("batch_loss",),
    "errors": ("batch_loss", "batch_errors", "train_accuracy"),
}
"""Signals that are given in addition to the norm."""
MARGINS = {"norm": 0.01, "loss": 0.001, "errors": 0.001}
ONSET_MARGIN = 0.01
STEPS = 100_000


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print rows as they come, with floats to three places."""
    names = list(columns)
    click.echo(f"\n{title}\n" + "  ".join(f"{name:>14}" for name in names))
    for row in rows:
        cells = [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row]
        click.echo("  ".join(f"{cell:>14}" for cell in cells))


def positives(seeds: Iterable[int], rows: int, style: str, shape: str) -> Iterator[SyntheticRun]:
    for seed in seeds:
        yield slingshot_run(seed, rows=rows, steps=max(STEPS, rows), style=style, shape=shape, underflow=bool(seed % 2))


def others(run: SyntheticRun, inputs: str) -> dict[str, Any]:
    return {name: run.signals[name] for name in INPUTS[inputs]}


def detect(run: SyntheticRun, inputs: str) -> list[Slingshot]:
    return detect_slingshots(norm=run.signals["last_layer_norm"], **others(run, inputs))


def certain(events: list[Slingshot]) -> list[Slingshot]:
    return [event for event in events if event.confidence >= CERTAIN]


def transition_score(events: list[Slingshot], run: SyntheticRun, margin: float) -> Score:
    return score_events([event.transition for event in certain(events)], run.transitions, margin)


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


KINDS = {
    "slingshot": "slingshots",
    "negative": "none",
    "drift_no_slingshot": "spikes",
    "grok_no_norm": "none",
    "divergence": "diverged",
    "unstable": "unstable",
    "noisy": "unstable",
    "acc_only": "undecided",
}
"""Verdict of each kind of labelled log, by the start of its name."""


def logs(folder: Path) -> None:
    """Score logs that others wrote, as `read_log` reads them. Each is scored up to the step to which it is labelled."""
    labels = json.loads((folder / "LABELS.json").read_text(encoding="utf-8"))
    labels = {name: label for name, label in labels.items() if "kind" in label}
    scores: list[Score] = []
    table(
        "logs of others: 'must find' spikes found, and events of confidence 0.5 or more that are in neither list",
        ["file", "kind", "verdict", "right", "must", "found", "extra", "missed"],
        (row for name, label in labels.items() for row in _log_rows(folder / name, label, scores)),
    )
    total = pool_scores(scores)
    click.echo(f"all slingshot files: recall {total.recall:.3f} of {total.n_true}, precision {total.precision:.3f}")


def _log_rows(path: Path, label: dict[str, Any], scores: list[Score]) -> Iterator[list[Any]]:
    expected = next(verdict for kind, verdict in KINDS.items() if label["kind"].startswith(kind))
    for run in read_log(path):
        analysis = analyze(run)
        last = label.get("labelled_up_to_step") or np.inf
        found = [event.transition for event in certain(list(analysis.slingshots)) if event.transition <= last]
        must, may = label.get("must_find_spikes", []), label.get("may_find_spikes", [])
        if expected != "slingshots":
            must, may = [], []
        steps = [spike["step"] for spike in must]
        hits = match_events(found, steps, [spike["tol"] for spike in must])
        rest = [step for i, step in enumerate(found) if i not in hits[:, 0]]
        extra = [step for step in rest if not any(abs(step - s["step"]) <= s["tol"] for s in [*must, *may])]
        if label["kind"].startswith("slingshot"):
            scores.append(Score(len(steps), len(hits) + len(extra), len(hits)))
        missed = [step for i, step in enumerate(steps) if i not in hits[:, 1]]
        right = "yes" if analysis.verdict == expected else "NO"
        yield [run.name[-40:], label["kind"][:20], analysis.verdict, right, len(steps), len(hits), extra, missed]


STRANGERS: dict[str, tuple[set[str], list[float], float]] = {
    "periodic_alternating_heights.csv": ({"slingshots"}, [*np.linspace(1100, 23_600, 19)], 250),
    "periodic_alternating_heights_without_norm.csv": ({"slingshots"}, [*np.linspace(1100, 23_600, 19)], 250),
    "periodic_total_norm.csv": ({"slingshots"}, [*np.linspace(1100, 23_600, 19), 25_000], 250),
    "two_losses_one_sparse.csv": ({"slingshots"}, [3823, 8799, 10_681, 21_551, 25_775], 100),
    "sparse_loss_vetoes_batch_spike.csv": ({"slingshots"}, [3824, 8800, 10_784, 21_632, 25_984, 33_664], 100),
    "two_cadences_step_in_one_gap.csv": ({"slingshots"}, [3824, 8800, 10_784, 21_632, 25_984, 33_664], 100),
    "slow_rise_spike.csv": ({"slingshots"}, [19_600], 100),
    "slow_hump.csv": ({"none"}, [], 0),
    "weight_decay_chaos.csv": ({"unstable"}, [], 0),
    "relaxation_cycles.csv": ({"slingshots", "unstable"}, [*range(700, 20_000, 700)], 100),
    "llm_pretraining_spikes.csv": ({"none", "spikes"}, [], 0),
    "nan_inf.jsonl": ({"slingshots"}, [3000, 6000], 60),
}
"""Correct verdicts and transitions of small logs in formats that others write, and the tolerance of the steps."""
COARSE_SEEDS = 60
COARSE_GIVEN = {
    "everything": ("train_loss", "train_accuracy", "total_norm"),
    "no norm": ("train_loss", "train_accuracy"),
    "no accuracy": ("train_loss", "total_norm"),
}


def strangers(folder: Path) -> None:
    """Score small logs in others' formats, coarse logs of regular cycles, and hostile logs."""
    table(
        "small logs in others' shapes: transitions found, events that are none, spikes without norm growth",
        ["right", "verdict", "true", "found", "extra", "no growth", "file"],
        (_stranger_row(folder / name, *truth) for name, truth in STRANGERS.items()),
    )
    seeds = range(FIRST_SEED, FIRST_SEED + COARSE_SEEDS)
    table(
        "coarse logs of regular cycles: recall from 1.5 rows before to 2.5 rows after, extra events, right verdicts",
        ["shape", "given", "logs", "cycles", "recall", "extra", "verdicts"],
        (_coarse_row(shape, given, seeds) for shape in get_args(CoarseShape) for given in COARSE_GIVEN),
    )
    table(
        "hostile logs: right verdicts, and events of confidence 0.5 or more",
        ["kind", "logs", "right", "events"],
        (_hostile_row(kind, seeds) for kind in HOSTILE_VERDICTS),
    )


def _stranger_row(path: Path, verdicts: set[str], true: list[float], margin: float) -> list[Any]:
    analysis = analyze(read_log(path)[0])
    found = [event.transition for event in analysis.certain]
    hits = len(match_events(found, true, margin))
    right = analysis.verdict in verdicts and (hits == len(true) == len(found) or "unstable" in verdicts)
    without = [event.transition for event in analysis.spikes_without_norm_growth if event.confidence >= CERTAIN]
    return ["yes" if right else "NO", analysis.verdict, len(true), hits, len(found) - hits, without, path.name]


def _given(run: SyntheticRun, given: str) -> Any:
    names = COARSE_GIVEN[given]
    return assemble(**{("norm" if name == "total_norm" else name): run.signals[name] for name in names})


def _coarse_row(shape: Any, given: str, seeds: range) -> list[Any]:
    true = hits = extra = right = 0
    for seed in seeds:
        run = coarse_run(seed, shape, digits=3 + seed % 2)
        found = _given(run, given)
        stride = float(run.signals["train_loss"].step[1])
        steps = np.array([event.transition for event in certain(list(found.slingshots))]) - stride / 2
        matched = len(match_events(steps, run.transitions, 2 * stride))
        true, hits, extra = true + len(run.transitions), hits + matched, extra + len(steps) - matched
        right += found.verdict == "slingshots"
    return [shape, given, len(seeds), true, hits / true, extra, right]


def _hostile_row(kind: Any, seeds: range) -> list[Any]:
    found = [_given(hostile_run(seed, kind), "everything") for seed in seeds]
    right = sum(each.verdict in HOSTILE_VERDICTS[kind] for each in found)
    return [kind, len(seeds), right, sum(len(certain(list(each.slingshots))) for each in found)]


WITHHELD = {"batch_errors", "train_errors", "train_accuracy", "val_accuracy", "val_errors"}
RECORDED_MARGIN = 400


def recorded(folder: Path) -> None:
    """Score the runs of `labelled_runs.py`. Their misclassified training samples are the truth."""
    runs = [open_trace(path) for path in sorted(folder.glob("*.h5"))]
    if not runs:
        raise click.ClickException(f"{folder}: holds no traces; record them with benchmarks/labelled_runs.py")

    def blind(run: Trace) -> list[Slingshot]:
        return list(analyze({name: run[name] for name in run if name not in WITHHELD}, labels=Labels()).slingshots)

    seeing = evaluate(runs, "misclassification", margin=RECORDED_MARGIN)
    unseeing = evaluate(runs, "misclassification", detector=blind, margin=RECORDED_MARGIN)
    table(
        f"recorded runs: transitions within {RECORDED_MARGIN} updates; accuracies and errors given, and withheld",
        ["run", "true", "found", "hits", "withheld: found", "hits"],
        (
            [name[-48:], score.n_true, score.n_found, score.hits, other.n_found, other.hits]
            for (name, score), other in zip(seeing.scores.items(), unseeing.scores.values(), strict=True)
        ),
    )
    for words, found in (("given", seeing.pooled), ("withheld", unseeing.pooled)):
        click.echo(f"{words}: F1 {found.f1:.3f}, {found.hits} of {found.n_true}, {found.n_found - found.hits} extra")


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
