"""Spikes and bursts of misclassification, joined to transitions."""

import numpy as np
import pytest

from slingshot_analysis.canonical import Samples
from slingshot_analysis.detectors.misclassification import MisclassificationBurst
from slingshot_analysis.slingshots import merge_anchors
from slingshot_analysis.slingshots.anchors import Sign, burst_signs


def spike(start, end, decades, signal="train_loss", stride=10, fall=5):
    return Sign(start, end, decades, signal, misclassified=False, before=start - stride, fall=fall)


def misclassified(start, end, signal="batch_errors", stride=10):
    return Sign(start, end, 0.0, signal, misclassified=True, before=start - stride)


def starts(signs, distance=20):
    return [anchor.start for anchor in merge_anchors(signs, distance)]


@pytest.mark.parametrize(
    ("at", "decades", "expected"),
    [(160, 3.7, [100, 160]), (160, 3.4, [100]), (170, 3.4, [100]), (171, 3.4, [100, 171])],
)
def test_an_aftershock_is_lower_than_a_third_and_begins_within_the_distance(at, decades, expected):
    assert starts([spike(100, 150, 4.0), spike(at, at + 20, decades)]) == expected


def test_another_signal_joins_whatever_its_height():
    (anchor,) = merge_anchors([spike(100, 150, 4.0), spike(160, 180, 5.0, "batch_loss")], 20)
    assert (anchor.start, anchor.end, anchor.decades, anchor.before) == (100, 180, 5.0, 90)
    assert anchor.evidence == ("batch_loss rises 1e+05-fold",)
    assert not anchor.by_hand


def test_the_step_before_is_that_of_the_densest_signal_that_shows_the_start():
    (anchor,) = merge_anchors([spike(100, 150, 4.0, stride=50), misclassified(100, 150, stride=10)], 20)
    assert anchor.before == 90


def test_a_burst_of_misclassified_samples_is_no_rise_of_the_loss():
    errors = Samples(np.arange(0.0, 500, 10), np.zeros(50))
    burst = MisclassificationBurst(start=100, peak=110, end=150, worst=3.0)
    assert burst_signs("batch_errors", errors, [burst]) == [misclassified(100, 150)]


def test_a_burst_of_spikes_is_one_event_at_its_first_rise():
    """The third spike begins 13 updates after the second has fallen, which is short beside the 15 of both."""
    burst = [spike(start, start + 8, 5.0, stride=1) for start in (2987, 2997, 3015)]
    assert starts([*burst, spike(4500, 4508, 5.0, stride=1), spike(6000, 6008, 5.0, stride=1)]) == [2987, 4500, 6000]


@pytest.mark.parametrize(("second", "expected"), [(2000, [0, 8000]), (2001, [0, 2001, 8000])])
def test_gaps_in_a_burst_are_at_most_a_quarter_of_the_mean_distance_of_spikes(second, expected):
    """The first spike falls until 1000, and the mean distance is 4000."""
    assert starts([spike(start, start + 1000, 5.0, fall=1000) for start in (0, second, 8000)]) == expected


def test_regular_cycles_are_no_burst_even_if_spikes_fall_for_half_of_them():
    cycles = [spike(start, start + 8, 3.0, stride=1, fall=3) for start in range(0, 140, 14)]
    assert starts(cycles, distance=1) == list(range(0, 140, 14))


@pytest.mark.parametrize(
    ("second", "stride", "expected"), [(400, 10, [100]), (401, 10, [100, 401]), (400, 500, [100, 400])]
)
def test_spikes_while_batches_are_misclassified_belong_together(second, stride, expected):
    """The gap may last five times as long as the first spike."""
    signs = [spike(100, 150, 4.0), misclassified(110, 500, stride=stride), spike(second, second + 20, 4.0)]
    assert starts(signs) == expected


@pytest.mark.parametrize(("gap", "rise", "expected"), [(10, 3.0, [100]), (10, 2.3, [100, 111]), (11, 3.0, [100, 112])])
def test_a_forerunner_is_lower_than_a_third_and_ends_within_ten_rows(gap, rise, expected):
    rest = [spike(start, start + 8, 5.0, stride=1) for start in (2000, 4000)]
    signs = [spike(100, 101, 2.0, stride=1, fall=1), spike(101 + gap, 120 + gap, rise, stride=1), *rest]
    assert starts(signs, distance=1) == [*expected, 2000, 4000]


def test_a_low_cycle_before_a_high_one_is_no_forerunner():
    cycles = [spike(start, start + 1, 2.0 + (start % 14) / 7, stride=1, fall=1) for start in range(0, 140, 7)]
    assert starts(cycles, distance=1) == list(range(0, 140, 7))
