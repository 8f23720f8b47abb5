"""Make the gallery of broken runs on which the diagnosis is tested: short runs, most with one thing broken.

Run it from the project's root. It takes about seven CPU minutes, and continues if it was stopped::

    OMP_NUM_THREADS=1 python benchmarks/gallery.py
    python benchmarks/gallery.py --show               # what the analysis and the diagnosis say of each run
    python benchmarks/gallery.py --plot gallery.png   # a picture of each run

Each run becomes a table as a trainer would log it, in `tests/diagnosis/gallery`: the configuration in the first line,
and five digits of each number. What is broken in which run stands in `tests/diagnosis/gallery.json`, apart from the
runs, so that no reader of the folder meets it. To make a run again, delete its table.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from small_language_model import BATCH, CONTEXT, LAYERS, WIDTH, OptimizerState, Training, train
from torch.nn import functional

from slingshot_analysis import Recorder, analyze, open_trace, read_log
from trainers.overrides import override_all
from trainers.recorded_run import record
from trainers.run import Run, cpu_settings
from trainers.setup import Setup, settings_of
from trainers.setups import find_setup

TESTS = Path(__file__).resolve().parents[1] / "tests" / "diagnosis"
FOLDER, MANIFEST = TESTS / "gallery", TESTS / "gallery.json"

COLUMNS = {
    "batch_loss": "loss",
    "learning_rate": "lr",
    "loss_scale": "loss_scale",
    "gradient_norm": "grad_norm",
    "update_norm": "update_norm",
    "last_layer_norm": "lm_head_norm",
    "total_norm": "weight_norm",
    "first_moment_norm": "first_moment_norm",
    "second_moment_norm": "second_moment_norm",
    "softmax_collapse": "softmax_collapse",
    "zero_gradient_fraction": "zero_gradient_fraction",
    "preconditioned_ratio": "preconditioned_ratio",
    "val_loss": "val_loss",
    "val_accuracy": "val_accuracy",
}
"""Quantities of a trace, and the columns that they become: names that trainers give them."""

PARITY_SEEDS = 3, 0, 1
PARITY_STEPS = 22_000
PARITY_EVERY = 5
"""Updates between two rows of sparse parity, whose spikes last for tens of updates."""

CAUSES = {
    "epsilon too small": "vanishing gradients",
    "beta2 too large": "second-moment lag",
    "no warm-up": "no warm-up",
    "step size raised": "learning-rate step",
    "poisoned batch": "bad batch",
    "half precision in the loss": "low precision",
    "moments lost at a resume": "lost moments",
    "exploding initialisation": "initialisation",
}
"""What is broken, and the cause that the diagnosis should name."""

BROKEN_FROM = 400
"""Step at which what breaks during a run of the language model does so: the middle."""


@dataclass(frozen=True)
class Kind:
    """Runs with the same thing broken.

    Parameters
    ----------
    broken : str or None
        What is broken; None for a control.
    at : int or None
        The step from which it is; None for a control.
    description : str
        How the runs are broken.
    changes : mapping
        Fields of `Training` that differ from the healthy run; or, for sparse parity, ``"settings"`` of its setup.
    changes_by_seed : mapping of int to mapping
        More such fields for single seeds.
    """

    broken: str | None
    at: int | None
    description: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    changes_by_seed: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


KINDS = {
    "parity-eps": Kind(
        "epsilon too small",
        0,
        "parity_3_50 as in the paper: eps 1e-8, loss in float32",
        {"settings": ()},
        {0: {"settings": ("steps=30000",)}, 1: {"settings": ("steps=20500",)}},
    ),
    "parity-healthy": Kind(
        None, None, "parity_3_50 with its loss in float64", {"settings": ("loss_dtype=float64", "steps=6000")}
    ),
    "parity-half": Kind(
        "half precision in the loss",
        0,
        "parity_3_50 with its loss in float16; seed 1 in bfloat16",
        {"settings": ("steps=6000",), "loss_dtype": torch.float16},
        {1: {"loss_dtype": torch.bfloat16}},
    ),
    "lm-half": Kind(
        "half precision in the loss",
        0,
        "the loss in float16; its scale doubles every 100 (110, 120) updates, and nothing checks for overflow",
        {"scale_doubles_every": 100},
        {1: {"scale_doubles_every": 110}, 2: {"scale_doubles_every": 120}},
    ),
    "lm-healthy": Kind(None, None, "nothing is broken"),
    "lm-rescaled": Kind(
        None,
        None,
        "the loss has a weight of 30 from the step 400, which a beta2 of 0.95 follows",
        {"lr": 0.06, "loss_weight": (BROKEN_FROM, 30.0)},
    ),
    "lm-beta2": Kind(
        "beta2 too large",
        0,
        "beta2 0.9999; the loss has a weight of 30 from the step 400, which the second moment does not follow",
        {"lr": 0.06, "betas": (0.9, 0.9999), "loss_weight": (BROKEN_FROM, 30.0)},
    ),
    "lm-no-warmup": Kind("no warm-up", 0, "learning rate 0.1 from the first update", {"lr": 0.1, "warmup": 0}),
    "lm-step": Kind("step size raised", BROKEN_FROM, "eightfold learning rate", {"rate_change": (BROKEN_FROM, 8.0)}),
    "lm-poisoned": Kind(
        "poisoned batch",
        BROKEN_FROM,
        "the targets of two batches are shuffled",
        {"poisoned": (BROKEN_FROM, BROKEN_FROM + 1)},
    ),
    "lm-moments": Kind(
        "moments lost at a resume",
        BROKEN_FROM,
        "a resume forgets the moments and keeps the count of updates; seed 2 makes the 20 updates before again",
        {"betas": (0.9, 0.999), "moments_lost": BROKEN_FROM},
        {2: {"repeated": 20}},
    ),
    "lm-init": Kind("exploding initialisation", 0, "all matrices begin 20 times as large", {"init_scale": 20.0}),
}


def seeds(name: str) -> Sequence[int]:
    return PARITY_SEEDS if name.startswith("parity") else (0, 1, 2)


def table_of(name: str, seed: int) -> Path:
    return FOLDER / f"{name}-s{seed}.jsonl.gz"


def make(name: str, seed: int, folder: Path) -> tuple[dict[str, Any], list[tuple[int, Path]]]:
    """Train a run; return its configuration as a trainer would write it, and each of its traces with its first step."""
    kind = KINDS[name]
    changes = {**kind.changes, **kind.changes_by_seed.get(seed, {})}
    if name.startswith("parity"):
        settings = [f"seed={seed}", f"steps={PARITY_STEPS}", *changes["settings"]]
        path = folder / "0.h5"
        config = train_parity(override_all(find_setup("parity_3_50"), settings), changes.get("loss_dtype"), path)
        return config, [(0, path)]
    training = Training(seed, **changes)
    config = {
        "model": {"layers": LAYERS, "width": WIDTH, "context": CONTEXT, "init_scale": training.init_scale},
        "optimizer": {
            "class": "AdamW",
            "lr": training.lr,
            "betas": training.betas,
            "eps": training.eps,
            "weight_decay": training.weight_decay,
            "warmup": training.warmup,
        },
        "schedule": "cosine",
        "batch_size": BATCH,
        "steps": training.steps,
        "seed": seed,
        "dtype": "float32",
        "loss_dtype": "float16" if training.scale_doubles_every else "float32",
    }
    with cpu_settings(1, True):
        return config, train(training, folder)


def train_parity(setup: Setup, loss_dtype: torch.dtype | None, path: Path) -> dict[str, Any]:
    """Train sparse parity, if asked with its loss in a dtype that a setup does not have; return the configuration."""
    probes = ["standard", OptimizerState()]
    if loss_dtype is None:
        record(setup, path, probes=probes)
    else:
        with cpu_settings(1, True):
            run = Run(setup, torch.device("cpu"))
            sets = (run.data.train_inputs, run.data.train_targets), (run.data.val_inputs, run.data.val_targets)
            with Recorder(
                path,
                run.model,
                run.optimizer,
                train_data=sets[0],
                val_data=sets[1],
                probes=probes,
                loss_dtype=loss_dtype,
            ) as recorder:
                for _, batch in zip(range(setup.steps), run.batches, strict=False):
                    logits = run.model(run.data.train_inputs[batch])
                    loss = functional.cross_entropy(logits.to(loss_dtype), run.data.train_targets[batch])
                    run.optimizer.zero_grad()
                    loss.backward()
                    recorder.update(loss, logits, run.data.train_targets[batch])
                    run.optimizer.step()
    settings = {name: value for name, value in settings_of(setup).items() if not name.startswith("data.")}
    lower = {} if loss_dtype is None else {"loss_dtype": str(loss_dtype).removeprefix("torch.")}
    return {"optimizer.class": "Adam", "loss_function": settings.pop("loss"), **settings, **lower}


def write_table(config: Mapping[str, Any], traces: Sequence[tuple[int, Path]], table: Path, every: int) -> None:
    """Write the configuration and a row for each `every` updates, those that were made again a second time."""
    lines = [json.dumps({"config": config})]
    for start, path in traces:
        trace = open_trace(path)
        written = [step for step in trace["batch_loss"].step.tolist() if step % every == 0]
        rows: dict[int, dict[str, float]] = {step: {"step": start + step} for step in written}
        present = set(trace.names) - ({"loss_scale"} if np.all(trace["loss_scale"].value == 1) else set())
        for quantity in sorted(set(COLUMNS) & present, key=list(COLUMNS).index):
            for step, value in zip(trace[quantity].step.tolist(), trace[quantity].value.tolist(), strict=True):
                if step in rows:
                    rows[step][COLUMNS[quantity]] = float(f"{value:.5g}")
        lines += [json.dumps(row) for row in rows.values()]
    text = "\n".join(lines) + "\n"
    table.write_bytes(gzip.compress(text.encode(), mtime=0))


def write_manifest() -> None:
    """Write what is broken in each run that is there. The version of PyTorch stays that with which a run was made."""
    known = {run["file"]: run["torch"] for run in json.loads(MANIFEST.read_text())["runs"]} if MANIFEST.exists() else {}
    runs = [
        {
            "file": table.name,
            "seed": seed,
            "broken": kind.broken,
            "at": None if kind.at is None else kind.at - kind.changes_by_seed.get(seed, {}).get("repeated", 0),
            "description": kind.description,
            "command": f"python benchmarks/gallery.py --only {name}",
            "torch": known.get(table.name, torch.__version__),
        }
        for name, kind in sorted(KINDS.items())
        for seed in sorted(seeds(name))
        if (table := table_of(name, seed)).exists()
    ]
    MANIFEST.write_text(json.dumps({"format": "slingshot-gallery", "runs": runs}, indent=1) + "\n")


def show() -> None:
    """Print what the analysis says of each run, and for each kind how often the diagnosis names what is broken."""
    found: dict[str, list[tuple[bool, bool, bool]]] = {}
    for entry in json.loads(MANIFEST.read_text())["runs"]:
        analysis = analyze(FOLDER / entry["file"])
        decided, named = analysis.diagnosis.decided, [cause.name for cause in analysis.diagnosis.causes]
        right = CAUSES.get(entry["broken"])
        judged = right in named[:2], decided and named[0] == right, decided and named[0] != right
        found.setdefault(entry["command"].rpartition(" ")[2], []).append(judged)
        words = f"{'decided' if decided else 'not decided'}: {', '.join(named) or '-'}"
        click.echo(f"{entry['file']:26} {entry['broken'] or 'nothing':27} {analysis.verdict:10} {words}")
    click.echo("\n| kind | runs | among the first two | decided rightly | decided wrongly |\n|---|---|---|---|---|")
    broken = {kind: runs for kind, runs in found.items() if KINDS[kind].broken}
    everything = {"all that are broken": [run for runs in broken.values() for run in runs]}
    for kind, runs in {**broken, **everything, **{kind: found[kind] for kind in found if kind not in broken}}.items():
        counts = [str(sum(column)) for column in zip(*runs, strict=True)]
        shown = counts if kind in broken or kind in everything else ["-", "-", counts[-1]]
        click.echo(f"| {kind} | {len(runs)} | {' | '.join(shown)} |")


def draw(picture: Path) -> None:
    """Draw loss, gradient norm and update norm of each run, a row for each kind."""
    figure, axes = plt.subplots(len(KINDS), 3, figsize=(15, 2.3 * len(KINDS)), layout="constrained")
    for row, name in zip(axes, KINDS, strict=True):
        for axis, seed in zip(row, seeds(name), strict=True):
            run = read_log(table_of(name, seed))[0]
            loss = run["train_loss"]
            axis.semilogy(loss.step, np.maximum(loss.value, 1e-9), color="black", linewidth=0.6)
            beside = axis.twinx()
            for signal in ("gradient_norm", "update_norm"):
                beside.semilogy(run[signal].step, run[signal].value, linewidth=0.5, alpha=0.6)
            axis.set_title(f"{name}, seed {seed}", loc="left", fontsize=9)
    figure.savefig(picture, dpi=60)


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(list(KINDS)), help="Make runs of this kind; repeatable.")
@click.option("--show", "shown", is_flag=True, help="Print what the analysis says of each run, and make none.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Draw the runs, and make none.")
def main(only: tuple[str, ...], shown: bool, picture: Path | None) -> None:
    if shown:
        show()
    if picture is not None:
        draw(picture)
    if shown or picture is not None:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in only or KINDS:
        for seed in seeds(name):
            table = table_of(name, seed)
            if not table.exists():
                with tempfile.TemporaryDirectory() as folder:
                    config, traces = make(name, seed, Path(folder))
                    write_table(config, traces, table, PARITY_EVERY if name.startswith("parity") else 1)
                click.echo(table)
    write_manifest()


if __name__ == "__main__":
    main()
