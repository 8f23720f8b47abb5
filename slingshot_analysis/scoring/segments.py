"""Found segments against true ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slingshot_analysis.errors import InputError
from slingshot_analysis.scoring.matching import FloatArray, numbers

__all__ = ["covering"]


def covering(found: npt.ArrayLike, true: npt.ArrayLike, span: tuple[float, float]) -> float:
    """Measure how well found segments cover the true ones.

    Each true segment counts by its length with the best overlap, intersection over union, of any found segment.

    Parameters
    ----------
    found, true : (n,), (k,) array_like, updates
        Boundaries between segments, without the ends of the run; what lies outside the span is left out.
    span : (float, float), updates
        Start and end of the run.

    Returns
    -------
    float, in [0, 1]
        1 for the same segments.

    Raises
    ------
    InputError
        If steps are not finite, or the span is empty.

    References
    ----------
    .. [1] G. J. J. van den Burg, C. K. I. Williams, An Evaluation of Change Point Detection Algorithms, 2020,
       arXiv:2003.06222, section 4.2.

    Examples
    --------
    >>> covering([50], [40], (0, 100)), covering([], [50], (0, 100))
    (0.82, 0.5)
    """
    a, b = _segments(found, "found", span), _segments(true, "true", span)
    overlap = np.minimum(a[None, :, 1], b[:, None, 1]) - np.maximum(a[None, :, 0], b[:, None, 0])
    length, found_length = b[:, 1] - b[:, 0], a[:, 1] - a[:, 0]
    overlap = np.maximum(overlap, 0)
    best = (overlap / (length[:, None] + found_length[None, :] - overlap)).max(axis=1)
    return float((best * length).sum() / length.sum())


def _segments(boundaries: npt.ArrayLike, name: str, span: tuple[float, float]) -> FloatArray:
    start, end = span
    if not end > start:
        raise InputError(f"span: got {span}; give a start and a later end")
    inner = np.unique(numbers(boundaries, name))
    edges = np.array([start, *inner[(inner > start) & (inner < end)], end], dtype=np.float64)
    return np.stack([edges[:-1], edges[1:]], axis=1)
