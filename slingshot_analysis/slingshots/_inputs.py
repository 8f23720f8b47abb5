"""The signals of one run in canonical form, and when its terminal phase began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slingshot_analysis.canonical import FloatArray, bin_edges, canonical, step_and_value
from slingshot_analysis.detectors.misclassification import terminal_phase_start
from slingshot_analysis.detectors.norm import NormBreak, norm_breaks
from slingshot_analysis.slingshots.options import DEFAULT, Options

__all__ = ["Norm", "RunSignals", "read_run"]

FITTED_HOLD = 10
"""Bins for which the loss stays there; that of a batch flickers."""


@dataclass(frozen=True)
class Norm:
    """A norm ready for questions.

    Parameters
    ----------
    step : (n,) float array, updates
        Canonical.
    log : (n,) float array
        Natural logarithm of the norm.
    breaks : list of NormBreak
        Sharp ends of growth.
    """

    step: FloatArray
    log: FloatArray
    breaks: list[NormBreak]


@dataclass(frozen=True)
class RunSignals:
    """Signals of one run.

    Parameters
    ----------
    norm : Norm or None
        None where it was not given or has fewer than three positive values.
    losses, errors : dict of str to (step, value)
        Canonical; those with too few values are left out.
    terminal_phase_start : float or None, updates
        Start of the terminal phase.
    span : (float, float), updates
        First and last step of any signal.
    options : Options
        What was chosen.
    """

    norm: Norm | None
    losses: dict[str, tuple[FloatArray, FloatArray]]
    errors: dict[str, tuple[FloatArray, FloatArray]]
    terminal_phase_start: float | None
    span: tuple[float, float]
    options: Options = DEFAULT

    @property
    def near(self) -> float:
        """Updates within which the traces of one transition lie."""
        return self.options.near * (self.span[1] - self.span[0])


def read_run(
    step: Any, norm: Any, losses: dict[str, Any], errors: dict[str, Any], options: Options = DEFAULT
) -> tuple[RunSignals, list[tuple[FloatArray, FloatArray]], list[tuple[str, str]]]:
    """Bring the signals into canonical form and find the terminal phase.

    Parameters
    ----------
    step : (n,) array_like or None, updates
        Axis of bare arrays.
    norm : array_like, Signal, (step, value) or None
        Weight norm.
    losses, errors : dict of str to the same
        By the names of `assemble`.
    options : Options, optional
        What was chosen.

    Returns
    -------
    run : RunSignals
        What can be used.
    raw : list of (step, value)
        The losses with their NaN, for those who ask how they ended.
    skipped : list of (str, str)
        What can't, and why.

    Raises
    ------
    InputError
        If a signal does not fit its steps.
    """
    skipped = [(name, "not given") for name, value in {"norm": norm, **losses, **errors}.items() if value is None]
    raw = {name: step_and_value(value, name, step) for name, value in losses.items() if value is not None}
    asked = {name: step_and_value(value, name, step) for name, value in errors.items() if value is not None}
    known = {name: canonical(*pair, name) for name, pair in raw.items()}
    known = {name: pair for name, pair in known.items() if len(pair[0]) >= 3}
    wrong = {name: canonical(*pair, name) for name, pair in asked.items()}
    wrong = {name: pair for name, pair in wrong.items() if len(pair[0])}
    weights = None
    if norm is not None:
        steps, values = canonical(*step_and_value(norm, "norm", step), "norm")
        usable = (values > 0) & np.isfinite(values)
        steps, values = steps[usable], values[usable]
        if len(steps) >= 3:
            weights = Norm(steps, np.log(values), norm_breaks(steps, values, options=options))
        else:
            skipped.append(("norm", "fewer than three positive values"))
    skipped += [(name, "fewer than three values") for name in raw if name not in known]
    axes = [pair[0] for pair in [*known.values(), *wrong.values()]] + ([weights.step] if weights else [])
    span = (min(axis[0] for axis in axes), max(axis[-1] for axis in axes)) if axes else (0.0, 0.0)
    terminal = _terminal(known, wrong, options.fitted_loss)
    if terminal is None and (known or wrong):
        skipped.append(("spikes", "the training set is never fitted, so no spike can be a slingshot"))
    return (
        RunSignals(weights, known, wrong, terminal, span, options),
        [_as_pair(pair) for pair in raw.values()],
        skipped,
    )


def _terminal(losses: dict[str, Any], errors: dict[str, Any], share: float) -> float | None:
    """Return the start of the terminal phase, from misclassification if it was measured, else from the loss."""
    if errors:
        whole = next((name for name in ("train_errors", "train_accuracy") if name in errors), None)
        rare = None if whole is None else terminal_phase_start(errors[whole][0], **{whole: errors[whole][1]})
        often = _terminal_by_batches(errors, whole) if "batch_errors" in errors else None
        return min((start for start in (rare, often) if start is not None), default=None)
    for step, value in losses.values():
        edges = bin_edges(len(value), 4000)
        high = np.maximum.reduceat(value, edges) > share * value[0]
        rises = np.concatenate([[0], np.cumsum(high)])
        ahead = np.minimum(np.arange(len(high)) + FITTED_HOLD, len(high))
        low = np.flatnonzero(~high & (rises[ahead] - rises[:-1] == 0))
        if len(low):
            return float(step[edges[low[0]]])
    return None


def _terminal_by_batches(errors: dict[str, Any], whole: str | None) -> float | None:
    """Return since when all batches were right for a while, unless the whole set, if it was asked then, was not."""
    step, wrong = errors["batch_errors"]
    start = terminal_phase_start(step, batch_errors=wrong)
    if start is None or whole is None:
        return start
    ahead = step[(step >= start) & (wrong > 0)]
    asked, value = errors[whole]
    then = value[(asked >= start) & (asked < (ahead[0] if len(ahead) else np.inf))]
    right = then == 0 if whole == "train_errors" else then >= 1
    return start if len(then) and right.all() else None


def _as_pair(pair: tuple[Any, Any]) -> tuple[FloatArray, FloatArray]:
    return canonical(*pair, "loss", keep_nan=True)
