"""Slingshots of runs that lose precision, and of twins that keep it."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from slingshot_analysis.errors import InputError
from slingshot_analysis.report.paper._panels import HEIGHT, NORM, VALIDATION, WIDTH, norm_and_accuracy
from slingshot_analysis.report.paper._runs import PaperRun

SHOWS = "norm and accuracy in float32, float64, with the loss in float64, StableMax and orthogonal gradients"

KINDS: dict[str, dict[str, object]] = {
    "float32": {"dtype": "float32", "loss_dtype": "same", "loss": "cross_entropy", "orthogonal_gradient": False},
    "float64": {"dtype": "float64"},
    "loss in float64": {"loss_dtype": "float64"},
    "StableMax": {"loss": "stablemax"},
    "orthogonal gradients": {"orthogonal_gradient": True},
}
"""What the configuration of each kind has."""


def draw(runs: Sequence[PaperRun]) -> Figure:
    """Draw a panel for each kind of twin."""
    found = {
        kind: [run for run in runs if all(run.value(key) == value for key, value in has.items())]
        for kind, has in KINDS.items()
    }
    found = {kind: own for kind, own in found.items() if own}
    if not found:
        raise InputError(f"precision: no run is one of {', '.join(KINDS)}; give runs of the sweep parity_precision")
    figure = Figure(figsize=(WIDTH * len(found), HEIGHT + 0.3))
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    for axes, (kind, own) in zip(panels, found.items(), strict=True):
        right = norm_and_accuracy(axes, own)
        right.tick_params(labelright=axes is panels[-1])
        axes.set_title(f"{kind}\nslingshots in {sum(bool(run.transitions) for run in own)} of {len(own)}")
        axes.set_xlabel("update")
    right.set_ylabel("validation accuracy", color=VALIDATION)
    figure.supylabel("norm", color=NORM, fontsize=8)
    return figure
