"""The signals of one run in canonical form, and the start of its terminal phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from slingshot_analysis.canonical import FloatArray, Samples, bin_edges, canonical, step_and_value
from slingshot_analysis.detectors.misclassification import errors_of, first_fit
from slingshot_analysis.detectors.norm import NormBreak, breaks_of, segments_of
from slingshot_analysis.slingshots.options import DEFAULT, Options

__all__ = ["Norm", "RunSignals", "read_run"]

BINS = 4000
"""Maximum number of bins in which the loss is searched for the start of the terminal phase."""
FITTED_BINS = 10
"""Number of successive bins in which the loss must stay low. The loss of single batches flickers."""
MINIMUM_ROWS = 3
"""Minimum number of rows of a loss or a norm."""


@dataclass(frozen=True)
class Norm:
    """The norm of a run.

    Parameters
    ----------
    step : (n,) float array, updates
        Strictly increasing.
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
    """The signals of one run.

    Parameters
    ----------
    norm : Norm or None
        None if it was not given or has fewer than three positive values.
    losses : dict of str to Samples
        Losses with at least three values.
    errors : dict of str to Samples
        Misclassified training samples, as returned by `errors_of`; those with at least one value.
    raw_losses : tuple of Samples
        Every loss that was given, with its NaN, which tell how it ended.
    terminal_phase_start : float or None, updates
        Start of the terminal phase.
    span : (float, float), updates
        First and last step of any signal.
    skipped : tuple of (str, str)
        Signals that can't be used, and the reason.
    options : Options
        Options of the composite detector.
    """

    norm: Norm | None
    losses: dict[str, Samples]
    errors: dict[str, Samples]
    raw_losses: tuple[Samples, ...]
    terminal_phase_start: float | None
    span: tuple[float, float]
    skipped: tuple[tuple[str, str], ...] = ()
    options: Options = DEFAULT

    @property
    def extent(self) -> float:
        """Largest distance of two signs of one transition, in updates."""
        return self.options.transition_share * (self.span[1] - self.span[0])


def read_run(
    step: Any, norm: Any, losses: Mapping[str, Any], errors: Mapping[str, Any], options: Options = DEFAULT
) -> RunSignals:
    """Bring the signals of a run into canonical form, and find the start of the terminal phase.

    Parameters
    ----------
    step : (n,) array_like or None, updates
        Steps of signals that are given as bare arrays.
    norm : array_like, Signal, (step, value) or None
        Weight norm.
    losses, errors : mapping of str to the same
        By the names that `assemble` uses.
    options : Options, optional
        Options of the composite detector.

    Returns
    -------
    RunSignals
        The usable signals.

    Raises
    ------
    InputError
        If a signal does not fit its steps.
    """
    skipped = [(name, "not given") for name, value in {"norm": norm, **losses, **errors}.items() if value is None]
    raw, known, wrong = {}, {}, {}
    for name, value in losses.items():
        if value is not None:
            raw[name] = canonical(*step_and_value(value, name, step), name, keep_nan=True)
            has_nan = np.isnan(raw[name].value).any()
            samples = canonical(*step_and_value(value, name, step), name) if has_nan else raw[name]
            if len(samples.step) >= MINIMUM_ROWS:
                known[name] = samples
    for name, value in errors.items():
        if value is not None:
            samples = errors_of(canonical(*step_and_value(value, name, step), name), name)
            if len(samples.step):
                wrong[name] = samples
    weights = None
    if norm is not None:
        segments = segments_of(canonical(*step_and_value(norm, "norm", step), "norm"), options)
        if segments is None:
            skipped.append(("norm", "fewer than three positive values"))
        else:
            weights = Norm(*segments.samples, breaks_of(segments, options))
    skipped += [(name, "fewer than three values") for name in raw if name not in known]
    axes = [samples.step for samples in [*known.values(), *wrong.values()]] + ([weights.step] if weights else [])
    span = (min(axis[0] for axis in axes), max(axis[-1] for axis in axes)) if axes else (0.0, 0.0)
    terminal = _terminal_phase_start(known, wrong, options.fitted_loss)
    if terminal is None and (known or wrong):
        skipped.append(("spikes", "the training set is never fitted, so no spike can be a slingshot"))
    return RunSignals(weights, known, wrong, tuple(raw.values()), terminal, span, tuple(skipped), options)


def _terminal_phase_start(
    losses: Mapping[str, Samples], errors: Mapping[str, Samples], fitted_loss: float
) -> float | None:
    """Find the start of the terminal phase from misclassified samples if there are any, else from the loss."""
    if errors:
        whole = next((errors[name] for name in ("train_errors", "train_accuracy") if name in errors), None)
        by_set = None if whole is None else first_fit(whole, batches=False)
        by_batches = _fit_by_batches(errors["batch_errors"], whole) if "batch_errors" in errors else None
        return min((start for start in (by_set, by_batches) if start is not None), default=None)
    for step, value in losses.values():
        edges = bin_edges(len(value), BINS)
        high = np.maximum.reduceat(value, edges) > fitted_loss * value[0]
        rises = np.concatenate([[0], np.cumsum(high)])
        ahead = np.minimum(np.arange(len(high)) + FITTED_BINS, len(high))
        low = np.flatnonzero(~high & (rises[ahead] - rises[:-1] == 0))
        if len(low):
            return float(step[edges[low[0]]])
    return None


def _fit_by_batches(batches: Samples, whole: Samples | None) -> float | None:
    """Find the step from which all batches are perfect for a while.

    An evaluation of the whole training set in that time can contradict it.
    """
    start = first_fit(batches, batches=True)
    if start is None or whole is None:
        return start
    ahead = batches.step[(batches.step >= start) & (batches.value > 0)]
    inside = (whole.step >= start) & (whole.step < (ahead[0] if len(ahead) else np.inf))
    return start if inside.any() and (whole.value[inside] == 0).all() else None
