"""Peaks of positive signals above their usual values: bursts of feature change and peaks of the curvature."""

from __future__ import annotations

from typing import Any

import numpy as np

from slingshot_analysis.canonical import FloatArray, as_step, bin_edges, canonical
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import Peak
from slingshot_analysis.excursions import MAXIMUM_DECADES, excursions, local_noise

BINS = 4000
"""Maximum number of bins of the search. A peak shows in the maximum of its bin, however short it is."""
NOISE_FACTOR = 10.0
"""Minimum height of a peak above the trough before it, in standard deviations of the noise. The range of 4,000 normal
numbers is seven or eight, and the estimate of the standard deviation is off by up to a seventh."""


def detect_feature_bursts(step: Any, feature_change: Any, *, min_ratio: float = 3.0) -> list[Peak]:
    """Find the updates at which features change much faster than before and after.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the change was measured.
    feature_change : (n,) array_like
        Relative change of one layer's features by one update, ‖h_{t+1} − h_t‖ / ‖h_t‖.
    min_ratio : float, optional
        Minimum ratio of peak and trough.

    Returns
    -------
    list of Peak
        In order. Each rises by more than ten times the local noise, and at least half of its rise (on a logarithmic
        scale) is undone.

    Raises
    ------
    InputError
        If the arrays do not fit together, or `min_ratio` is not above 1.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, Figure 2e.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.arange(0, 5000, 10)
    >>> change = 1e-4 * (1 + 50 * np.exp(-(((step - 3000) / 40) ** 2)))
    >>> [(burst.peak, round(burst.ratio)) for burst in detect_feature_bursts(step, change)]
    [(3000, 51)]
    """
    return _peaks(step, feature_change, "feature_change", min_ratio)


def detect_curvature_peaks(step: Any, curvature: Any, *, min_ratio: float = 1.5) -> list[Peak]:
    """Find the peaks of a curvature, such as the top Hessian eigenvalue or the sharpness along the update.

    Parameters
    ----------
    step : (n,) array_like, updates
        Steps at which the curvature was measured.
    curvature : (n,) array_like
        Values that are not positive are ignored.
    min_ratio : float, optional
        Minimum ratio of peak and trough.

    Returns
    -------
    list of Peak
        By the same rule as `detect_feature_bursts`.

    Raises
    ------
    InputError
        If the arrays do not fit together, or `min_ratio` is not above 1.

    References
    ----------
    .. [1] V. Thilak et al., The Slingshot Mechanism, 2022, arXiv:2206.04817, Figures 3 and 16.

    Examples
    --------
    >>> detect_curvature_peaks(range(12), [1, 1, 1, 1, 1, 2, 8, 2, 1, 1, 1, 1])[0].peak
    6
    """
    return _peaks(step, curvature, "curvature", min_ratio)


def _peaks(step: Any, value: Any, name: str, min_ratio: float) -> list[Peak]:
    if not min_ratio > 1:
        raise InputError(f"min_ratio: got {min_ratio}; a peak rises, so give a number above 1")
    steps, values = canonical(step, value, name)
    positive = (values > 0) & np.isfinite(values)
    steps, values = steps[positive], values[positive]
    if len(steps) < 3:
        return []
    edges = bin_edges(len(values), BINS)
    height: FloatArray = np.log10(np.maximum.reduceat(values, edges))
    threshold = np.maximum(np.log10(min_ratio), NOISE_FACTOR * local_noise(height))
    found = []
    for trough, peak, back in excursions(height, threshold):
        top = edges[peak] + int(np.argmax(values[edges[peak] : edges[peak + 1]]))
        level = 10 ** ((height[peak] + height[trough]) / 2)
        below = np.flatnonzero(values[edges[trough] : top] < level)
        start = edges[trough] + (below[-1] + 1 if len(below) else 0)
        ratio = float(10 ** min(height[peak] - height[trough], MAXIMUM_DECADES))
        found.append(Peak(as_step(steps[start]), as_step(steps[top]), as_step(steps[edges[back]]), ratio))
    return found
