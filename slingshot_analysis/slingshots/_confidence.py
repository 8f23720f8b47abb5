"""Confidence of an event: the probability that it is a slingshot, from what the signals show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slingshot_analysis.canonical import FloatArray
from slingshot_analysis.detectors.breaks import NormBreak
from slingshot_analysis.slingshots._loss_rises import Clearness

MAXIMUM_DECADES, MAXIMUM_CONTRAST = 6.0, 6.0
"""Decades of a spike and contrast of a break beyond which the confidence does not rise."""
MAXIMUM_NOISE_RATIO, MAXIMUM_ISOLATION = 8.0, 3.0
"""Ratio of a rise and that of noise, and isolation of a rise, beyond which the confidence does not rise."""
SPIKE_WEIGHTS = (-12.65, 2.38, 2.27, 0.61, 3.68, 4.88)
ERROR_WEIGHTS = (-3.33, 3.87, 3.65)
"""Weights of the logistic function, an intercept and one for each feature, of loss spikes and of misclassification
without one. `benchmarks/fit_confidence.py` prints them. No weight of a feature that a further signal can add is
negative, so that more evidence never lowers the confidence."""
BREAK_WEIGHTS = (3.0, 1.5, 2.4)
"""The same for breaks of the norm without either, from a logistic regression on 1,927 breaks in synthetic runs with and
without slingshots."""


@dataclass(frozen=True)
class SpikeEvidence:
    """What the signals show of a spike.

    Parameters
    ----------
    decades : float
        Decimal logarithm of the rise of the loss.
    clearness : Clearness
        How clearly the spike stands out from its loss.
    misclassified : bool
        Whether training samples are misclassified.
    growth : bool
        Whether the norm grows before the spike and not after it.
    contrast : float
        Decimal logarithm of the change of the norm's slope over the least that is growth.
    """

    decades: float
    clearness: Clearness
    misclassified: bool
    growth: bool = False
    contrast: float = 0.0

    @property
    def error_features(self) -> FloatArray:
        """Return the numbers that `ERROR_WEIGHTS` weigh."""
        return np.array([self.growth, float(np.clip(self.contrast, 0.0, 1.0)) if self.growth else 0.0], dtype=float)

    @property
    def spike_features(self) -> FloatArray:
        """Return the numbers that `SPIKE_WEIGHTS` weigh."""
        ratio = np.log2(np.clip(self.clearness.noise_ratio, 1 / MAXIMUM_NOISE_RATIO, MAXIMUM_NOISE_RATIO))
        isolation = np.clip(self.clearness.isolation, -MAXIMUM_ISOLATION, MAXIMUM_ISOLATION)
        loss = [min(self.decades, MAXIMUM_DECADES), ratio, isolation, self.misclassified]
        return np.array([*loss, self.growth], dtype=float)

    @property
    def confidence(self) -> float:
        """Return the larger of the confidences that the loss and the misclassified samples give."""
        by_loss = confidence(self.spike_features, SPIKE_WEIGHTS) if self.decades > 0 else 0.0
        return max(by_loss, confidence(self.error_features, ERROR_WEIGHTS) if self.misclassified else 0.0)


def break_features(found: NormBreak) -> FloatArray:
    """Return the numbers that `BREAK_WEIGHTS` weigh: contrast of the break, and decimal logarithm of its gain."""
    return np.array([min(found.contrast, MAXIMUM_CONTRAST), np.log10(found.gain)])


def confidence(features: FloatArray, weights: tuple[float, ...]) -> float:
    """Return the logistic function of the weighted sum of features.

    Examples
    --------
    >>> confidence(np.array([2.0]), (-2.0, 1.0))
    0.5
    """
    return float(1 / (1 + np.exp(-(weights[0] + features @ np.array(weights[1:])))))
