"""Spikes and bursts of misclassification, joined to transitions."""

import pytest

from slingshot_analysis.slingshots import merge_anchors
from slingshot_analysis.slingshots.anchors import Sign


def spike(start, end, decades, signal="train_loss", stride=10, fall=5):
    return Sign(start, end, decades, signal, misclassified=False, before=start - stride, fall=fall)


def misclassified(start, end, signal="batch_errors", stride=10):
    return Sign(start, end, 0.0, signal, misclassified=True, before=start - stride)


def starts(signs, distance=20):
    return [anchor.start for anchor in merge_anchors(signs, distance)]


@pytest.mark.parametrize(("decades", "expected"), [(3.7, [100, 160]), (3.4, [100])])
def test_only_a_spike_lower_than_a_third_is_an_aftershock(decades, expected):
    assert starts([spike(100, 150, 4.0), spike(160, 180, decades)]) == expected


def test_another_signal_joins_whatever_its_height():
    (anchor,) = merge_anchors([spike(100, 150, 4.0), spike(160, 180, 5.0, "batch_loss")], 20)
    assert (anchor.start, anchor.end, anchor.decades, anchor.before) == (100, 180, 5.0, 90)
    assert anchor.evidence == ("batch_loss rises 1e+05-fold",)
    assert not anchor.by_hand


def test_a_burst_of_spikes_is_one_event_at_its_first_rise():
    burst = [spike(start, start + 8, 5.0, stride=1) for start in (2987, 2997, 3010)]
    assert starts([*burst, spike(4500, 4508, 5.0, stride=1), spike(6000, 6008, 5.0, stride=1)]) == [2987, 4500, 6000]


def test_regular_cycles_are_no_burst_even_if_spikes_fall_for_half_of_them():
    cycles = [spike(start, start + 8, 3.0, stride=1, fall=3) for start in range(0, 140, 14)]
    assert starts(cycles, distance=1) == list(range(0, 140, 14))


@pytest.mark.parametrize(("stride", "expected"), [(10, [100]), (500, [100, 400])])
def test_spikes_while_batches_are_misclassified_belong_together(stride, expected):
    signs = [spike(100, 150, 4.0), misclassified(110, 500, stride=stride), spike(400, 420, 4.0)]
    assert starts(signs) == expected


@pytest.mark.parametrize(("gap", "rise", "expected"), [(8, 3.0, [100]), (8, 2.3, [100, 109]), (12, 3.0, [100, 113])])
def test_a_forerunner_is_lower_than_a_third_and_ends_within_ten_rows(gap, rise, expected):
    rest = [spike(start, start + 8, 5.0, stride=1) for start in (2000, 4000)]
    signs = [spike(100, 101, 2.0, stride=1, fall=1), spike(101 + gap, 120 + gap, rise, stride=1), *rest]
    assert starts(signs, distance=1) == [*expected, 2000, 4000]


def test_a_low_cycle_before_a_high_one_is_no_forerunner():
    cycles = [spike(start, start + 1, 2.0 + (start % 14) / 7, stride=1, fall=1) for start in range(0, 140, 7)]
    assert starts(cycles, distance=1) == list(range(0, 140, 7))
