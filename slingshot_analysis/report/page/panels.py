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
    choose : callable
        Returns its signal from those of `shown_signals`, or None if it was not recorded.
    """

    label: str
    pen: Pen
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


def _named(*names: str, at: str | None = None) -> Callable[[Mapping[str, Signal]], Signal | None]:
    """Return a function that chooses the first of these signals that was recorded, of a vector the component `at`."""

    def choose(signals: Mapping[str, Signal]) -> Signal | None:
        name = first_of(names, signals)
        return None if name is None else _component(signals[name], at)

    return choose


def _with_flight(name: str, event: str, at: str | None = None) -> Callable[[Mapping[str, Signal]], Signal | None]:
    """Return a function that chooses a signal together with the rows of the flight recorder."""

    def choose(signals: Mapping[str, Signal]) -> Signal | None:
        parts = [_component(signals[given], at) for given in (event, name) if given in signals]
        found = [part for part in parts if part is not None]
        if len(found) < 2:
            return found[0] if found else None
        step, rows = np.unique(np.concatenate([part.step for part in found]), return_index=True)
        return Signal(step, np.concatenate([part.value for part in found])[rows], name, found[0].unit)

    return choose


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
    Panel("norm", "Norm", "Euclidean norm", "linear", (Curve("norm", "ink", chosen_norm),)),
    Panel(
        "loss",
        "Loss",
        "nat",
        "log",
        (
            Curve("batch", "quiet", _named(*BATCH_LOSSES)),
            Curve("training", "ink", _named("train_loss")),
            Curve("validation", "accent", _named("val_loss")),
        ),
    ),
    Panel(
        "accuracy",
        "Accuracy",
        "share of samples",
        "share",
        (Curve("training", "ink", _named("train_accuracy")), Curve("validation", "accent", _named("val_accuracy"))),
    ),
    Panel(
        "errors",
        "Misclassified samples",
        "samples",
        "log",
        (
            Curve("batch", "quiet", _named("batch_errors")),
            Curve("training", "ink", _named("train_errors")),
            Curve("validation", "accent", _named("val_errors")),
        ),
    ),
    Panel(
        "gradient",
        "Gradient and update",
        "Euclidean norm",
        "log",
        (Curve("gradient", "ink", _named("gradient_norm")), Curve("update", "quiet", _named("update_norm"))),
    ),
    Panel("rate", "Learning rate", "", "linear", (Curve("learning rate", "ink", _named(LEARNING_RATE)),)),
    Panel(
        "features",
        "Change of the features",
        "relative, in one update",
        "log",
        (Curve("last layer", "ink", chosen_features),),
    ),
    Panel(
        "curvature",
        "Curvature of the training loss",
        "loss per squared norm",
        "log",
        (
            Curve("largest eigenvalue", "ink", chosen_curvature),
            Curve("along the update", "accent", _with_flight("update_sharpness", "event_update_sharpness")),
        ),
    ),
    Panel(
        "step",
        "Effective step size against its bound",
        "learning rate",
        "log",
        (
            Curve("smallest step", "quiet", _with_flight(*EFFECTIVE, at="0")),
            Curve("median step", "ink", _with_flight(*EFFECTIVE, at="0.5")),
            Curve("bound 2/L", "accent dashed", _with_flight("max_stable_step", "event_max_stable_step")),
        ),
    ),
    Panel(
        "precision",
        "Lost precision",
        "share of the batch",
        "share",
        (
            Curve("zero gradient", "quiet", _named("zero_gradient_fraction")),
            Curve("zero loss", "ink", _named("zero_loss_fraction")),
            Curve("softmax collapse", "accent", _named("softmax_collapse")),
            Curve("zero-sum violation", "accent dashed", _named("zero_sum_violation")),
        ),
    ),
)


SHOWN = (
    *BATCH_LOSSES,
    *("train_loss", "val_loss", "train_accuracy", "val_accuracy", "batch_errors", "train_errors", "val_errors"),
    *("gradient_norm", "update_norm", "feature_change", *CURVATURES, *FLIGHT_CURVATURES.values()),
    *("event_update_sharpness", *EFFECTIVE, "max_stable_step", "event_max_stable_step"),
    *("zero_gradient_fraction", "zero_loss_fraction", "softmax_collapse", "zero_sum_violation"),
)
"""Signals of which the panels choose, beside the norm and the learning rate."""


def shown_signals(run: Signals) -> dict[str, Signal]:
    """Return the signals of a run that its figures need, read at once; a learning rate by the name that it has here."""
    norm = first_of(NORMS, run)
    found = read_signals(run, [name for name in (norm, *dict.fromkeys(SHOWN)) if name is not None and name in run])
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
