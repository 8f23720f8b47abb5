"""Sections `logs`, `strangers` and `recorded` of ``detection.py``: runs of others, and runs recorded here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
from detection_shared import FIRST_SEED, certain, table

from slingshot_analysis import Labels, Slingshot, Trace, analyze, evaluate, open_trace, read_log
from slingshot_analysis.evaluation import Score, match_events, pool_scores
from slingshot_analysis.events import CERTAIN
from slingshot_analysis.slingshots import assemble
from slingshot_analysis.synthetic import HOSTILE_VERDICTS, CoarseShape, SyntheticRun, coarse_run, hostile_run

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
