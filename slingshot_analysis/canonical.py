"""The form in which detectors read a signal: float64 arrays, sorted by step, without NaN or repeated steps."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.signal import as_array

FloatArray: TypeAlias = npt.NDArray[np.float64]

MAD_OF_NORMAL = 0.6745
"""Median absolute deviation of normal noise whose standard deviation is 1."""

SAME_STEP = 1e-12
"""Steps that differ by less than this fraction of the largest step count as equal: rounding alone makes such a
difference."""


class Samples(NamedTuple):
    """A signal in canonical form. Detectors that are given one do not check or sort it again.

    Parameters
    ----------
    step : (n,) float array, updates
        Strictly increasing.
    value : (n,) float array
        One number for each step.
    """

    step: FloatArray
    value: FloatArray


def canonical(step: Any, value: Any, name: str = "value", *, keep_nan: bool = False) -> Samples:
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
        Keep the rows whose value is NaN, which tell how a run ended.

    Returns
    -------
    Samples
        With m <= n rows. Steps that differ by rounding only count as equal.

    Raises
    ------
    InputError
        If the shapes differ or are not one-dimensional, a step is infinite, or something is no real number.

    Examples
    --------
    >>> canonical([3, 1, 1, 2], [30.0, 10.0, 11.0, float("nan")])
    Samples(step=array([1., 3.]), value=array([11., 30.]))
    """
    steps, values = _floats(step, "step"), _floats(value, name)
    if steps.ndim != 1 or steps.shape != values.shape:
        raise InputError(
            f"{name}: step has shape {steps.shape} and {name} {values.shape}; give one number for each step"
        )
    if _is_canonical(steps) and (keep_nan or not len(values) or not np.isnan(values.min())):
        return Samples(steps, values)
    keep = ~np.isnan(steps)
    if not keep_nan:
        keep &= ~np.isnan(values)
    steps, values = steps[keep], values[keep]
    if np.isinf(steps).any():
        raise InputError(f"{name}: a step is infinite; steps count optimizer updates and must be finite")
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    last = np.append(np.diff(steps) > _same_step(steps), np.ones(min(len(steps), 1), dtype=bool))
    steps, values = steps[last], values[last]
    return Samples(steps, values)


def _same_step(steps: FloatArray) -> float:
    """Return the difference up to which steps in order count as equal."""
    return SAME_STEP * max(abs(float(steps[0])), abs(float(steps[-1]))) if len(steps) else 0.0


def _is_canonical(steps: FloatArray) -> bool:
    """Return whether steps are finite and strictly increasing, in one pass: NaN compares as false."""
    same = _same_step(steps)
    return bool(np.isfinite(same) and (np.diff(steps) > same).all() and np.isfinite(steps[:1]).all())


def canonical_accuracy(step: Any, accuracy: Any) -> Samples:
    """Return an accuracy in canonical form, with a check that it is a fraction.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps of the evaluations.
    accuracy : (n,) array_like, fraction in [0, 1]
        One number for each step.

    Returns
    -------
    Samples
        As `canonical` returns them; rounding above 1 is removed.

    Raises
    ------
    InputError
        If the arrays do not fit together, or the accuracy is not a fraction.

    Examples
    --------
    >>> canonical_accuracy([20, 10], [1.0, 0.5])
    Samples(step=array([10., 20.]), value=array([0.5, 1. ]))
    """
    steps, values = canonical(step, accuracy, "accuracy")
    if len(values) and (values.max() > 1 + 1e-6 or values.min() < 0):
        raise InputError("accuracy: not a fraction in [0, 1]; divide percentages by 100")
    return Samples(steps, np.minimum(values, 1.0))


def step_and_value(given: Any, name: str, step: Any = None) -> tuple[Any, Any]:
    """Return the steps and values of a Signal, of a (step, value) pair, or of a bare array on the common axis.

    Parameters
    ----------
    given : (n,) array_like, Signal or (step, value)
        The signal.
    name : str
        What to call it in an error.
    step : (n,) array_like, updates, optional
        Steps of a bare array.

    Returns
    -------
    step, value : array_like
        Unchanged.

    Raises
    ------
    InputError
        If a bare array is given without steps.
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
        A fractional step stays a float. The annotation says int because nearly every step is one.

    Examples
    --------
    >>> as_step(23101.0)
    23101
    """
    return int(step) if float(step).is_integer() else float(step)  # type: ignore[return-value]


def bin_edges(n: int, bins: int) -> npt.NDArray[np.intp]:
    """Return where each of at most `bins` bins of equally many samples begins, as ``reduceat`` takes it.

    Parameters
    ----------
    n : int
        Number of samples.
    bins : int
        Maximum number of bins.

    Returns
    -------
    (m,) int array
        Strictly increasing, from 0. The last bin may be shorter than the others.

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
        At least one.
    edges : (m,) int array
        As returned by `bin_edges`, so that all bins but the last are equally long.

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
    first = row_medians(values[:last].reshape(len(edges) - 1, -1)) if last else np.empty(0)
    return np.append(first, np.median(values[last:]))


def row_medians(table: FloatArray) -> FloatArray:
    """Return the median of each row, as `numpy.median` does; NaNs come last.

    NumPy sorts many short rows several times faster than it partitions them.

    Parameters
    ----------
    table : (m, w) float array
        At least one column.

    Returns
    -------
    (m,) float array

    Examples
    --------
    >>> row_medians(np.array([[3.0, 1.0, 2.0, 8.0], [4.0, 4.0, 4.0, 4.0]]))
    array([2.5, 4. ])
    """
    width = table.shape[1]
    ordered = np.sort(table, axis=1)
    if width % 2:
        return ordered[:, width // 2]
    return (ordered[:, width // 2 - 1] + ordered[:, width // 2]) / 2


def only(keep: npt.NDArray[np.bool_], *arrays: FloatArray) -> tuple[FloatArray, ...]:
    """Return the rows of arrays that a mask keeps, without a copy where they follow each other.

    Parameters
    ----------
    keep : (n,) bool array
        The rows.
    *arrays : (n,) float array
        All of one length.

    Returns
    -------
    tuple of (m,) float array
        Views, or copies where the mask has gaps.

    Examples
    --------
    >>> only(np.array([False, True, True]), np.arange(3.0))
    (array([1., 2.]),)
    """
    first, stop = (int(keep.argmax()), len(keep) - int(keep[::-1].argmax())) if len(keep) else (0, 0)
    if keep[first:stop].all():
        return tuple(array[first:stop] for array in arrays)
    return tuple(array[keep] for array in arrays)


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
