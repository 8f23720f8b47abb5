"""Runs by whether they have slingshots and whether they generalise: the scatter and the 2×2 table of Figure 4."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from slingshot_analysis.report.paper._runs import PaperRun, named

SHOWS = "best accuracies over data sets and ε, coloured by slingshots, and their 2×2 table (Figures 4 and 50)"

GENERALISES = 0.95
CLASSES = {
    (True, True): ("slingshots and generalisation", "#3a923a"),
    (True, False): ("slingshots only", "#2f6fb0"),
    (False, True): ("generalisation only", "#e0a030"),
    (False, False): ("neither", "#c03d3e"),
}
"""The classes, in the colours of the paper, which has none for generalisation without slingshots."""

MARKERS = "osD^vP"


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw a point for each run, and the counts."""
    figure = Figure(figsize=(6.8, 2.8))
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    data_sets = list(dict.fromkeys(map(_data_set, runs)))
    sizes = sorted({float(str(run.value("optimizer.eps"))) for run in runs if run.value("optimizer.eps") is not None})
    counts = dict.fromkeys(CLASSES, 0)
    for run in runs:
        bests = run.analysis.best_val_accuracy_before, run.analysis.best_val_accuracy_after
        best = max((value for value in bests if value is not None), default=0.0)
        kind = bool(run.transitions), best > GENERALISES
        counts[kind] += 1
        eps = run.value("optimizer.eps")
        marker = MARKERS[sizes.index(float(str(eps))) % len(MARKERS)] if eps is not None else "x"
        left.plot(data_sets.index(_data_set(run)), best, marker, color=CLASSES[kind][1], markersize=5, alpha=0.8)
    for marker, size in zip(MARKERS, sizes, strict=False):
        left.plot([], [], marker, color="#7f7f7f", label=named("optimizer.eps", size))
    left.axhline(GENERALISES, color="#7f7f7f", linewidth=0.5)
    left.set_xticks(range(len(data_sets)), data_sets, rotation=30, ha="right")
    left.set_ylim(-0.03, 1.03)
    left.set_xlim(-0.5, len(data_sets) - 0.5)
    left.set_ylabel("best validation accuracy")
    left.legend()
    right.set_axis_off()
    for line, (kind, (words, color)) in enumerate(CLASSES.items()):
        right.text(0.0, 0.85 - 0.2 * line, f"{counts[kind]:>4}  {words}", color=color, transform=right.transAxes)
    right.set_title(f"{len(runs)} runs")
    return figure


def _data_set(run: PaperRun) -> str:
    operation, share = run.value("data.operation"), run.value("data.train_share")
    name = str(run.value("setup") if operation is None else operation).replace("_", " ")
    return name if share is None else f"{name} {share:g}"
