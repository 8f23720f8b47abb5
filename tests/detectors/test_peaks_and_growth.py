"""Bursts of feature change, peaks of curvature, and the growth of the norm against the logarithm of time."""

from dataclasses import replace

import numpy as np
import pytest

from slingshot_analysis import Options, Phase, Signal, analyze
from slingshot_analysis.detectors import detect_curvature_peaks, detect_feature_bursts, fit_log_growth, segment_norm
from slingshot_analysis.detectors.growth_law import _line
from slingshot_analysis.errors import InputError


def test_bursts_stand_where_they_were_put():
    rng = np.random.default_rng(0)
    step = np.arange(0, 50_000, 10)
    change = 1e-3 * np.exp(0.1 * rng.standard_normal(len(step)))
    for at in (12_000, 30_000):
        inside = (step >= at) & (step < at + 300)
        change[inside] *= 200
    found = detect_feature_bursts(step, change)
    assert [burst.start for burst in found] == [12_000, 30_000]
    assert all(100 < burst.ratio < 400 for burst in found)
    assert all(300 <= burst.end - burst.start < 400 for burst in found)


def test_noise_alone_has_no_peak():
    rng = np.random.default_rng(1)
    for _ in range(20):
        assert detect_curvature_peaks(np.arange(2000), np.exp(0.3 * rng.standard_normal(2000))) == []


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_peaks_do_not_depend_on_units(scale):
    step = np.arange(3000)
    value = 1 + 20 * np.exp(-(((step - 1500) / 30) ** 2))
    plain, scaled = detect_curvature_peaks(step, value), detect_curvature_peaks(step * 7, value * scale)
    assert [peak.peak * 7 for peak in plain] == [peak.peak for peak in scaled]


def test_a_ratio_of_one_is_refused():
    with pytest.raises(InputError, match="min_ratio"):
        detect_feature_bursts([1, 2, 3], [1, 2, 1], min_ratio=1)


def test_exponential_growth_is_told_from_logarithmic():
    step = np.arange(1, 10_000)
    base = 3 + 0.5 * np.log(step)
    norm = base * np.exp(np.interp(step, [5000, 6000], [0, 1.2]))
    (fit,) = [fit for fit in fit_log_growth(step, norm) if fit.start > 4000]
    assert abs(fit.start - 5000) < 50
    assert abs(fit.end - 6000) < 50
    assert fit.exponential_residual < 0.01 < fit.log_residual
    expected = (norm[5999] - norm[4999]) / (0.5 * np.log(6000 / 5000))
    assert fit.excess == pytest.approx(expected, rel=0.1)


def test_a_rise_beyond_what_a_float_holds_is_the_largest_one():
    (peak,) = detect_curvature_peaks(range(5), [1e-38, 2e270, 1.0, 1.0, 1.0])
    assert peak.ratio == 1e300


def test_the_phases_of_an_analysis_are_the_ones_that_are_fitted():
    step = np.arange(1, 10_001)
    norm = np.log(step) + 5 * np.clip((step - 5000) / 1000, 0, 1)
    phase = Phase("growth", 5200, 5800, 1e-4)
    assert [(fit.start, fit.end) for fit in fit_log_growth(step, norm, phases=[phase])] == [(5200, 5800)]
    options = Options(bins=40)
    run = analyze({"last_layer_norm": Signal(step, norm)}, options=options)
    found = [replace(phase, norm=None) for phase in run.phases]
    assert found == segment_norm(step, norm, options=options) != segment_norm(step, norm)
    assert [fit.start for fit in run.norm_growth] == [phase.start for phase in run.phases if phase.kind == "growth"]


@pytest.mark.parametrize(("height", "peaks"), [(5, 0), (15, 1)])
def test_a_peak_rises_by_more_than_ten_times_the_noise(height, peaks):
    decades = 0.05 * np.random.default_rng(2).standard_normal(2000)
    decades[1000] = 0.05 * height
    assert len(detect_curvature_peaks(np.arange(2000), 10**decades)) == peaks


def test_a_peak_of_one_row_of_many_is_placed_to_the_row():
    value = np.ones(20_000)
    value[12_344:12_350] = 10, 50, 1000, 10, 100, 10
    (peak,) = detect_curvature_peaks(np.arange(20_000), value)
    assert (peak.peak, peak.ratio) == (12_346, pytest.approx(1000))
    assert peak.start == 12_345  # the first row above the geometric mean, which is 31.6


def test_a_row_at_the_geometric_mean_belongs_to_the_peak():
    (peak,) = detect_curvature_peaks(range(9), [1, 1, 1, 1, 10, 100, 1, 1, 1])
    assert (peak.start, peak.peak) == (4, 5)


@pytest.mark.parametrize(("end", "fits"), [(13, 0), (14, 1)])
def test_a_growth_phase_is_half_open_and_has_four_rows(end, fits):
    step = np.arange(1, 100)
    assert len(fit_log_growth(step, 3 + np.log(step), phases=[Phase("growth", 10, end, 0.1)])) == fits


def test_the_excess_is_over_the_law_of_the_plateaus_alone():
    """The plateau is four rows long, with the row at which growth ends; one row fewer gives no law."""
    step = np.arange(1, 20)
    norm = np.where(step < 14, np.log(step), np.log(14) + step - 14)
    norm[:9] = 3 * np.log(step[:9])
    phases = [Phase("growth", 1, 10, 0.1), Phase("plateau", 10, 14, 0.0), Phase("growth", 14, 20, 0.1)]
    first, second = fit_log_growth(step, norm, phases=phases)
    assert first.excess is None
    assert second.excess == pytest.approx(5 / np.log(19 / 14))


def test_the_fit_does_not_depend_on_the_unit_of_the_norm():
    step = np.arange(1, 200)
    phases = [Phase("plateau", 1, 100, 0.0), Phase("growth", 100, 199, 0.1)]
    norm = np.log(step) + np.interp(step, [100, 199], [0, 5])
    (one,), (other,) = (fit_log_growth(step, unit * norm, phases=phases) for unit in (1, 1024))
    grown, time = norm[99:198], np.log(step[99:198])
    residual = grown - np.polyval(np.polyfit(time, grown, 1), time)
    assert one.log_residual == pytest.approx(np.sqrt((residual**2).mean()) / np.ptp(grown))
    assert (one.log_residual, one.exponential_residual) == pytest.approx(
        (other.log_residual, other.exponential_residual)
    )
    assert (1024 * one.coefficient, one.excess) == pytest.approx((other.coefficient, other.excess))


def test_a_norm_that_never_changes_fits_no_law_of_growth():
    step = np.arange(3000)
    phases = segment_norm(step, np.exp(np.interp(step, [0, 1000, 1100, 3000], [0, 0.01, 0.5, 0.51])))
    assert any(phase.kind == "growth" for phase in phases)
    assert fit_log_growth(step, np.full(3000, 2.0), phases=phases) == []


def test_a_line_that_meets_one_point_exactly_may_miss_others():
    slope, error = _line(np.arange(5.0), np.array([0.0, 2, 2, 2, 4]))
    assert slope == pytest.approx(0.8)
    assert error == pytest.approx(np.sqrt(0.32))  # residuals 0.4, -0.8, 0, 0.8, -0.4
