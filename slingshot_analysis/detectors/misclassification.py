"""Terminal phase of training, and the bursts of misclassified training samples that interrupt it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slingshot_analysis.canonical import FloatArray, as_step, canonical
from slingshot_analysis.errors import InputError

__all__ = ["MisclassificationBurst", "detect_misclassification", "terminal_phase_start"]

HOLD = 3
"""Evaluations of the whole training set that must be perfect in a row."""
BATCH_HOLD = 100
"""Minibatches that must be perfect in a row; more than an epoch of the small data sets where this happens."""
HOLD_SHARE = 0.005
"""Share of a long run's rows that must be perfect: an epoch is not known from batches alone, and an accuracy that is
logged at every update may be that of a batch."""
ROUNDING = 1e-6
"""An accuracy this near to 1 is 1: nothing smaller than a millionth of a training set is a sample."""
GAP_SHARE = 0.005
"""Errors nearer than 0.5% of the run belong to one burst."""


@dataclass(frozen=True)
class MisclassificationBurst:
    """Training samples misclassified again after the training set had been fitted.

    Parameters
    ----------
    start, peak, end : int, updates
        First step with an error, step with most errors, first step measured without error.
    worst : float
        Misclassified samples at the peak, or their fraction if accuracies were given.
    """

    start: int
    peak: int
    end: int
    worst: float


def terminal_phase_start(
    step: Any, train_errors: Any = None, *, train_accuracy: Any = None, batch_errors: Any = None
) -> int | None:
    """Find the first step at which the training set is, and for a while stays, perfectly classified.

    Parameters
    ----------
    step : (n,) array_like, updates
        Where the signal was measured.
    train_errors : (n,) array_like, optional
        Misclassified samples of the whole training set; perfect for three evaluations or 0.5% of them in a row.
    train_accuracy : (n,) array_like, fraction in [0, 1], optional
        Of the whole training set; likewise.
    batch_errors : (n,) array_like, optional
        Misclassified samples of each update's batch; perfect for 100 batches or 0.5% of them, whichever is more.

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
    steps, errors = _errors(step, train_errors, train_accuracy, batch_errors)
    hold = max(HOLD if batch_errors is None else BATCH_HOLD, int(HOLD_SHARE * len(errors)))
    wrong = np.flatnonzero(errors > 0)
    runs = np.diff(wrong, prepend=-1, append=len(errors)) - 1
    long = np.flatnonzero(runs >= hold)
    if not len(long):
        return None
    return as_step(steps[wrong[long[0] - 1] + 1 if long[0] else 0])


def detect_misclassification(
    step: Any,
    train_errors: Any = None,
    *,
    train_accuracy: Any = None,
    batch_errors: Any = None,
    after: float | None = None,
) -> list[MisclassificationBurst]:
    """Find the bursts of misclassified training samples after the terminal phase began.

    Parameters
    ----------
    step : (n,) array_like, updates
        Where the signal was measured.
    train_errors, batch_errors : (n,) array_like, optional
        Misclassified samples of the whole training set or of each update's batch.
    train_accuracy : (n,) array_like, fraction in [0, 1], optional
        Of the whole training set.
    after : float, updates, optional
        Start of the terminal phase, where another signal tells it better; else it is found from this signal.

    Returns
    -------
    list of MisclassificationBurst
        In order. Errors nearer to each other than 0.5% of the run make one burst.

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
    steps, errors = _errors(step, train_errors, train_accuracy, batch_errors)
    if after is None:
        after = terminal_phase_start(step, train_errors, train_accuracy=train_accuracy, batch_errors=batch_errors)
    if after is None or not len(steps):
        return []
    wrong = np.flatnonzero((errors > 0) & (steps >= after))
    return [_burst(steps, errors, group) for group in _groups(steps, wrong) if len(group)]


def _groups(steps: FloatArray, wrong: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Split the rows with errors where a long stretch of the run lies between them, and a row without error."""
    far = (np.diff(steps[wrong]) > GAP_SHARE * (steps[-1] - steps[0])) & (np.diff(wrong) > 1)
    return np.split(wrong, np.flatnonzero(far) + 1)


def _burst(steps: FloatArray, errors: FloatArray, group: npt.NDArray[np.intp]) -> MisclassificationBurst:
    peak = group[np.argmax(errors[group])]
    end = min(int(group[-1]) + 1, len(steps) - 1)
    return MisclassificationBurst(
        as_step(steps[group[0]]), as_step(steps[peak]), as_step(steps[end]), float(errors[peak])
    )


def _errors(step: Any, train_errors: Any, train_accuracy: Any, batch_errors: Any) -> tuple[FloatArray, FloatArray]:
    """Return steps, and errors as a count or fraction that is exactly zero where all is right."""
    given = {"train_errors": train_errors, "train_accuracy": train_accuracy, "batch_errors": batch_errors}
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        raise InputError(f"got {' and '.join(names) or 'no signal'}; give one of {', '.join(given)}")
    steps, values = canonical(step, given[names[0]], names[0])
    if train_accuracy is not None:
        if len(values) and (values.max() > 1 + ROUNDING or values.min() < 0):
            raise InputError("train_accuracy: not a fraction in [0, 1]; divide percentages by 100")
        values = 1 - values
        values[values < ROUNDING] = 0.0
    elif len(values) and values.min() < 0:
        raise InputError(f"{names[0]}: counts of misclassified samples can't be negative")
    return steps, values
