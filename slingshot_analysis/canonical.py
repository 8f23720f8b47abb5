"""Put what a detector is given into one form: float64 arrays, sorted by step, without NaN or duplicate steps."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.signal import as_array

__all__ = ["FloatArray", "as_step", "bin_edges", "bin_medians", "canonical", "canonical_accuracy", "step_and_value"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

SAME_STEP = 1e-12
"""Steps that differ by less than this share of the largest are one step; only rounding makes such a difference."""


def canonical(step: Any, value: Any, name: str = "value", *, keep_nan: bool = False) -> tuple[FloatArray, FloatArray]:
    """Sort a signal by step, drop NaN, and keep the last of the rows that share a step.

    Parameters
    ----------
    step : (n,) array_like, updates
        In any order, with gaps and repetitions.
    value : (n,) array_like
        One number for each step.
    name : str, optional
        What to call the values in an error.
    keep_nan : bool, optional
        Keep the rows whose value is NaN, for those who ask how a run ended.

    Returns
    -------
    step, value : (m,) float array
        With m <= n and the steps strictly increasing; two that differ by rounding only are the same.

    Raises
    ------
    InputError
        If the shapes differ or are not one-dimensional, a step is infinite, or something is no real number.

    Examples
    --------
    >>> canonical([3, 1, 1, 2], [30.0, 10.0, 11.0, float("nan")])
    (array([1., 3.]), array([11., 30.]))
    """
    steps, values = _floats(step, "step"), _floats(value, name)
    if steps.ndim != 1 or steps.shape != values.shape:
        raise InputError(
            f"{name}: step has shape {steps.shape} and {name} {values.shape}; give one number for each step"
        )
    keep = ~np.isnan(steps)
    if not keep_nan:
        keep &= ~np.isnan(values)
    if not keep.all():
        steps, values = steps[keep], values[keep]
    if np.isinf(steps).any():
        raise InputError(f"{name}: a step is infinite; steps count optimizer updates and must be finite")
    same = SAME_STEP * np.abs(steps).max(initial=0.0)
    if not (np.diff(steps) > same).all():
        order = np.argsort(steps, kind="stable")
        steps, values = steps[order], values[order]
        last = np.append(np.diff(steps) > same, np.ones(min(len(steps), 1), dtype=bool))
        steps, values = steps[last], values[last]
    return steps, values


def canonical_accuracy(step: Any, accuracy: Any) -> tuple[FloatArray, FloatArray]:
    """Return an accuracy in canonical form, with a check that it is a fraction.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps of the evaluations.
    accuracy : (n,) array_like, fraction in [0, 1]
        One number for each step.

    Returns
    -------
    step, value : (m,) float array
        As `canonical` returns them; rounding above 1 is removed.

    Raises
    ------
    InputError
        If the arrays do not fit together, or the accuracy is not a fraction.

    Examples
    --------
    >>> canonical_accuracy([20, 10], [1.0, 0.5])[1]
    array([0.5, 1. ])
    """
    steps, values = canonical(step, accuracy, "accuracy")
    if len(values) and (values.max() > 1 + 1e-6 or values.min() < 0):
        raise InputError("accuracy: not a fraction in [0, 1]; divide percentages by 100")
    return steps, np.minimum(values, 1.0)


def step_and_value(given: Any, name: str, step: Any = None) -> tuple[Any, Any]:
    """Return step and value of a Signal, known by these attributes, of a pair, or of an array on the common axis.

    Parameters
    ----------
    given : (n,) array_like, Signal or (step, value)
        The signal.
    name : str
        What to call it in an error.
    step : (n,) array_like, updates, optional
        Axis of a bare array.

    Returns
    -------
    step, value : array_like
        As they were given.

    Raises
    ------
    InputError
        If a bare array has no axis.
    """
    if hasattr(given, "step") and hasattr(given, "value"):
        return given.step, given.value
    if isinstance(given, tuple) and len(given) == 2 and all(np.ndim(part) == 1 for part in given):
        return given
    if step is None:
        raise InputError(f"{name}: an array needs `step`; give it, or a Signal or a (step, value) pair")
    return step, given


def as_step(step: float) -> int:
    """Return a step as a Python int where it is integral, else as it is.

    Parameters
    ----------
    step : float, updates
        Fractional steps come from logs that count epochs.

    Returns
    -------
    int, updates
        A float for fractional steps, typed as the int that it nearly always is.

    Examples
    --------
    >>> as_step(23101.0)
    23101
    """
    return int(step) if float(step).is_integer() else float(step)  # type: ignore[return-value]


def bin_edges(n: int, bins: int) -> npt.NDArray[np.intp]:
    """Return the first index of each of at most `bins` runs of equally many samples, for ``reduceat``.

    Parameters
    ----------
    n : int
        Number of samples.
    bins : int
        Most bins wanted.

    Returns
    -------
    (m,) int array
        Strictly increasing, from 0.

    Examples
    --------
    >>> bin_edges(10, 4)
    array([0, 3, 6, 9])
    """
    return np.arange(0, n, max(1, -(-n // bins)))


def bin_medians(values: FloatArray, edges: npt.NDArray[np.intp]) -> FloatArray:
    """Return the median of each bin.

    Parameters
    ----------
    values : (n,) float array
        One or more.
    edges : (m,) int array
        Of `bin_edges`: all bins but the last are equally long.

    Returns
    -------
    (m,) float array

    Examples
    --------
    >>> values = np.array([3.0, 1.0, 2.0, 8.0, 9.0])
    >>> bin_medians(values, bin_edges(len(values), 2))
    array([2. , 8.5])
    """
    last = int(edges[-1])
    first = np.median(values[:last].reshape(len(edges) - 1, -1), axis=1) if last else np.empty(0)
    return np.append(first, np.median(values[last:]))


def _floats(given: Any, name: str) -> FloatArray:
    try:
        array = as_array(given, name)
        if array.dtype.kind == "c":
            raise InputError(f"{name}: got complex numbers; give real ones")
        if array.dtype.kind in "mMSU":
            raise InputError(f"{name}: got {array.dtype}; give real numbers")
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: could not be read as an array of real numbers ({error})") from error
