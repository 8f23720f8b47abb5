"""Steps and intervals: input checks, and which jumps lie near a transition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError

FloatArray: TypeAlias = npt.NDArray[np.float64]


def as_steps(given: Sequence[Any], attribute: str, name: str, first: float, last: float) -> FloatArray:
    """Return the steps of events as an array.

    Parameters
    ----------
    given : (n,) array_like, updates
        Steps, or events that have the attribute.
    attribute : str
        Attribute that holds the step of an event, such as ``"transition"``.
    name : str
        Name of the argument, for error messages.
    first, last : float, updates
        Smallest and largest step allowed.

    Returns
    -------
    (n,) float array, updates
        The steps, in the order given.

    Raises
    ------
    InputError
        If a step is not a finite number or lies outside [first, last].

    Examples
    --------
    >>> as_steps([30, 10], "step", "jumps", 0, 40)
    array([30., 10.])
    """
    try:
        steps = np.array([getattr(event, attribute, event) for event in given], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: could not be read as steps ({error})") from error
    if steps.ndim != 1 or not np.isfinite(steps).all():
        raise InputError(f"{name}: give a flat sequence of finite steps")
    outside = steps[(steps < first) | (steps > last)]
    if len(outside):
        raise InputError(f"{name}: step {outside[0]:g} lies outside run_span [{first:g}, {last:g}]")
    return steps


def as_span(given: tuple[float, float], name: str) -> tuple[float, float]:
    """Return an interval as two floats.

    Parameters
    ----------
    given : (float, float), updates
        Start and end.
    name : str
        Name of the argument, for error messages.

    Returns
    -------
    (float, float), updates
        Start and end.

    Raises
    ------
    InputError
        If an end is not finite, or the interval is empty.

    Examples
    --------
    >>> as_span((-800, 1000), "window")
    (-800.0, 1000.0)
    """
    low, high = given
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        raise InputError(f"{name}: got ({low}, {high}); the second must be greater than the first, and both finite")
    return float(low), float(high)


def is_near(jump: FloatArray, transition: FloatArray, window: tuple[float, float]) -> npt.NDArray[np.bool_]:
    """Tell for each jump whether it falls into the window around some transition.

    Parameters
    ----------
    jump : (..., n) float array, updates
        Steps of the jumps.
    transition : (m,) float array, updates
        Steps of the transitions, in increasing order.
    window : (float, float), updates
        Smallest and largest lag of a jump behind a transition that counts as near.

    Returns
    -------
    (..., n) bool array

    Examples
    --------
    >>> is_near(np.array([95.0, 120.0, 205.0]), np.array([100.0, 200.0]), (-5, 10))
    array([ True, False,  True])
    """
    if not len(transition):
        return np.zeros(jump.shape, dtype=np.bool_)
    reached = np.searchsorted(transition + window[0], jump, side="right") - 1
    return np.asarray((reached >= 0) & (jump <= transition[np.maximum(reached, 0)] + window[1]))


def hits_near(jump: FloatArray, transition: FloatArray, window: tuple[float, float]) -> npt.NDArray[np.int64]:
    """Count the jumps that fall into the window around some transition.

    Parameters
    ----------
    jump : (..., n) float array, updates
        Sets of n jumps.
    transition, window
        As for `is_near`.

    Returns
    -------
    (...) int array
        Number of hits in each set.

    Examples
    --------
    >>> int(hits_near(np.array([95.0, 120.0, 205.0]), np.array([100.0, 200.0]), (-5, 10)))
    2
    """
    return np.asarray(is_near(jump, transition, window).sum(axis=-1), dtype=np.int64)
