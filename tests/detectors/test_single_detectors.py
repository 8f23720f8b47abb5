"""Detectors of one signal against truth made by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slingshot_analysis.detectors import (
    detect_accuracy_climbs,
    detect_accuracy_jumps,
    detect_divergence,
    detect_instability,
    detect_loss_spikes,
    detect_misclassification,
    grokking_step,
    segment_norm,
    terminal_phase_start,
)
from slingshot_analysis.errors import InputError
from slingshot_analysis.synthetic import slingshot_run


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("every", [1, 10])
def test_phases_of_straight_lines(scale, every):
    knots, levels = [0, 10_000, 13_000, 20_000, 24_000, 40_000], [0, 0.02, 0.5, 0.52, 0.2, 0.2]
    step = np.arange(0, 40_000, every)
    phases = segment_norm(step, scale * np.exp(np.interp(step, knots, levels)))
    assert [phase.kind for phase in phases] == ["plateau", "growth", "plateau", "decay", "plateau"]
    np.testing.assert_allclose([phase.start for phase in phases], knots[:-1], atol=20)
    np.testing.assert_allclose([phase.rate for phase in phases], np.diff(levels) / np.diff(knots), atol=2e-6)


def test_what_hardly_changes_the_norm_after_a_transition_is_plateau():
    knots = [0, 5000, 6000, 6010, 6030, 12_000, 13_000, 20_000]
    step = np.arange(20_000)
    norm = np.exp(np.interp(step, knots, [0, 0.01, 0.2, 0.19, 0.2, 0.21, 0.4, 0.41]))
    phases = segment_norm(step, norm)
    assert [phase.kind for phase in phases] == ["plateau", "growth", "plateau", "growth", "plateau"]
    np.testing.assert_allclose([phase.start for phase in phases], [0, 5000, 6000, 12_000, 13_000], atol=30)


def test_growth_before_a_much_larger_growth_is_a_phase():
    knots = [0, 3000, 4000, 5500, 6500, 8500, 22_000, 40_000]
    step = np.arange(0, 40_000, 10)
    norm = np.exp(np.interp(step, knots, [0, 0.005, 0.05, 0.055, 0.25, 0.26, 3.0, 3.001]))
    growth = [phase for phase in segment_norm(step, norm) if phase.kind == "growth"]
    np.testing.assert_allclose([phase.start for phase in growth], [3000, 5500, 8500], atol=30)


def test_phases_follow_each_other_without_gaps():
    norm = slingshot_run(0, rows=100_000, style="exponential").signals["last_layer_norm"]
    phases = segment_norm(norm.step, norm.value)
    assert all(a.end == b.start for a, b in pairwise(phases))
    assert (phases[0].start, phases[-1].end) == (0, norm.step[-1])
    assert type(phases[0].start) is int


def minibatch_loss(seed=0):
    """Losses of batches of 32: noisy, exactly 0 late in training, with spikes at 12,000 and 25,000."""
    rng = np.random.default_rng(seed)
    step = np.arange(40_000)
    loss = np.exp(-step / 400)
    for at in (12_000, 25_000):
        loss = np.where(step >= at, 3 * np.exp(-np.maximum(step - at, 0) / 300), loss)
    loss = loss * rng.lognormal(0, 1, len(step))
    return step, np.where(loss < 1e-9, 0, np.round(loss / 3.7e-9) * 3.7e-9)


def test_spikes_of_minibatches_start_exactly():
    step, loss = minibatch_loss()
    spikes = [spike for spike in detect_loss_spikes(step, loss) if spike.ratio > 10]
    assert [spike.start for spike in spikes] == pytest.approx([12_000, 25_000], abs=1)
    assert all(spike.start <= spike.peak <= spike.end for spike in spikes)


def test_spike_of_the_whole_set_stands_at_its_first_row():
    step, loss = minibatch_loss()
    smooth = np.array([loss[k : k + 30].mean() for k in range(0, len(loss), 100)])
    spikes = detect_loss_spikes(step[::100], smooth, min_ratio=10)
    assert [spike.start for spike in spikes] == [12_000, 25_000]


def test_rounded_losses():
    step, loss = minibatch_loss()
    assert [s.start for s in detect_loss_spikes(step[::50], np.round(loss[::50], 4)) if s.ratio > 1e3] == [
        12_000,
        25_000,
    ]


@pytest.mark.parametrize(("unit", "trough"), [(1e-4, 1e-4), (0.5, 2.0**-23)])
def test_a_spike_over_exact_zeros_counts_from_the_unit_of_rounding_if_there_is_one(unit, trough):
    loss = np.zeros(300)
    loss[:3], loss[200:203] = 2.0, 2.0
    loss[100] = unit  # one unit of rounding is no spike; half a nat is no unit of rounding
    spikes = {spike.start: spike.ratio for spike in detect_loss_spikes(np.arange(300), loss)}
    assert spikes[200] == pytest.approx(2.0 / trough)
    assert (100 in spikes) == (unit == 0.5)


def test_small_spike_of_a_language_model():
    rng = np.random.default_rng(1)
    loss = 2.2 + 0.02 * rng.standard_normal(2000)
    loss[1000:1006] = [3.5, 5.1, 4.5, 3.9, 3.0, 2.6]
    (spike,) = detect_loss_spikes(np.arange(2000), loss)
    assert spike.start == 1000
    assert spike.ratio == pytest.approx(5.1 / 2.15, rel=0.05)


def test_floor_noise_and_slow_humps_are_no_spikes():
    step = np.arange(5000)
    noise = 1e-8 * np.random.default_rng(2).lognormal(0, 1.5, len(step))
    assert detect_loss_spikes(step, noise) == []
    assert detect_loss_spikes(step, np.exp(5 * np.sin(step / 5000 * np.pi))) == []


def test_terminal_phase_of_whole_set_and_of_batches():
    assert terminal_phase_start([0, 100, 200, 300, 400, 500], [9, 0, 2, 0, 0, 0]) == 300
    assert terminal_phase_start([0, 1, 2, 3, 4], train_accuracy=[0.2, 0.9999, 1, 1, 1]) == 2
    errors = np.zeros(2000)
    errors[:300:7] = 1
    assert terminal_phase_start(np.arange(2000), batch_errors=errors) == 295
    assert terminal_phase_start(np.arange(2000), batch_errors=np.ones(2000)) is None


def test_exactly_one_signal_of_errors():
    with pytest.raises(InputError, match="no signal"):
        terminal_phase_start([1, 2])
    with pytest.raises(InputError, match="train_errors and batch_errors"):
        detect_misclassification([1, 2], [0, 0], batch_errors=[0, 0])
    with pytest.raises(InputError, match="divide percentages"):
        terminal_phase_start([1, 2], train_accuracy=[97.0, 100.0])


def test_bursts_of_misclassification():
    errors = np.zeros(40_000, dtype=int)
    errors[:400] = 3
    errors[20_000:20_100:3] = 5
    errors[20_051] = 9
    errors[30_000] = 1
    bursts = detect_misclassification(np.arange(40_000), batch_errors=errors)
    assert [(burst.start, burst.peak, burst.worst) for burst in bursts] == [
        (20_000, 20_051, 9.0),
        (30_000, 30_000, 1.0),
    ]


def test_a_burst_ends_at_the_first_row_without_error_or_with_the_run():
    errors = [0, 0, 0, 0, 2, 1, 0, 0, 0, 3]
    bursts = detect_misclassification(np.arange(10) * 100, errors)
    assert [(burst.start, burst.peak, burst.end) for burst in bursts] == [(400, 400, 600), (900, 900, 900)]


@pytest.mark.parametrize("origin", [0, 1_000_000])
@pytest.mark.parametrize(("second", "bursts"), [(904, 1), (905, 1), (906, 2)])
def test_errors_nearer_than_half_a_percent_of_the_run_are_one_burst(origin, second, bursts):
    step = origin + np.append(0, np.arange(801, 1001))  # 0.5% of 1000 steps are 5
    errors = np.isin(step - origin, [900, second])
    assert len(detect_misclassification(step, errors, after=origin + 801)) == bursts


def test_jumps_and_smooth_curves():
    step = np.arange(0, 80_000, 400)
    noise = 0.002 * np.random.default_rng(3).standard_normal(len(step))
    stairs = 0.5 + 0.06 * (step >= 20_000) + 0.2 * (step >= 44_000) + 0.15 * (step >= 47_200)
    jumps = detect_accuracy_jumps(step, stairs + noise, samples=8000)
    assert [jump.step for jump in jumps] == [20_000, 44_000, 47_200]
    assert [jump.after - jump.before for jump in jumps] == pytest.approx([0.06, 0.2, 0.15], abs=0.01)
    for width in (2000, 5000, 20_000):
        smooth = 0.5 + 0.5 / (1 + np.exp(-(step - 40_000) / width))
        assert detect_accuracy_jumps(step, smooth, samples=8000) == []


def test_a_jump_must_be_significant_for_the_validation_set():
    step = np.arange(0, 40_000, 400)
    accuracy = np.where(step < 20_000, 0.5, 0.53)
    assert len(detect_accuracy_jumps(step, accuracy, samples=8000)) == 1
    assert detect_accuracy_jumps(step, accuracy, samples=200) == []
    assert detect_accuracy_jumps(step, accuracy) == []


@pytest.mark.parametrize(("height", "jumps"), [(0.08, 0), (0.3, 1)])
def test_a_jump_is_three_times_as_steep_as_the_curve_around_it(height, jumps):
    evaluation = np.arange(40)
    angle = 0.5 + 0.02 * evaluation + height * (evaluation >= 20)
    assert len(detect_accuracy_jumps(evaluation * 100, np.sin(angle / 2) ** 2, samples=8000)) == jumps


@pytest.mark.parametrize("side", [slice(0, 20), slice(20, 40)])
def test_the_steeper_side_of_a_jump_counts(side):
    slope = np.zeros(40)
    slope[side] = 0.02
    angle = 0.5 + np.cumsum(slope) + 0.08 * (np.arange(40) >= 20)
    assert detect_accuracy_jumps(np.arange(40), np.sin(angle / 2) ** 2, samples=8000) == []
    assert len(detect_accuracy_jumps(np.arange(40), np.sin((angle + 0.3 * (np.arange(40) >= 20)) / 2) ** 2)) == 1


def test_six_evaluations_have_no_curve_around_a_jump():
    assert [jump.step for jump in detect_accuracy_jumps(range(6), [0.1, 0.1, 0.1, 0.9, 0.9, 0.9])] == [3]


@pytest.mark.parametrize(("height", "jumps"), [(3, 0), (9, 1)])
def test_a_jump_rises_by_five_times_the_noise_of_three_evaluations(height, jumps):
    noise = np.random.default_rng(6).normal(0, 0.02, 200)
    angle = 1.0 + noise + height * 0.02 * np.sqrt(2 / 3) * (np.arange(200) >= 100)
    assert len(detect_accuracy_jumps(np.arange(200), np.sin(angle / 2) ** 2, samples=10**9)) == jumps


def test_chance_makes_no_jumps():
    rng = np.random.default_rng(4)
    curves = rng.binomial(500, 0.5, (200, 200)) / 500
    assert sum(len(detect_accuracy_jumps(np.arange(200), curve, samples=500)) for curve in curves) <= 4


@pytest.mark.parametrize("row", [3, 4, 30, 37])
def test_three_evaluations_on_either_side_tell_a_jump(row):
    evaluation = np.arange(40)
    (jump,) = detect_accuracy_jumps(evaluation * 100, np.where(evaluation < row, 0.5, 0.75))
    assert (jump.step, jump.before, jump.after) == (row * 100, pytest.approx(0.5), pytest.approx(0.75))


def test_a_jump_among_many_evaluations():
    noise = np.random.default_rng(5).normal(0, 0.01, 20_000)
    step = np.arange(20_000)
    (jump,) = detect_accuracy_jumps(step, np.where(step < 12_000, 0.5, 0.75) + noise)
    assert abs(jump.step - 12_000) <= 5  # five evaluations are averaged
    assert (jump.before, jump.after) == (pytest.approx(0.5, abs=0.01), pytest.approx(0.75, abs=0.01))


def test_a_dip_is_no_jump():
    step = np.arange(0, 40_000, 400)
    assert detect_accuracy_jumps(step, np.where((step >= 20_000) & (step < 21_000), 0.2, 0.6), samples=8000) == []


def test_grokking_step():
    step = np.arange(0, 50_000, 500)
    accuracy = np.where(step < 30_000, 0.4, 0.96)
    accuracy[20] = 0.99
    assert grokking_step(step, accuracy, 400) == 30_000
    assert grokking_step(step, accuracy, 400, level=0.97) is None
    assert grokking_step(step, accuracy, 4000) is None
    assert grokking_step(step, accuracy, None) is None
    assert grokking_step(step, np.ones(len(step)), 0) is None


@pytest.mark.parametrize(("last", "found"), [(2, None), (3, 48_500)])
def test_the_last_three_evaluations_are_enough_for_grokking(last, found):
    step = np.arange(0, 50_000, 500)
    accuracy = np.where(np.arange(100) < 100 - last, 0.4, 0.96)
    assert grokking_step(step, accuracy, 400) == found


@pytest.mark.parametrize(("hold", "found"), [(1, 10_000), (2, 20_000), (3, 30_000), (4, None)])
def test_so_many_successive_evaluations_reach_the_level(hold, found):
    step = np.arange(0, 50_000, 500)
    accuracy = np.zeros(len(step))
    accuracy[[20, 40, 41, 60, 61, 62]] = 0.95
    assert grokking_step(step, accuracy, 400, hold=hold) == found


def test_no_evaluation_cannot_reach_the_level():
    with pytest.raises(InputError, match="hold"):
        grokking_step([0, 1], [0.5, 1.0], 0, hold=0)


@pytest.mark.parametrize("detect", [detect_accuracy_jumps, detect_accuracy_climbs])
@pytest.mark.parametrize("samples", [0, -5])
def test_a_validation_set_without_samples_is_refused(detect, samples):
    with pytest.raises(InputError, match=f"samples: got {samples}"):
        detect([0, 1], [0.5, 1.0], samples=samples)


def test_divergence():
    step = np.arange(10_000)
    healthy = np.exp(-step / 500)
    assert detect_divergence(step, healthy) is None
    assert detect_divergence(step, np.where(step < 9000, healthy, np.nan)) == 9000
    assert detect_divergence(step, np.where(step < 9000, healthy, np.inf)) == 9000
    assert detect_divergence(step, np.where(step < 7000, healthy, 4.0)) == 7000
    assert detect_divergence(step, np.where((step < 7000) | (step > 8000), healthy, 4.0)) is None
    assert detect_divergence(step, np.where(step < 9900, healthy, 4.0)) is None


def test_instability_needs_spikes_without_quiet():
    step = np.arange(1000)
    assert detect_instability(step, np.where(step % 4 == 0, 1e-2, 1e-5))
    assert not detect_instability(step, np.where(step % 40 == 0, 1e-2, 1e-5))
    assert not detect_instability(step, np.where((step % 4 == 0) & (step < 200), 1e-2, 1e-5))


@given(st.integers(0, 10_000))
def test_phases_rise_where_they_say_growth(seed):
    random = np.random.default_rng(seed)
    step = np.arange(600)
    norm = np.exp(np.cumsum(random.normal(0.002, 0.01, 600) * random.integers(0, 2, 600)))
    phases = segment_norm(step, norm)
    assert all(phase.rate > 0 for phase in phases if phase.kind == "growth")
    assert all(phase.rate < 0 for phase in phases if phase.kind == "decay")
    assert [phase.end for phase in phases[:-1]] == [phase.start for phase in phases[1:]]
    assert all(a.kind != b.kind for a, b in pairwise(phases))
