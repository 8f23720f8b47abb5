"""The parts of the segmentation of a norm, and its bounds, against loops and curves whose answer is known."""

from dataclasses import replace
from itertools import accumulate

import numpy as np
import pytest
import ruptures

from slingshot_analysis.canonical import Samples
from slingshot_analysis.detectors import _cuts
from slingshot_analysis.detectors._norm_levels import (
    DEFAULT,
    REFINE_BINS,
    SLOW_SHARE,
    NormSegments,
    _noise,
    _wander,
    exact_bound,
    segments_of,
    turning_points,
)
from slingshot_analysis.detectors.breaks import breaks_of, norm_breaks
from slingshot_analysis.detectors.phases import _kinds, segment_norm


def broken_line(step, knots, levels):
    return np.exp(np.interp(step, knots, levels))


@pytest.mark.parametrize(("sign", "kind"), [(1, "growth"), (-1, "decay"), (0, "plateau")])
def test_a_steady_course_is_one_phase(sign, kind):
    step = np.arange(500)
    (phase,) = segment_norm(step, np.exp(sign * step / 100))
    assert (phase.kind, phase.start, phase.end) == (kind, 0, 499)


@pytest.mark.parametrize(("ratio", "breaks"), [(2.0, 0), (2.5, 1)])
def test_a_break_ends_growth_that_is_faster_by_a_factor_of_two_point_two(ratio, breaks):
    step = np.arange(0, 3000, 10)
    norm = broken_line(step, [0, 1000, 2000, 3000], np.cumsum([0, 1, ratio, 1]))
    assert [found.transition for found in norm_breaks(step, norm)] == [2000] * breaks


@pytest.mark.parametrize(("errors", "breaks"), [(9, 0), (11, 1)])
def test_the_slopes_of_a_break_differ_by_ten_standard_errors(errors, breaks):
    step = np.arange(0.0, 3000, 10)
    found = segments_of(Samples(step, broken_line(step, [0, 1000, 2000, 3000], [0, 0, 1, 1])))
    wander = replace(found, wander=1.0).significance(1, 2) / errors
    assert len(breaks_of(replace(found, wander=wander), DEFAULT)) == breaks


def test_a_hump_is_no_break():
    """The slope falls for as long as it rises."""
    step = np.arange(2000)
    assert norm_breaks(step, np.exp(3 / (1 + np.exp((1000 - step) / 100)))) == []


def test_a_slow_end_with_one_large_fall_is_a_break():
    """After 2000 the growth goes on for 600 steps, at a twentieth of its speed."""
    step = np.arange(0, 6000, 10)
    norm = broken_line(step, [0, 1000, 2000, 2600, 6000], [0, 0.02, 1, 1.03, 1.05])
    assert [found.transition for found in norm_breaks(step, norm)] == [2000]


def test_each_plateau_ends_where_the_next_growth_begins():
    step = np.arange(0, 6000, 10)
    norm = broken_line(step, [0, 1000, 2000, 4000, 5000, 6000], [0, 0, 1, 1, 2, 2])
    first, second = norm_breaks(step, norm)
    assert (first.growth_start, first.transition, first.plateau_end) == (1000, 2000, 4000)
    assert (second.growth_start, second.transition, second.plateau_end) == (4000, 5000, 5990)
    assert first.interval[0] < 2000 < first.interval[1]
    assert (first.gain, second.gain) == pytest.approx((1, 1))


def test_a_log_of_few_rows_has_breaks():
    step = np.arange(40)
    (found,) = norm_breaks(step, broken_line(step, [0, 10, 25, 39], [0, 0, 2, 2]))
    assert (found.growth_start, found.transition) == (10, 25)


@pytest.mark.parametrize(
    ("level", "turns"),
    [
        ([0, 2, 4, 0], [0, 2, 3]),
        ([0, 2, 2.5, 0], [0, 2, 3]),
        ([0, 3, 2.5, 4, 0], [0, 3, 4]),
        ([5, 2, 0, 4], [0, 2, 3]),
        ([5, 2, 2.5, 1, 4], [0, 3, 4]),
        ([0, 1, 0], [0, 1, 2]),
        ([0, 0.9, 0], [0]),
        ([0.5, 0.1, 3], [1, 2]),
        ([], [0]),
    ],
)
def test_turning_points_ignore_swings_below_one(level, turns):
    assert turning_points(level, 1.0) == turns


def kinds(*level, swing=0.8):
    """Kinds of segments of length 1 with these levels, far above the noise."""
    time, change = np.arange(len(level) + 1.0), np.array([0.0, *accumulate(level)])
    bounds = list(range(len(level) + 1))
    return _kinds(NormSegments(time, change, bounds, list(level), 0.0, 0.0, Samples(time, change)), swing)


@pytest.mark.parametrize(("own", "kind"), [(1.5, "plateau"), (2.5, "growth")])
def test_growth_is_nearer_to_the_neighbouring_maximum(own, kind):
    assert kinds(0, own, 4, 0, 9) == ["plateau", kind, "growth", "plateau", "growth"]
    assert kinds(9, 0, 4, own, 0) == ["growth", "plateau", "growth", kind, "plateau"]


def test_only_neighbouring_turning_points_count():
    assert kinds(0, 1.5, 2, 0, 9)[1:3] == ["growth", "growth"]
    assert kinds(9, 0, 2, 0, 9)[2] == "growth"
    assert kinds(0, 2, 0, 9)[1] == "growth"
    assert kinds(9, 0, 2, 0)[2] == "growth"


def test_growth_is_told_from_rest_and_not_from_decay():
    assert kinds(-6, 4, 9) == ["decay", "plateau", "growth"]
    assert kinds(3, 4, 9, 3)[0] == "plateau"


def test_growth_begins_at_a_level_of_nine_tenths_and_a_swing_counts_from_its_minimum_on():
    assert kinds(0, 0.95, 0) == ["plateau", "growth", "plateau"]
    assert kinds(0, 0.85, 0) == ["plateau"] * 3
    assert kinds(0, 1.0, 0, swing=1.0) == ["plateau", "growth", "plateau"]
    assert kinds(0, 1.0, 0, swing=1.1) == ["plateau"] * 3


@pytest.mark.parametrize(("share", "kind"), [(0.4, "plateau"), (0.6, "growth")])
def test_without_a_swing_growth_is_half_as_fast_as_the_run(share, kind):
    level = np.arcsinh(share / SLOW_SHARE)
    assert kinds(level, level + 0.1) == [kind, kind]


def test_white_noise_is_told_from_a_line_of_uneven_rows():
    random = np.random.default_rng(0)
    time = np.cumsum(random.uniform(0.1, 10, 4000))
    assert _noise(time, 3 * time) == pytest.approx(0, abs=1e-9)
    assert _noise(time, 3 * time + random.normal(0, 0.1, 4000)) == pytest.approx(0.1, rel=0.1)


def test_noise_is_told_from_a_parabola():
    random = np.random.default_rng(1)
    place = np.linspace(0, 1, 4000)
    assert _wander(place**2) == pytest.approx(0, abs=1e-12)
    assert _wander(place**2 + random.normal(0, 0.1, 4000)) == pytest.approx(0.1, rel=0.1)


def splits_by_loop(x, y):
    """Squared residuals of two lines that share the point at which they meet, for each such point but the outer two."""

    def error(part):
        return float(((y[part] - np.polyval(np.polyfit(x[part], y[part], 1), x[part])) ** 2).sum())

    return np.array([error(slice(0, k + 1)) + error(slice(k, None)) for k in range(2, len(x) - 2)])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("off", [-2, 0, 2])
def test_a_bound_is_placed_at_the_best_of_all_splits(seed, off):
    random = np.random.default_rng(seed)
    step = np.cumsum(random.integers(1, 10, 8000)).astype(float)
    log_norm = np.maximum(step - step[4000], 0) / 500 + random.normal(0, 0.02, len(step))
    found = segments_of(Samples(step, np.exp(log_norm)))
    bound = 1000 + off  # bins of four rows
    near = (step >= found.time[bound - REFINE_BINS]) & (step <= found.time[bound + REFINE_BINS])
    near[np.flatnonzero(near)[-1] + 1] = True
    error, at = splits_by_loop(step[near], log_norm[near]), step[near][2:-2]
    alike = at[error <= error.min() * (1 + 3.84 / len(error))]
    assert exact_bound(found, bound) == (at[error.argmin()], alike[0], alike[-1])


@pytest.mark.parametrize("place", [2, 1998])
def test_a_bound_near_an_end_of_the_run_is_placed_to_the_sample(place):
    step = np.arange(8000.0)
    found = segments_of(Samples(step, np.exp(np.maximum(step - 4 * place, 0) / 100)))
    assert [exact_bound(found, bound)[0] for bound in (place - 1, place, place + 1)] == [4 * place] * 3


@pytest.mark.parametrize("rows", [4, 50, 400])
def test_cuts_are_those_of_ruptures(rows, monkeypatch):
    values = np.cumsum(np.random.default_rng(0).normal(size=rows))
    found = _cuts.cuts(values, 3.0)
    assert found == ruptures.KernelCPD(kernel="linear", min_size=2).fit(values).predict(pen=3.0)
    monkeypatch.setattr(_cuts, "_search", lambda: None)
    assert _cuts.cuts(values, 3.0) == found
