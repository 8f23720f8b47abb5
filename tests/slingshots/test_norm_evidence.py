"""What a norm shows around a spike at step 5,000, in curves written out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from slingshot_analysis.slingshots._inputs import Norm
from slingshot_analysis.slingshots._norm_evidence import _usual_bend, _usual_change, norm_evidence
from slingshot_analysis.slingshots.anchors import Anchor

STEP = np.arange(0.0, 10_001, 10)


def a_norm(knots, levels, noise=0.0):
    return Norm(STEP, np.interp(STEP, knots, levels), noise, [], [])


def evidence(norm, previous_end=1000, following=9000, fall=30.0, breaks=False):
    anchor = Anchor(5000, 5100, 3.0, False, (), 4990, fall)
    return norm_evidence(norm, anchor, previous_end, following, 1000, breaks=breaks)


def test_growth_up_to_the_spike_is_measured_by_its_change_of_slope():
    found = evidence(a_norm([4000, 5000], [0, 0.1]))
    assert found.kind == "growth"
    assert found.contrast == pytest.approx(2)  # a tenth is a hundred times the least growth


@pytest.mark.parametrize(("gain", "kind"), [(0.0009, "none"), (0.0011, "growth")])
def test_growth_changes_the_logarithm_by_a_thousandth(gain, kind):
    assert evidence(a_norm([4000, 5000], [0, gain])).kind == kind


@pytest.mark.parametrize(("gain", "kind"), [(0.04, "unknown"), (0.06, "growth")])
def test_growth_exceeds_ten_times_the_noise(gain, kind):
    assert evidence(a_norm([4000, 5000], [0, gain], noise=0.005)).kind == kind


@pytest.mark.parametrize(("noise", "kind"), [(0.0004, "none"), (0.0006, "unknown")])
def test_no_growth_means_something_if_half_a_percent_would_show(noise, kind):
    assert evidence(a_norm([0, 1], [0, 0], noise)).kind == kind


@pytest.mark.parametrize(("gain", "kind"), [(0.0009, "none"), (0.0011, "after"), (0.1, "after")])
def test_growth_from_the_spike_on_comes_after_it(gain, kind):
    assert evidence(a_norm([5000, 6000], [0, gain])).kind == kind


@pytest.mark.parametrize(("fall", "kind"), [(0.0009, "none"), (0.0012, "usual"), (0.3, "usual")])
def test_a_fall_without_growth_is_a_usual_change(fall, kind):
    assert evidence(a_norm([4990, 6400], [0, -fall])).kind == kind


@pytest.mark.parametrize(("start", "kind"), [(990, "usual"), (1000, "growth"), (2000, "growth")])
def test_growth_before_a_fall_counts_from_the_end_of_the_previous_spike(start, kind):
    norm = a_norm([start, start + 10, 4990, 6400], [0, 0.1, 0.1, 0.05])
    assert evidence(norm, fall=0.0).kind == kind


@pytest.mark.parametrize(("gap_end", "kind"), [(4980, "growth"), (4990, "unknown")])
def test_slopes_are_compared_over_the_longest_distance_of_the_rows_around_the_spike(gap_end, kind):
    """A gap of 2,000 updates is too long, because it exceeds two fifths of the distance of the spikes."""
    norm = a_norm([4000, 5000], [0, 0.1])
    rows = (norm.step <= gap_end - 2000) | (norm.step >= gap_end)
    assert evidence(replace(norm, step=norm.step[rows], log=norm.log[rows])).kind == kind


@pytest.mark.parametrize(("early", "kind"), [(0.019, "late"), (0.021, "growth")])
def test_late_growth_has_less_than_a_fifth_before_the_spike(early, kind):
    assert evidence(a_norm([4700, 4990, 5000], [0, early, early + 0.1])).kind == kind


@pytest.mark.parametrize(("until", "kind"), [(4670, "growth"), (4660, "late")])
def test_growth_comes_before_a_spike_if_it_lasts_until_a_quarter_of_the_longest_time_before(until, kind):
    """Slopes are compared over up to 1,280 updates, and the last row before the spike stands at 4,990."""
    assert evidence(a_norm([until - 10, until + 10, 4990, 5000], [0, 0.05, 0.05, 0.15])).kind == kind


@pytest.mark.parametrize(("fall", "kind"), [(29.0, "growth"), (30.0, "late")])
def test_late_growth_is_seen_if_the_fall_of_the_loss_takes_three_rows(fall, kind):
    assert evidence(a_norm([4990, 5000], [0, 0.1]), fall=fall).kind == kind


@pytest.mark.parametrize(("later", "kind"), [(0.19, "growth"), (0.22, "late")])
def test_late_growth_is_seen_if_twice_as_much_comes_later(later, kind):
    norm = a_norm([4990, 5020, 5400], [0, 0.1, 0.1 + later])
    assert evidence(norm, fall=0.0).kind == kind


@pytest.mark.parametrize(("breaks", "kind"), [(False, "usual"), (True, "growth")])
def test_a_usual_change_is_growth_only_at_a_break(breaks, kind):
    norm = a_norm([0, 4000, 5000, 10_000], [0, 0.4, 0.55, 1.05])
    assert evidence(norm, breaks=breaks).kind == kind


@pytest.mark.parametrize(
    ("previous_end", "following", "kind"),
    [(4975, 9000, "growth"), (4976, 9000, "unknown"), (1000, 5025, "growth"), (1000, 5024, "unknown")],
)
def test_slopes_are_compared_over_two_fifths_of_the_distance_of_spikes(previous_end, following, kind):
    """A row is ten updates, so that nothing nearer than 25 updates can be compared."""
    assert evidence(a_norm([4900, 5000], [0, 1]), previous_end, following).kind == kind


def test_the_usual_change_is_the_median_over_the_rest_of_the_run():
    norm = a_norm([0, 4000, 10_000], [0, 4, 1])
    times = np.array([10.0, 100.0, 7000.0])
    assert _usual_change(norm, times, 4000) == pytest.approx([0.005, 0.05, 0])
    assert _usual_change(norm, times[:1], -500) == pytest.approx([0.005])


def test_the_usual_bend_is_the_median_elsewhere_between_the_spikes():
    norm = Norm(STEP, 1e-8 * STEP**2, 0.0, [], [])
    times = np.array([100.0, 1000.0, 1990.0, 2010.0])
    assert _usual_bend(norm, 5000, times, -1000, 11_000) == pytest.approx(2e-8 * times**2 * [1, 1, 1, 0], rel=1e-2)
    assert _usual_bend(norm, 5000, times, 4000, 6000) == pytest.approx(2e-8 * times**2 * [1, 0, 0, 0], rel=1e-2)
