"""Losses, accuracies and feature change of one run, each beside the norm of the last layer (Figures 2 and 6)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import FEATURES, TRAIN, VALIDATION, beside_norm
from slingshot_analysis.report.paper._runs import PaperRun, fastest_cycles

SHOWS = "losses, accuracies and features beside the norm, of the run with the most slingshots (Figures 2 and 6)"

PANELS = (
    ("train_loss", "training loss", TRAIN, True),
    ("train_accuracy", "training accuracy", TRAIN, False),
    ("val_loss", "validation loss", VALIDATION, True),
    ("val_accuracy", "validation accuracy", VALIDATION, False),
)

LAYERS = ((0, "first"), (-1, "last"))


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw a panel for each quantity."""
    run = fastest_cycles(runs)
    curves = [(*run.samples(name), label, color, log) for name, label, color, log in PANELS]
    if "feature_change" in run.trace:
        step, change = run.samples("feature_change")
        curves += [(step, change[:, i], f"features, {words} layer", FEATURES, True) for i, words in LAYERS]
    rows = len(curves) // 2
    figure = Figure(figsize=(6.4, 1.7 * rows))
    panels = figure.subplots(rows, 2, sharex=True)
    for axes, one in zip(panels.flat, curves, strict=True):
        beside_norm(axes, run, *one)
    for axes in panels[-1]:
        axes.set_xlabel("update")
    return figure
