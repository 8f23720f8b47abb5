"""The signals of one run in canonical form, and the start of its terminal phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from slingshot_analysis.canonical import FloatArray, Samples, as_step, bin_edges, canonical, step_and_value
from slingshot_analysis.detectors.breaks import NormBreak
from slingshot_analysis.detectors.misclassification import errors_of, first_fit, perfect_parts
from slingshot_analysis.detectors.phases import cut_norm
from slingshot_analysis.events import Phase
from slingshot_analysis.slingshots.options import DEFAULT, Options

BINS = 4000
"""Maximum number of bins in which the loss is searched for the start of the terminal phase."""
FIRST_ROWS = 10
"""The largest loss of the first ten rows is that of an untrained network. One batch may have a low loss by chance."""
FITTED_BINS, FITTED_AT_ONCE, FITTED_MISSES = 10, 3, 3
"""The training set is fitted where the loss is low in ten successive bins: without exception in the first three, and
with at most three in the others. The loss of batches flickers, and coarse logs have a spike every seven rows."""
NOISE_QUANTILE, NORMAL_QUANTILE = 0.25, 0.3186
"""Quantile of the second differences from which the noise of a norm is estimated, and its value for normal noise."""
NOISE_BLOCKS, NOISE_ROWS = 100, 200
"""Number of blocks of rows from which the noise of a long log is estimated, and the rows of each."""
ROUNDED_SHARE, ROUNDING_QUANTILE = 0.8, 0.1
"""A norm is rounded if its distinct values are fewer than this share of its rows. The unit is a low quantile of the
distances between them."""
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
    noise : float
        Standard deviation of the noise of `log` from row to row, including rounding.
    breaks : list of NormBreak
        Sharp ends of growth.
    phases : list of Phase
        The segmentation of the run.
    """

    step: FloatArray
    log: FloatArray
    noise: float
    breaks: list[NormBreak]
    phases: list[Phase]


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
    settled : float or None, updates
        Step from which spikes count. None if no signal shows that the training set is fitted.
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
    settled: float | None
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
    # Bring losses, errors and the norm into canonical form.
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
        cut = cut_norm(canonical(*step_and_value(norm, "norm", step), "norm"), options)
        if cut is None:
            skipped.append(("norm", "fewer than three positive values"))
        else:
            weights = Norm(*cut.log_norm, noise=_noise(cut.log_norm.value), breaks=cut.breaks, phases=cut.phases)

    # The run spans all usable signals.
    skipped += [(name, "fewer than three values") for name in raw if name not in known]
    axes = [samples.step for samples in [*known.values(), *wrong.values()]] + ([weights.step] if weights else [])
    span = (min(axis[0] for axis in axes), max(axis[-1] for axis in axes)) if axes else (0.0, 0.0)

    # Errors tell when the training set is fitted, and the loss where no errors are known.
    by_errors = _fit_by_errors(wrong)
    by_loss = [
        start for start in (_fit_by_loss(loss, options.fitted_loss) for loss in known.values()) if start is not None
    ]
    terminal = by_errors if wrong else min(by_loss, default=None)
    # Spikes count as soon as any signal shows a fitted training set, so that a further signal takes none away.
    fitted = min([*by_loss, *([] if by_errors is None else [by_errors])], default=None)
    settled = None if fitted is None else span[0] + options.settled * (fitted - span[0])
    if fitted is None and (known or wrong):
        skipped.append(("spikes", "the training set is never fitted, so no spike can be a slingshot"))
    for name, loss in known.items():
        lost = loss.step[~np.isfinite(loss.value)]
        if len(lost):
            skipped.append((name, f"{len(lost)} values are not finite, the first at step {as_step(lost[0]):,}"))
    return RunSignals(
        norm=weights,
        losses={name: _finite(loss) for name, loss in known.items()},
        errors=wrong,
        raw_losses=tuple(raw.values()),
        terminal_phase_start=terminal,
        settled=settled,
        span=span,
        skipped=tuple(skipped),
        options=options,
    )


def _finite(samples: Samples) -> Samples:
    finite = np.isfinite(samples.value)
    return samples if finite.all() else Samples(samples.step[finite], samples.value[finite])


def _noise(value: FloatArray) -> float:
    """Estimate the noise from the smaller second differences, and from the unit to which values are rounded.

    In coarse logs of short cycles most second differences are no noise.
    """
    blocks = [value]
    if len(value) > NOISE_BLOCKS * NOISE_ROWS:
        blocks = [value[i : i + NOISE_ROWS] for i in np.linspace(0, len(value) - NOISE_ROWS, NOISE_BLOCKS).astype(int)]
    bend = np.abs(np.concatenate([np.diff(block, n=2) for block in blocks]))
    value = np.concatenate(blocks)
    gaps = np.diff(np.unique(value))
    unit = float(np.quantile(gaps, ROUNDING_QUANTILE)) if len(gaps) else 0.0
    rounded = unit / np.sqrt(12) if len(gaps) < ROUNDED_SHARE * len(value) else 0.0
    return float(max(np.quantile(bend, NOISE_QUANTILE) / (NORMAL_QUANTILE * np.sqrt(6)), rounded))


def _fit_by_errors(errors: Mapping[str, Samples]) -> float | None:
    """Find the start of the terminal phase from misclassified samples of the whole training set or of batches."""
    whole = next((errors[name] for name in ("train_errors", "train_accuracy") if name in errors), None)
    by_set = None if whole is None else first_fit(whole, batches=False)
    by_batches = _fit_by_batches(errors["batch_errors"], whole) if "batch_errors" in errors else None
    return min((start for start in (by_set, by_batches) if start is not None), default=None)


def _fit_by_batches(batches: Samples, whole: Samples | None) -> float | None:
    """Find the step from which all batches are perfect for a while.

    Evaluations of the whole training set in that time must be perfect, or if there are none, some later one.
    """
    for start, end in perfect_parts(batches, batches=True):
        if whole is None:
            return start
        inside = slice(*np.searchsorted(whole.step, [start, end]))
        right = whole.value[inside] == 0 if inside.stop > inside.start else (whole.value[inside.start :] == 0).any()
        if np.all(right):
            return start
    return None


def _fit_by_loss(loss: Samples, fitted_loss: float) -> float | None:
    """Find the step from which the loss is below a share of its first value for a while."""
    step, value = loss
    edges = bin_edges(len(value), BINS)
    high = np.maximum.reduceat(value, edges) > fitted_loss * value[:FIRST_ROWS].max()
    count = np.concatenate([[0], np.cumsum(high)])
    soon, later = (
        count[np.minimum(np.arange(len(high)) + bins, len(high))] - count[:-1] for bins in (FITTED_AT_ONCE, FITTED_BINS)
    )
    low = np.flatnonzero((soon == 0) & (later <= FITTED_MISSES))
    return float(step[edges[low[0]]]) if len(low) else None
