"""The terminal phase of training, and the bursts of misclassified training samples that interrupt it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.canonical import FloatArray, Samples, as_step, canonical
from slingshot_analysis.errors import InputError

HOLD, BATCH_HOLD = 3, 20
"""Number of successive evaluations of the whole training set, and of minibatches, that must be perfect."""
HOLD_SHARE = 0.005
"""Share of the evaluations, or of the run for minibatches, that must be perfect. The length of an epoch is unknown, and
an accuracy that is logged at every update may be that of a batch."""
BATCH_UPDATES, LARGEST_BATCH_SHARE = 100.0, 0.02
"""Number of updates for which minibatches must be perfect, which exceeds an epoch of the small data sets that show
slingshots; at most this share of the run, whose steps may be epochs."""
ROUNDING = 1e-6
"""An accuracy that differs from 1 by less than this counts as 1. The smallest true difference is one sample of the
training set, and no training set here has a million samples."""
GAP_SHARE = 0.005
"""Errors that are nearer to each other than this share of the run form one burst."""


@dataclass(frozen=True)
class MisclassificationBurst:
    """Training samples misclassified again after the training set had been fitted.

    Parameters
    ----------
    start, peak, end : int, updates
        First step with an error, step with most errors, and first step measured without error afterwards.
    worst : float
        Number of misclassified samples at the peak, or their fraction if accuracies were given.
    """

    start: int
    peak: int
    end: int
    worst: float


def terminal_phase_start(
    step: Any, train_errors: Any = None, *, train_accuracy: Any = None, batch_errors: Any = None
) -> int | None:
    """Find the first step from which the training set stays perfectly classified for a while.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the signal was measured.
    train_errors : (n,) array_like, optional
        Misclassified samples of the whole training set. Three successive evaluations must be perfect, or 0.5% of all
        evaluations if that is more.
    train_accuracy : (n,) array_like, fraction in [0, 1], optional
        Of the whole training set, by the same rule.
    batch_errors : (n,) array_like, optional
        Misclassified samples of each update's batch. At least 20 successive batches must be perfect, over at least 0.5%
        of the run and 100 updates.

    Returns
    -------
    int or None, updates
        None if there is no such step.

    Raises
    ------
    InputError
        If not exactly one of the three signals is given, or it does not fit `step`.

    References
    ----------
    .. [1] V. Papyan, X. Y. Han, D. L. Donoho, PNAS 117, 2020, doi:10.1073/pnas.2015509117.

    Examples
    --------
    >>> terminal_phase_start([0, 100, 200, 300, 400, 500], [9, 0, 1, 0, 0, 0])
    300
    """
    name, samples = _only(step, train_errors, train_accuracy, batch_errors)
    return first_fit(errors_of(samples, name), batches=name == "batch_errors")


def first_fit(misclassified: Samples, *, batches: bool) -> int | None:
    """Find the start of the terminal phase in what `errors_of` returns; see `terminal_phase_start`."""
    return next((as_step(start) for start, _ in perfect_parts(misclassified, batches=batches)), None)


def perfect_parts(misclassified: Samples, *, batches: bool) -> list[tuple[float, float]]:
    """Return first and last step of each part of the run that is perfect for long enough to be the terminal phase."""
    steps, errors = misclassified
    if not len(steps):
        return []
    run = float(steps[-1] - steps[0])
    wrong = np.flatnonzero(errors > 0)
    first, last = np.append(-1, wrong) + 1, np.append(wrong, len(errors)) - 1
    rows, updates = max(HOLD, int(HOLD_SHARE * len(errors))), 0.0
    if batches:
        rows, updates = BATCH_HOLD, max(HOLD_SHARE * run, min(BATCH_UPDATES, LARGEST_BATCH_SHARE * run))
    long = last - first + 1 >= rows
    parts = [(float(steps[i]), float(steps[k])) for i, k in zip(first[long], last[long], strict=True)]
    return [(start, end) for start, end in parts if end - start >= updates]


def detect_misclassification(
    step: Any,
    train_errors: Any = None,
    *,
    train_accuracy: Any = None,
    batch_errors: Any = None,
    after: float | None = None,
) -> list[MisclassificationBurst]:
    """Find the bursts of misclassified training samples after the start of the terminal phase.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the signal was measured.
    train_errors, batch_errors : (n,) array_like, optional
        Misclassified samples of the whole training set or of each update's batch.
    train_accuracy : (n,) array_like, fraction in [0, 1], optional
        Of the whole training set.
    after : float, updates, optional
        Start of the terminal phase. By default it is found from this signal.

    Returns
    -------
    list of MisclassificationBurst
        In order. Errors that are nearer to each other than 0.5% of the run form one burst.

    Raises
    ------
    InputError
        If not exactly one of the three signals is given, or it does not fit `step`.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> errors = np.zeros(50)
    >>> errors[:3], errors[30] = 20, 4
    >>> detect_misclassification(np.arange(50) * 100, errors)[0].start
    3000
    """
    name, samples = _only(step, train_errors, train_accuracy, batch_errors)
    misclassified = errors_of(samples, name)
    if after is None:
        after = first_fit(misclassified, batches=name == "batch_errors")
    return [] if after is None else misclassification_bursts(misclassified, after)


def misclassification_bursts(misclassified: Samples, after: float) -> list[MisclassificationBurst]:
    """Find bursts in what `errors_of` returns; see `detect_misclassification`."""
    steps, errors = misclassified
    if not len(steps):
        return []
    wrong = np.flatnonzero((errors > 0) & (steps >= after))
    return [_burst(steps, errors, group) for group in _groups(steps, wrong) if len(group)]


def errors_of(samples: Samples, name: str) -> Samples:
    """Return the misclassified samples of any of the three signals, exactly zero where none is.

    Parameters
    ----------
    samples : Samples
        In canonical form.
    name : {"train_errors", "batch_errors", "train_accuracy"}
        The quantity that was measured.

    Returns
    -------
    Samples
        Numbers of misclassified samples; their fractions if accuracies are given.

    Raises
    ------
    InputError
        If an accuracy is not a fraction, or a number of errors is negative.
    """
    steps, values = samples
    if name == "train_accuracy":
        if len(values) and (values.max() > 1 + ROUNDING or values.min() < 0):
            raise InputError("train_accuracy: not a fraction in [0, 1]; divide percentages by 100")
        values = 1 - values
        values[values < ROUNDING] = 0.0
    elif len(values) and values.min() < 0:
        raise InputError(f"{name}: counts of misclassified samples can't be negative")
    return Samples(steps, values)


def _groups(steps: FloatArray, wrong: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Split the rows with errors at gaps that are long and contain a row without error."""
    far = (np.diff(steps[wrong]) > GAP_SHARE * (steps[-1] - steps[0])) & (np.diff(wrong) > 1)
    return np.split(wrong, np.flatnonzero(far) + 1)


def _burst(steps: FloatArray, errors: FloatArray, group: npt.NDArray[np.intp]) -> MisclassificationBurst:
    peak = group[np.argmax(errors[group])]
    end = min(int(group[-1]) + 1, len(steps) - 1)
    return MisclassificationBurst(
        as_step(steps[group[0]]), as_step(steps[peak]), as_step(steps[end]), float(errors[peak])
    )


def _only(step: Any, train_errors: Any, train_accuracy: Any, batch_errors: Any) -> tuple[str, Samples]:
    """Return name and samples of the one signal that was given."""
    given = {"train_errors": train_errors, "train_accuracy": train_accuracy, "batch_errors": batch_errors}
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        raise InputError(f"got {' and '.join(names) or 'no signal'}; give one of {', '.join(given)}")
    return names[0], canonical(step, given[names[0]], names[0])
