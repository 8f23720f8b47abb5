"""What the sections of ``detection.py`` share: seeds, margins of the scores, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from slingshot_analysis import Slingshot, detect_slingshots
from slingshot_analysis.evaluation import Score, score_events
from slingshot_analysis.events import CERTAIN
from slingshot_analysis.synthetic import SyntheticRun, slingshot_run

FIRST_SEED = 50_000
INPUTS: dict[str, tuple[str, ...]] = {
    "norm": (),
    "loss": ("batch_loss",),
    "errors": ("batch_loss", "batch_errors", "train_accuracy"),
}
"""Signals that are given in addition to the norm."""
MARGINS = {"norm": 0.01, "loss": 0.001, "errors": 0.001}
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
