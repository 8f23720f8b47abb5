"""Choose the signals of a run that the detectors use, and one component of those that are vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from slingshot_analysis.errors import InputError
from slingshot_analysis.signal import Signal
from slingshot_analysis.trace import Trace

Signals: TypeAlias = Trace | Mapping[str, Signal]
"""The signals of a run, by canonical name."""
Pair: TypeAlias = tuple[Any, Any]
"""Step and value."""

NORMS = {
    "last_layer_norm": "that of the last layer, which the paper plots",
    "representation_norm": "no norm of the last layer is logged; that of the hidden layers stands in for it",
    "total_norm": "no norm of the last layer is logged; that of all parameters stands in for it",
    "parameter_norm": "no norm of the last layer is named; that of the last weight logged stands in for it",
}
"""Norms in order of preference, and why each is taken: the first that was logged is segmented."""

BATCH_LOSSES = ("batch_loss_float64", "batch_loss")
"""Losses of the batch in order of preference: the float64 loss goes on where the float32 loss is exactly 0."""

LOSSES = (*BATCH_LOSSES, "train_loss")
"""Training losses in order of preference: spikes are looked for in the first that was logged."""

CURVATURES = ("hessian_top_eigenvalues", "hessian_top_eigenvalue", "update_sharpness")
"""Curvatures in order of preference: peaks are looked for in the first that was logged."""

FLIGHT_CURVATURES = {
    "hessian_top_eigenvalues": "event_hessian_top_eigenvalue",
    "update_sharpness": "event_update_sharpness",
}
"""The flight recorder's rows of a curvature, at each update around a transition."""

USED = (
    *NORMS,
    *BATCH_LOSSES,
    "batch_errors",
    "train_loss",
    "train_errors",
    "train_accuracy",
    "val_accuracy",
    "val_errors",
    "val_loss",
    "gradient_norm",
    "feature_change",
    *CURVATURES,
)
"""Signals that the detectors read."""

ORDERED = (
    "softmax_collapse",
    "zero_loss_fraction",
    "zero_gradient_fraction",
    "zero_sum_violation",
    "event_effective_step",
    "event_max_stable_step",
    "event_preconditioned_ratio",
    "event_update_sharpness",
)
"""Signals that tell the order of events around a transition, beside the loss of each batch."""


def as_signals(run: Mapping[str, Any]) -> dict[str, Signal]:
    """Return the signals of a mapping; each is given as a Signal or as a pair of step and value.

    What is neither is left out if no detector reads a signal of its name.

    Raises
    ------
    InputError
        If a signal that a detector reads is neither.
    """
    known = USED + ORDERED
    return {name: _as_signal(given, name) for name, given in run.items() if name in known or _is_signal(given)}


def _is_signal(given: Any) -> bool:
    return isinstance(given, Signal) or (isinstance(given, tuple) and len(given) == 2)


def _as_signal(given: Any, name: str) -> Signal:
    if isinstance(given, Signal):
        return given
    if not isinstance(given, tuple) or len(given) != 2:
        raise InputError(f"signal {name!r}: got {type(given).__name__}; give a Signal, or a pair (step, value)")
    return Signal(*given, name)


def first_of(names: Iterable[str], run: Signals) -> str | None:
    """Return the first of these names that the run has."""
    return next((name for name in names if name in run), None)


def choose_signals(run: Signals) -> dict[str, Signal]:
    """Return the signals that the detectors use: of norms, batch losses and curvatures only the preferred one."""
    names = [name for name in USED if name in run]
    for alternatives in (NORMS, BATCH_LOSSES, CURVATURES):
        present = [name for name in alternatives if name in names]
        names = [name for name in names if name not in present[1:]]
    return read_signals(run, names)


def read_signals(run: Signals, names: Iterable[str]) -> dict[str, Signal]:
    """Return signals of a run by their names."""
    return run.read(names) if isinstance(run, Trace) else {name: run[name] for name in names}


def chosen_norm(run: Signals) -> Signal | None:
    """Return the norm to segment; of the norms of single parameters, the norm of the last weight."""
    name = first_of(NORMS, run)
    if name is None:
        return None
    norm = run[name]
    return norm.select(**{norm.axes[0].name: _last_weight(norm.axes[0].labels)}) if norm.axes else norm


def chosen_features(run: Signals) -> Signal | None:
    """Return the change of the features of the last layer that was logged."""
    return _at_label(run["feature_change"], -1) if "feature_change" in run else None


def chosen_curvature(run: Signals) -> Signal | None:
    """Return the preferred curvature, if any was logged; of several eigenvalues the largest.

    The flight recorder's rows are part of it: a peak lasts a few updates, and stands between the rows of the probe.
    """
    name = first_of(CURVATURES, run)
    if name is None:
        return None
    curvature, event = _at_label(run[name], 0), FLIGHT_CURVATURES.get(name)
    return curvature if event is None or event not in run else _joined(run[event], curvature)


def _joined(first: Signal, second: Signal) -> Signal:
    """Return the rows of two signals in order of their steps; at a step of both, that of the first."""
    step = np.concatenate([first.step, second.step])
    value = np.concatenate([first.value, second.value])
    steps, rows = np.unique(step, return_index=True)
    return Signal(steps, value[rows], second.name, second.unit, second.description)


def ordered_signals(run: Signals, batch_loss: Signal | None) -> dict[str, Signal]:
    """Return the signals that tell the order of events; of the effective step sizes the smallest."""
    signals = {name: run[name] for name in ORDERED if name in run}
    effective = signals.get("event_effective_step")
    if effective is not None and effective.axes:
        signals["event_effective_step"] = effective.select(**{effective.axes[0].name: "0"})
    return signals | ({} if batch_loss is None else {"batch_loss": batch_loss})


def validation_samples(run: Mapping[str, Signal]) -> int | None:
    """Return the size of the validation set: errors divided by (1 - accuracy), if both were logged."""
    if "val_errors" not in run or len(run["val_errors"]) != len(run["val_accuracy"]):
        return None
    wrong = 1 - run["val_accuracy"].value.astype(np.float64)
    errors = run["val_errors"].value.astype(np.float64)
    return round(float((errors[wrong > 0] / wrong[wrong > 0]).max())) if (wrong > 0).any() else None


def _last_weight(labels: Sequence[str]) -> str:
    """Return the last parameter, in the order of the log, that is no bias, normalisation or embedding."""
    weights = [label for label in labels if not any(word in label.lower() for word in ("bias", "norm", "embed"))]
    return (weights or list(labels))[-1]


def _at_label(signal: Signal, position: int) -> Signal:
    if not signal.axes:
        return signal
    return signal.select(**{signal.axes[0].name: signal.axes[0].labels[position]})
