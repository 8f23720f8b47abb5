"""The association test against brute force, and its calibration and power by simulation."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slingshot_analysis.association import association_test, near_window, pool_associations
from slingshot_analysis.association.jumps import _poisson_binomial_tail
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import AccuracyJump

RUN = (0, 80_000)
STRIDE = 400


def simulated_transitions(rng):
    """Transitions as in recorded runs of 80,000 updates: the first at 15,000-25,000, then every 8,000-25,000."""
    gaps = rng.uniform(8000, 25_000, 10)
    gaps[0] = rng.uniform(15_000, 25_000)
    steps = np.cumsum(gaps)
    return steps[steps < RUN[1]]


def unrelated_jumps(rng, number):
    """Jumps at evaluations that know nothing of the transitions and thin out in log time."""
    steps = np.exp(rng.uniform(np.log(1000), np.log(RUN[1] - STRIDE), number))
    return np.ceil(steps / STRIDE) * STRIDE


@pytest.mark.parametrize("seed", range(5))
def test_tail_agrees_with_enumeration(seed):
    probability = np.random.default_rng(seed).uniform(0, 1, 7)
    chance = np.zeros(8)
    for outcome in product([0, 1], repeat=7):
        chance[sum(outcome)] += np.prod(np.where(outcome, probability, 1 - probability))
    for hits in range(9):
        assert _poisson_binomial_tail(probability, hits) == pytest.approx(chance[hits:].sum(), abs=1e-12)


def test_equal_probabilities_make_a_binomial():
    assert _poisson_binomial_tail([0.5] * 4, 3) == pytest.approx(5 / 16)


def test_counts_lags_and_coverage():
    jumps = [AccuracyJump(10_200, 0.5, 0.6), AccuracyJump(15_000, 0.5, 0.6), AccuracyJump(2000, 0.5, 0.6)]
    found = association_test(jumps, [10_000, 20_000], (-800, 1000), (0, 40_000))
    assert (found.jumps_near_transitions, found.jumps, found.transitions) == (1, 3, 2)
    assert found.window == (-800, 1000)
    assert found.lags == (200.0, -5000.0, -8000.0) or found.lags == (200.0, 5000.0, -8000.0)
    assert found.coverage == pytest.approx((0.18, 0.18, 0.08))
    assert found.expected == pytest.approx(0.44)
    assert found.p_value == pytest.approx(1 - 0.82 * 0.82 * 0.92)


def test_window_wider_than_the_cycle_is_no_evidence():
    found = association_test([500, 1500, 2500], [1000, 2000], (-1000, 1000), (0, 3000))
    assert found.coverage == pytest.approx((1.0, 1.0, 1.0))
    assert found.p_value == pytest.approx(1.0)


def association_by_loop(jumps, transitions, window, span):
    """Hits, lags and coverage, step by step: windows, cycles and steps are whole numbers."""
    near = {step for at in transitions for step in range(at + window[0], at + window[1])}
    bounds = sorted({span[0], *transitions, span[1]})
    coverage = []
    for jump in jumps:
        start = max(bound for bound in bounds[:-1] if bound <= jump)
        cycle = range(start, bounds[bounds.index(start) + 1])
        coverage.append(sum(step in near for step in cycle) / len(cycle))
    hits = sum(any(at + window[0] <= jump <= at + window[1] for at in transitions) for jump in jumps)
    return hits, [min((jump - at for at in sorted(transitions)), key=abs) for jump in jumps], coverage


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=8),
    st.lists(st.integers(0, 300), min_size=1, max_size=8),
    st.tuples(st.integers(-60, 20), st.integers(1, 80)),
)
@settings(max_examples=200, deadline=None)
def test_agrees_with_a_loop_over_steps(jumps, transitions, lag_and_width):
    window = (lag_and_width[0], sum(lag_and_width))
    found = association_test(jumps, transitions, window, (0, 300))
    hits, lags, coverage = association_by_loop(jumps, transitions, window, (0, 300))
    assert (found.jumps_near_transitions, list(found.lags)) == (hits, lags)
    assert found.coverage == pytest.approx(coverage)


@pytest.mark.parametrize(("jumps", "transitions"), [([], [1000]), ([1000], []), ([], [])])
def test_no_p_value_without_jumps_or_transitions(jumps, transitions):
    found = association_test(jumps, transitions, (-800, 1000), RUN)
    assert found.p_value is None
    assert (found.jumps, found.transitions, found.jumps_near_transitions) == (len(jumps), len(transitions), 0)


def test_unit_of_the_step_cancels():
    one = association_test([10_200, 33_000], [10_000, 20_000], (-800, 1000), (0, 40_000))
    kilo = association_test([10_200e3, 33_000e3], [10_000e3, 20_000e3], (-800e3, 1000e3), (0, 40_000e3))
    assert one.p_value == pytest.approx(kilo.p_value)


def test_pool_concatenates():
    runs = [association_test([10_100], [10_000], (-800, 1000), (0, 20_000)), association_test([], [5], (-1, 1), (0, 9))]
    both = pool_associations([runs[0], runs[0], runs[1]])
    assert both.p_value == pytest.approx(runs[0].p_value ** 2)
    assert (both.jumps, both.transitions, both.jumps_near_transitions) == (2, 3, 2)
    assert pool_associations([runs[1]]).p_value is None
    with pytest.raises(InputError):
        pool_associations([])


def test_near_window():
    assert near_window(400, (0, 80_000)) == (-800, 1000)
    assert near_window(50, (0, 300_000)) == (-100, 3000)
    assert near_window(400, (2000, 20_000), 20_000) == (-800, 1000)
    assert near_window(500, (0, 5000)) == (-1000, 500)
    assert near_window(2000, (0, 20_000)) == (-4000, 2000)
    with pytest.raises(InputError, match="evaluation_stride"):
        near_window(0, RUN)


def test_a_run_that_counts_epochs_has_far_jumps_too():
    window = near_window(1, (0, 206))
    near, far = (association_test([at], [100], window, (0, 206)) for at in (101, 180))
    assert (near.jumps_near_transitions, far.jumps_near_transitions) == (1, 0)
    assert near.p_value == pytest.approx(10.3 / 106)


def test_a_narrow_window_is_not_told_wider_than_it_is():
    assert association_test([], [], (-0.25, 0.5), (0, 10)).window == (-0.25, 0.5)
    assert association_test([], [], (-800.5, 1234.5), RUN).window == (-801, 1235)


@pytest.mark.parametrize(
    ("jumps", "window", "span"),
    [
        ([90_000], (-8, 10), RUN),
        ([1], (10, -8), RUN),
        ([1], (-8, 10), (5, 5)),
        (["x"], (-8, 10), RUN),
        ([[1]], (-8, 10), RUN),
    ],
)
def test_clear_errors(jumps, window, span):
    with pytest.raises(InputError):
        association_test(jumps, [10], window, span)


@pytest.mark.parametrize("runs_pooled", [1, 5])
def test_rejects_rarely_when_jumps_are_unrelated_but_thin_out(runs_pooled):
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(1000):
        tests = [
            association_test(unrelated_jumps(rng, 4), simulated_transitions(rng), near_window(STRIDE, RUN), RUN)
            for _ in range(runs_pooled)
        ]
        rejected += pool_associations(tests).p_value <= 0.05
    assert rejected <= 60


def test_power_when_half_of_the_transitions_carry_a_jump():
    """One unrelated jump besides; a jump is seen at the first evaluation 50-600 updates after its transition."""
    rng = np.random.default_rng(1)
    rejected = 0
    for _ in range(400):
        tests = []
        for _ in range(2):
            at = simulated_transitions(rng)
            carried = at[rng.permutation(len(at)) < (len(at) + 1) // 2]
            caused = np.ceil((carried + rng.uniform(50, 600, len(carried))) / STRIDE) * STRIDE
            jumps = np.minimum(np.append(caused, unrelated_jumps(rng, 1)), RUN[1])
            tests.append(association_test(jumps, at, near_window(STRIDE, RUN), RUN))
        rejected += pool_associations(tests).p_value <= 0.05
    assert rejected >= 0.8 * 400
