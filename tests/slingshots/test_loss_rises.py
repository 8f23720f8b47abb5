"""Rises of the logarithm of a loss and the shape of a norm, in curves written out by hand."""

import numpy as np
import pytest

from slingshot_analysis.canonical import Samples
from slingshot_analysis.slingshots._inputs import Norm
from slingshot_analysis.slingshots._loss_rises import (
    MINIMUM_CLEAR_RISE,
    _isolation,
    _local_rises,
    _noise_of_descent,
    clear_rises,
)
from slingshot_analysis.slingshots._norm_evidence import norm_shape, norm_stride


def rises(values, min_ratio=2.0):
    """Start, peak and end of each rise, in rows, and its ratio."""
    found = clear_rises(Samples(np.arange(float(len(values))), np.asarray(values, dtype=float)), min_ratio)
    return [(rise.start, rise.peak, rise.end, pytest.approx(rise.ratio)) for rise, _ in found]


def around(quiet, *spike, rows=100):
    return [quiet] * rows + list(spike) + [quiet] * rows


def test_a_rise_starts_and_ends_at_the_geometric_mean_of_trough_and_peak():
    assert rises(around(0.01, 0.05, 0.2, 1.0, 0.5, 0.15, 0.05)) == [(101, 102, 105, 100.0)]


def test_one_decade_undone_ends_a_high_rise():
    assert rises(around(1e-4, 1e-3, 1.0, 0.5, 0.09, 0.05, 1e-3)) == [(101, 101, 103, 1e4)]


def test_each_rise_has_its_own_peak():
    loss = [*around(0.01, 0.5, 1.0), *around(0.01, 5.0, 10.0)]
    assert rises(loss) == [(100, 101, 102, 100.0), (302, 303, 304, 1000.0)]


@pytest.mark.parametrize(("length", "found"), [(20, 1), (80, 0)])
def test_a_third_of_a_rise_is_gained_in_a_hundredth_of_the_rows(length, found):
    """A hundredth of 2,000 rows are 20, in which a rise over 80 rows gains a quarter."""
    decades = np.interp(np.arange(2000), [1000, 1000 + length, 1001 + length], [-4, 0, -4])
    assert len(rises(10**decades)) == found


@pytest.mark.parametrize(("height", "found"), [(1.9, 0), (2.1, 1)])
def test_a_rise_exceeds_the_ratio(height, found):
    assert len(rises(around(1.0, height), min_ratio=2.0)) == found


def test_a_trough_is_no_deeper_than_the_resolution_of_float32():
    assert rises(around(1e-9, 1.0)) == [(100, 100, 101, 2.0**23)]


def test_a_rise_at_the_end_of_the_log_counts():
    assert rises([0.01] * 100 + [1.0]) == [(100, 100, 100, 100.0)]


def test_what_is_not_finite_is_ignored():
    loss = around(0.01, 1.0)
    loss[50], loss[120] = np.inf, np.nan
    assert rises(loss) == [(100, 100, 101, 100.0)]
    assert rises([1.0, np.nan, np.inf, 2.0]) == []


@pytest.mark.parametrize(("rows", "found"), [(8, 1), (10, 0), (50, 0)])
def test_a_third_of_a_rise_in_a_short_log_is_gained_in_three_rows(rows, found):
    """A hump gains the same in every row."""
    ramp = np.linspace(-4, 0, rows + 1)
    assert len(rises(10 ** np.concatenate([np.full(50, -4.0), ramp, ramp[::-1], np.full(50, -4.0)]))) == found


@pytest.mark.parametrize(
    ("height", "half", "others", "found"), [(1.0, 0.15, 5, 1), (1.0, 0.15, 6, 0), (100.0, 1.5, 6, 1)]
)
def test_a_rise_of_less_than_three_decades_is_noise_if_many_are_half_as_high(height, half, others, found):
    """One is added to either number, so that five others are three times as many as the one."""
    assert len(rises([*around(0.01, half) * others, *around(0.01, height)], min_ratio=50 * height)) == found


def test_a_rise_of_one_row_among_many_is_placed_to_the_row():
    loss = np.full(20_000, 0.01)
    loss[12_344:12_347] = 0.05, 0.2, 1.0
    ((start, peak, end, ratio),) = rises(loss)
    assert (start, peak, ratio) == (12_345, 12_346, 100.0)
    assert 12_347 <= end <= 12_355  # the first bin of five rows that is back


def test_how_clearly_a_rise_stands_out():
    ((_, clear),) = clear_rises(Samples(np.arange(201.0), np.array(around(0.01, 1.0))), 2.0)
    assert clear.noise_ratio == pytest.approx(2 / MINIMUM_CLEAR_RISE)
    assert clear.isolation == 1.0  # twice as many as high, with one added to either number


@pytest.mark.parametrize(
    ("others", "isolation"),
    [([], 1), ([0.25, 0.375], 1), ([0.5], 0), ([0.5, 0.75, 0.875], -1), ([0.90625, 2], 2)],
)
def test_isolation_compares_rises_as_high_with_those_half_as_high(others, isolation):
    """High is from 0.9 of the height on, half as high from 0.5 on; one is added to either number."""
    assert _isolation(1.0, np.sort(np.array([0.0, 0.0, *others, 1.0]))) == isolation


def test_a_local_rise_stands_above_three_rows_on_either_side():
    assert _local_rises(np.array([0.0, 0, 0, 3, 0, 0, 0])).tolist() == [0, 0, 0, 3, 0, 0, 0]
    assert _local_rises(np.array([0.0, 0, 5, 9, 7, 6, 5, 0])).tolist() == [0, 0, 0, 4, 0, 0, 0, 0]
    assert _local_rises(np.array([1.0, 4, 6, 7, 9, 0, 0, 0])).tolist() == [0, 0, 0, 0, 5, 0, 0, 0]
    assert _local_rises(np.array([0.0, 0, 2, 2, 0, 0])).tolist() == [0, 0, 2, 0, 0, 0]
    assert _local_rises(np.array([0.0, 0, 0.5, 0, 0, 0])).tolist() == [0, 0, 0.5, 0, 0, 0]


def test_a_steady_descent_is_no_noise():
    noise = np.random.default_rng(0).normal(0, 0.1, 4000)
    descent = -np.arange(4000.0)
    assert _noise_of_descent(descent)[64:-64] == pytest.approx(0, abs=1e-9)
    assert np.median(_noise_of_descent(descent + noise)) == pytest.approx(0.1, rel=0.15)


def norm(step, log):
    phases = breaks = ()
    return Norm(np.array(step, dtype=float), np.array(log, dtype=float), 0.0, phases, breaks)


@pytest.mark.parametrize(
    ("at_once", "settled", "shape"),
    [
        (1.0, 0.5, "staircase"),
        (1.0, 0.25, "sawtooth"),
        (0.75, 0.25, "sawtooth"),
        (0.625, 0.25, "inverse"),
        (0.25, 0.25, "inverse"),
        (1.0, 1.5, "staircase"),
    ],
)
def test_a_staircase_keeps_half_of_its_rise_and_half_of_an_inverse_fall_is_sudden(at_once, settled, shape):
    run = norm([0, 100, 140, 400], 1 + 2 * np.array([0, 1, at_once, settled]))
    assert norm_shape(run, 0, 100, 20, 400) == shape


@pytest.mark.parametrize(("at", "stride"), [(-5, 10), (0, 10), (10, 10), (11, 20), (30, 20), (70, 40), (100, 40)])
def test_the_stride_is_the_distance_of_the_rows_around_a_step(at, stride):
    assert norm_stride(np.array([0.0, 10, 30, 70]), at) == stride


def test_the_norm_has_time_to_settle_even_if_the_next_cycle_begins_at_once():
    """With a reach of 20 it counts where it stands 40 updates after the transition, at the earliest."""
    run = norm([0, 100, 110, 140, 200], [0, 1, 0.2, 0.75, 0])
    assert norm_shape(run, 0, 100, 20, 110) == "staircase"
    assert norm_shape(run, 0, 100, 20, 200) == "sawtooth"
