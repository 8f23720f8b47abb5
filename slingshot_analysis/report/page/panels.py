"""Which signals the figure of a run shows: one panel for each unit, one curve for each signal that was recorded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from slingshot_analysis.analysis.signals import (
    BATCH_LOSSES,
    CURVATURES,
    FLIGHT_CURVATURES,
    NORMS,
    Signals,
    chosen_curvature,
    chosen_features,
    chosen_norm,
    first_of,
    read_signals,
)
from slingshot_analysis.diagnosis.evidence import ROLES
from slingshot_analysis.readers import Log
from slingshot_analysis.signal import Signal

Scale = Literal["linear", "log", "share"]
Pen = Literal["ink", "accent", "quiet", "ink dashed", "accent dashed"]
"""How a curve is drawn. Dashes and labels tell curves apart for those who do not see colours."""


@dataclass(frozen=True)
class Curve:
    """A curve of a panel.

    Parameters
    ----------
    label : str
        Stands beside the curve.
    pen : str
        How it is drawn.
    names : tuple of str
        Signals of which it may be made.
    choose : callable
        Returns the signal to draw from those that were recorded, or None if there is none.
    """

    label: str
    pen: Pen
    names: tuple[str, ...]
    choose: Callable[[Mapping[str, Signal]], Signal | None]


@dataclass(frozen=True)
class Panel:
    """A panel of the figure.

    Parameters
    ----------
    name : str
        Short and stable.
    title : str
        Stands above it.
    unit : str
        Of all of its curves, in words.
    scale : {"linear", "log", "share"}
        A share is drawn from 0 to 1; on a logarithmic axis, exact zeros have a line of their own.
    curves : tuple of Curve
        In the order in which they are drawn.
    """

    name: str
    title: str
    unit: str
    scale: Scale
    curves: tuple[Curve, ...]


def _first(label: str, pen: Pen, *names: str) -> Curve:
    """Return a curve of the first of these signals that was recorded."""

    def choose(signals: Mapping[str, Signal]) -> Signal | None:
        name = first_of(names, signals)
        return None if name is None else _component(signals[name], None)

    return Curve(label, pen, names, choose)


def _with_flight(label: str, pen: Pen, name: str, event: str, at: str | None = None) -> Curve:
    """Return a curve of a signal, of a vector the component `at`, together with the rows of the flight recorder."""

    def choose(signals: Mapping[str, Signal]) -> Signal | None:
        parts = [_component(signals[given], at) for given in (event, name) if given in signals]
        found = [part for part in parts if part is not None]
        if len(found) < 2:
            return found[0] if found else None
        step, rows = np.unique(np.concatenate([part.step for part in found]), return_index=True)
        return Signal(step, np.concatenate([part.value for part in found])[rows], name, found[0].unit)

    return Curve(label, pen, (name, event), choose)


def _component(signal: Signal, at: str | None) -> Signal | None:
    if not signal.axes:
        return signal if signal.value.ndim == 1 else None
    axis = signal.axes[0]
    label = at if at in axis.labels else None
    return None if label is None or len(signal.axes) > 1 else signal.select(**{axis.name: label})


LEARNING_RATE = "learning_rate"

TITLES = {"last_layer_norm": "Norm of the last layer", "total_norm": "Norm of all parameters"}
"""Titles of the panel of the norm."""

EFFECTIVE = "effective_step_quantiles", "event_effective_step"

PANELS = (
    Panel("norm", "Norm", "Euclidean norm", "linear", (Curve("norm", "ink", tuple(NORMS), chosen_norm),)),
    Panel(
        "loss",
        "Loss",
        "nat",
        "log",
        (
            _first("batch", "quiet", *BATCH_LOSSES),
            _first("training", "ink", "train_loss"),
            _first("validation", "accent", "val_loss"),
        ),
    ),
    Panel(
        "accuracy",
        "Accuracy",
        "share of samples",
        "share",
        (_first("training", "ink", "train_accuracy"), _first("validation", "accent", "val_accuracy")),
    ),
    Panel(
        "errors",
        "Misclassified samples",
        "samples",
        "log",
        (
            _first("batch", "quiet", "batch_errors"),
            _first("training", "ink", "train_errors"),
            _first("validation", "accent", "val_errors"),
        ),
    ),
    Panel(
        "gradient",
        "Gradient and update",
        "Euclidean norm",
        "log",
        (_first("gradient", "ink", "gradient_norm"), _first("update", "quiet", "update_norm")),
    ),
    Panel("rate", "Learning rate", "", "linear", (_first("learning rate", "ink", LEARNING_RATE),)),
    Panel(
        "features",
        "Change of the features",
        "relative, in one update",
        "log",
        (Curve("last layer", "ink", ("feature_change",), chosen_features),),
    ),
    Panel(
        "curvature",
        "Curvature of the training loss",
        "loss per squared norm",
        "log",
        (
            Curve("largest eigenvalue", "ink", (*CURVATURES, *FLIGHT_CURVATURES.values()), chosen_curvature),
            _with_flight("along the update", "accent", "update_sharpness", "event_update_sharpness"),
        ),
    ),
    Panel(
        "step",
        "Effective step size against its bound",
        "learning rate",
        "log",
        (
            _with_flight("smallest step", "quiet", *EFFECTIVE, at="0"),
            _with_flight("median step", "ink", *EFFECTIVE, at="0.5"),
            _with_flight("bound 2/L", "accent dashed", "max_stable_step", "event_max_stable_step"),
        ),
    ),
    Panel(
        "precision",
        "Lost precision",
        "share of the batch",
        "share",
        (
            _first("zero gradient", "quiet", "zero_gradient_fraction"),
            _first("zero loss", "ink", "zero_loss_fraction"),
            _first("softmax collapse", "accent", "softmax_collapse"),
            _first("zero-sum violation", "accent dashed", "zero_sum_violation"),
        ),
    ),
)


def shown_signals(run: Signals) -> dict[str, Signal]:
    """Return the signals of a run that its figures need, read at once; a learning rate by the name that it has here."""
    names = dict.fromkeys(name for panel in PANELS for curve in panel.curves for name in curve.names)
    unused = set(NORMS) - {first_of(NORMS, run)}
    found = read_signals(run, [name for name in names if name in run and name not in unused])
    others: Mapping[str, Signal] = run.others if isinstance(run, Log) else {}
    for name in (*run, *others):
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
        if re.search(ROLES["learning rate"], plain) and not plain.startswith(("event_", "effective_")):
            rate = run[name] if name in run else others[name]
            if rate.value.ndim == 1 and rate.value.dtype.kind in "fiu":
                return found | {LEARNING_RATE: rate}
    return found


def curves_of(signals: Mapping[str, Signal]) -> Iterator[tuple[Panel, str, Curve, Signal]]:
    """Yield panel, its title for this run, curve and signal of each curve that was recorded.

    The panel of the norm is titled by its norm, because a log may have another than that of the last layer.
    """
    for panel in PANELS:
        title = panel.title
        if panel.name == "norm" and (name := first_of(NORMS, signals)):
            title = TITLES.get(name, name.replace("_", " ").capitalize())
        for curve in panel.curves:
            signal = curve.choose(signals)
            if signal is not None and signal.value.ndim == 1 and len(signal):
                yield panel, title, curve, signal
