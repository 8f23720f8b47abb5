"""What raises the confidence of an event, and up to which bound."""

import numpy as np
import pytest

from slingshot_analysis.detectors.breaks import NormBreak
from slingshot_analysis.slingshots._confidence import SpikeEvidence, break_features
from slingshot_analysis.slingshots._loss_rises import Clearness


def by_loss(decades=4.0, noise_ratio=2.0, isolation=0.0):
    return SpikeEvidence(decades, Clearness(noise_ratio, isolation), misclassified=False).confidence


def by_errors(contrast):
    return SpikeEvidence(0.0, Clearness(), misclassified=True, growth=True, contrast=contrast).confidence


@pytest.mark.parametrize(
    ("feature", "lowest", "highest"), [("decades", 0.5, 6.0), ("noise_ratio", 1 / 8, 8.0), ("isolation", -3.0, 3.0)]
)
def test_a_higher_and_clearer_spike_is_surer_within_bounds(feature, lowest, highest):
    low, middle, high = (by_loss(**{feature: value}) for value in (lowest, (lowest + highest) / 2, highest))
    assert low < middle < high == by_loss(**{feature: highest + 1})
    if feature != "decades":
        assert by_loss(**{feature: lowest - 1}) == low


def test_misclassification_is_surer_the_more_the_slope_of_the_norm_changes():
    below, least, middle, high, above = (by_errors(contrast) for contrast in (-1.0, 0.0, 0.5, 1.0, 2.0))
    assert below == least < middle < high == above


def test_a_break_counts_by_its_contrast_up_to_six_and_by_its_gain():
    def features(contrast, gain):
        return break_features(NormBreak(0, 100, 200, contrast, gain, (90, 110))).tolist()

    assert features(5.0, 0.1) == [5, pytest.approx(-1)]
    assert features(7.0, 10.0) == [6, pytest.approx(1)]
    assert np.isfinite(features(6.0, 1e-3)).all()
