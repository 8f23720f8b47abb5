"""Norm and training loss of networks and optimizers on images of CIFAR-10 (Figures 1 and 8 to 12)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from slingshot_analysis.report.paper._panels import HEIGHT, NORM, TRAIN, WIDTH, curve, mark_transitions
from slingshot_analysis.report.paper._runs import PaperRun

SHOWS = "norm and training loss for each network and optimizer on images of CIFAR-10 (Figures 1 and 8 to 12)"

COLUMNS = 4


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw a panel for each network and optimizer: its first run, and in how many there are slingshots."""
    kinds: dict[tuple[str, str], list[PaperRun]] = {}
    for run in runs:
        kinds.setdefault((str(run.value("setup")), str(run.value("optimizer.kind"))), []).append(run)
    rows = -(-len(kinds) // COLUMNS)
    across = min(COLUMNS, len(kinds))
    figure = Figure(figsize=(WIDTH * across + 0.4, (HEIGHT + 0.3) * rows))
    panels = figure.subplots(rows, across, squeeze=False).flat
    for axes, ((setup, optimizer), own) in zip(panels, kinds.items(), strict=False):
        name = setup.removeprefix("cifar10_").removesuffix("_rmsprop").removesuffix("_gd").removesuffix("_200")
        slung = sum(bool(run.transitions) for run in own)
        axes.set_title(f"{name.replace('_', ' ')}, {optimizer}\nslingshots in {slung} of {len(own)}")
        axes.set_yscale("log")
        curve(axes, *own[0].samples("batch_loss_float64", "batch_loss"), TRAIN, "training loss")
        right = axes.twinx()
        curve(right, *own[0].norm(), NORM, "norm")
        right.tick_params(colors=NORM)
        right.grid(visible=False)
        mark_transitions(axes, own[0].transitions)
        axes.set_xlabel("update")
    for axes in panels:
        axes.set_axis_off()
    figure.supylabel("training loss (green), norm (blue)", fontsize=8)
    return figure
