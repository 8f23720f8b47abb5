"""Climbs of the validation accuracy in curves whose climbs are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slingshot_analysis import AccuracyClimb, InputError, detect_accuracy_climbs

STEP = np.arange(0, 50_000, 100)
SHARE = STEP / STEP[-1]


def spans(step, accuracy, **options):
    return [(climb.onset, climb.end) for climb in detect_accuracy_climbs(step, accuracy, **options)]


def sigmoid(step, middle, width):
    return 0.1 + 0.8 / (1 + np.exp((middle - step) / width))


@pytest.mark.parametrize("stride", [25, 100, 500, 1000, 2500, 5000])
def test_a_sigmoid_is_one_climb_that_begins_before_its_steepest_part(stride):
    step = np.arange(0, 50_001, stride)
    (climb,) = detect_accuracy_climbs(step, sigmoid(step, 26_130, 500))
    steepest = step[np.argmax(np.diff(sigmoid(step, 26_130, 500)))]
    assert 20_000 <= climb.onset <= steepest < climb.end <= 31_000
    assert climb.after - climb.before > 0.6
    if stride < 1000:
        assert climb.before < 0.2
        assert climb.after > 0.8


@pytest.mark.parametrize("stride", [25, 100, 500])
def test_noise_neither_splits_nor_hides_a_climb(stride):
    step = np.arange(0, 50_001, stride)
    noise = np.random.default_rng(0).normal(0, 0.005, len(step))
    (climb,) = detect_accuracy_climbs(step, sigmoid(step, 26_130, 500) + noise)
    assert climb.onset < 26_130 < climb.end
    assert climb.after - climb.before > 0.6


def test_a_jump_is_a_climb_within_one_evaluation_interval():
    accuracy = np.where(STEP < 20_300, 0.5, 0.75)
    assert detect_accuracy_climbs(STEP, accuracy) == [AccuracyClimb(20_200, 20_300, 0.5, 0.75)]


def test_every_step_of_a_staircase_is_a_climb_however_unequal():
    at = np.arange(4000, 50_000, 4000)
    height = np.where(np.arange(len(at)) % 2, 0.1, 0.02)
    accuracy = 0.1 + (height * (STEP[:, None] >= at + 300)).sum(axis=1)
    assert spans(STEP, accuracy, samples=100_000) == [(start + 200, start + 300) for start in at]


def test_a_small_climb_stands_out_beside_a_large_one():
    accuracy = 0.2 + 0.7 * (STEP >= 40_000) + 0.05 * (STEP >= 10_000)
    assert spans(STEP, accuracy) == [(9900, 10_000), (39_900, 40_000)]


@pytest.mark.parametrize(
    ("gain", "samples"),
    [
        (0 * SHARE, None),
        (SHARE, None),
        (np.expm1(3 * SHARE) / np.expm1(3), None),
        (1 - np.exp(-3 * SHARE), None),
        (1 / (1 + np.exp((0.5 - SHARE) / 0.1)), None),
        (0.05 * (STEP >= 30_000), 300),
    ],
    ids=["constant", "linear", "accelerating", "saturating", "slow sigmoid", "too small for so few samples"],
)
def test_no_climb(gain, samples):
    assert spans(STEP, 0.1 + 0.8 * gain, samples=samples) == []


def test_a_dip_that_recovers_to_the_old_level_is_no_climb():
    dips = 0.3 * np.exp(-(STEP % 4000) / 300) * (STEP >= 4000)
    assert spans(STEP, 0.5 - dips) == []
    (climb,) = detect_accuracy_climbs(STEP, 0.5 - dips + 0.3 * (STEP > 20_000))
    assert (climb.onset, climb.before) == (20_000, pytest.approx(0.5, abs=1e-3))
    assert climb.after == pytest.approx(0.8, abs=0.02)


def test_noise_alone_is_no_climb():
    random = np.random.default_rng(0)
    for _ in range(300):
        step = np.arange(int(np.exp(random.uniform(np.log(20), np.log(4000)))))
        accuracy = random.uniform(0.1, 0.9) + random.normal(0, random.choice([0.001, 0.005, 0.02]), len(step))
        assert spans(step, np.clip(accuracy, 0, 1)) == []


def test_a_pause_longer_than_the_rise_ends_a_climb():
    accuracy = 0.2 + 0.2 * (STEP >= 20_000) + 0.2 * (STEP >= 20_300) + 0.2 * (STEP >= 21_500)
    assert spans(STEP, accuracy) == [(19_900, 20_300), (21_400, 21_500)]


def test_many_evaluations_are_averaged():
    step = np.arange(400_000)
    noise = np.random.default_rng(0).normal(0, 0.01, len(step))
    ((onset, end),) = spans(step, 0.2 + 0.6 * (step > 150_050) + noise)
    assert 150_050 - 200 <= onset < 150_050 < end <= 150_050 + 200


@given(st.integers(-(10**6), 10**6), st.sampled_from([0.5, 1.0, 97.0]))
@settings(max_examples=30, deadline=None)
def test_origin_and_unit_of_the_step_cancel(origin, unit):
    accuracy = sigmoid(STEP, 26_130, 500)
    expected = [(onset * unit + origin, end * unit + origin) for onset, end in spans(STEP, accuracy)]
    assert spans(STEP * unit + origin, accuracy) == expected


@pytest.mark.parametrize(("accuracy", "samples"), [([0.1, 50.0], None), ([0.1, -0.1], None), ([0.1, 0.2], 0)])
def test_clear_errors(accuracy, samples):
    with pytest.raises(InputError):
        detect_accuracy_climbs([0, 1], accuracy, samples=samples)
