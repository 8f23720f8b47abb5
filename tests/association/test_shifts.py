"""Shifts in log time and swaps of runs, against plain loops and permutations written out by hand."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slingshot_analysis.association import (
    LogTimeShift,
    RunEvents,
    association_test,
    log_time_shift_test,
    pool_shifts,
    run_swap_test,
)
from slingshot_analysis.association._steps import hits_near
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import AccuracyJump

SPAN = (1000, 100_000)
WINDOW = (-1000, 1000)
steps = st.lists(st.integers(1000, 100_000), min_size=1, max_size=6)


def hits_by_loop(jumps, transitions, window):
    return sum(any(window[0] <= jump - at <= window[1] for at in transitions) for jump in jumps)


@given(steps, steps)
@settings(max_examples=50, deadline=None)
def test_hits_agree_with_a_loop_and_with_the_association_test(jumps, transitions):
    found = log_time_shift_test(jumps, transitions, WINDOW, SPAN, resamples=20)
    assert found.hits == hits_by_loop(jumps, transitions, WINDOW)
    assert found.hits == association_test(jumps, transitions, WINDOW, SPAN).jumps_near_transitions
    assert sum(found.counts) == 20
    assert found.p_value == pytest.approx((sum(found.counts[found.hits :]) + 1) / 21)
    assert found.expected == pytest.approx(sum(hits * count for hits, count in enumerate(found.counts)) / 20)


def test_hits_of_many_sets_at_once():
    random = np.random.default_rng(0)
    sets, at = random.uniform(0, 100, (50, 4)), np.sort(random.uniform(0, 100, 6))
    assert hits_near(sets, at, (-3, 5)).tolist() == [hits_by_loop(jumps, at, (-3, 5)) for jumps in sets]
    assert hits_near(sets, at[:0], (-3, 5)).tolist() == [0] * 50


def test_one_jump_is_near_for_the_share_of_log_time_that_the_window_covers():
    covered = np.log(11_000 / 9000) / np.log(100)
    found = log_time_shift_test([AccuracyJump(10_200, 0.5, 0.6)], [10_000], WINDOW, SPAN, resamples=20_000)
    assert found.expected == pytest.approx(covered, abs=0.005)
    assert found.p_value == pytest.approx(covered, abs=0.005)


def test_a_span_from_zero_begins_at_a_thousandth():
    covered = np.log(11_000 / 9000) / np.log(1000)
    found = log_time_shift_test([10_200, 20], [10_000], WINDOW, (0, 100_000), resamples=20_000)
    assert found.expected == pytest.approx(2 * covered, abs=0.01)


@given(steps, steps, st.sampled_from([0.5, 32.0, 2.0**20]))
@settings(max_examples=30, deadline=None)
def test_unit_of_the_step_cancels(jumps, transitions, unit):
    def scaled(unit):
        given = [np.array(part) * unit for part in (jumps, transitions, (-999.7, 1000.3), SPAN)]
        return log_time_shift_test(*given[:2], tuple(given[2]), tuple(given[3]), resamples=50)

    one, other = scaled(1.0), scaled(unit)
    assert (one.hits, one.p_value, one.counts) == (other.hits, other.p_value, other.counts)


def test_same_seed_same_result():
    arguments = ([10_200, 30_000], [10_000, 29_500], WINDOW, SPAN)
    assert log_time_shift_test(*arguments, seed=3) == log_time_shift_test(*arguments, seed=3)
    assert log_time_shift_test(*arguments, seed=3) != log_time_shift_test(*arguments, seed=4)


@pytest.mark.parametrize(("jumps", "transitions"), [([], [2000]), ([2000], []), ([], [])])
def test_nothing_to_shift(jumps, transitions):
    found = log_time_shift_test(jumps, transitions, WINDOW, SPAN)
    assert (found.p_value, found.jumps, found.transitions) == (None, len(jumps), len(transitions))
    assert (found.hits, found.expected) == (0, 0.0)
    assert pool_shifts([found, found]).p_value is None
    assert pool_shifts([found, found]).jumps == 2 * len(jumps)


def test_pooled_shifts_agree_with_all_pairs_of_shifts():
    runs = [
        log_time_shift_test([10_200, 30_000], [10_000, 29_500], WINDOW, SPAN, resamples=300, seed=1),
        log_time_shift_test([50_300, 4000], [12_000, 50_000], WINDOW, SPAN, resamples=300, seed=2),
        log_time_shift_test([], [12_000], WINDOW, SPAN, resamples=300),
    ]
    sums = np.add.outer(*(np.repeat(np.arange(len(run.counts)), run.counts) for run in runs[:2]))
    found = pool_shifts(runs)
    assert (found.hits, found.jumps, found.transitions) == (3, 4, 5)
    assert found.expected == pytest.approx(sums.mean())
    assert found.p_value == pytest.approx(((sums >= 3).mean() * 300 + 1) / 301)
    assert pool_shifts(runs[::-1]).p_value == pytest.approx(found.p_value)
    with pytest.raises(InputError, match="already pooled"):
        pool_shifts([found, runs[0]])
    with pytest.raises(InputError, match="got no test"):
        pool_shifts([])


def test_a_span_may_end_at_one():
    found = log_time_shift_test([0.5], [0.25], (0, 0.25), (0, 1))
    assert (found.hits, found.jumps) == (1, 1)


def test_one_resample_is_enough():
    assert log_time_shift_test([2000], [2000], WINDOW, SPAN, resamples=1).p_value in (0.5, 1.0)
    runs = [RunEvents([at + 50], [at], (0, 100), (0, 100_000)) for at in range(1000, 81_000, 10_000)]
    assert run_swap_test(runs, resamples=1).permutations == 1


def test_a_pooled_p_value_without_hits_is_one():
    """The chances of 1 and 4 of 5 shifts, convolved with each other, add up to more than 1 by rounding."""
    run = LogTimeShift(0, 4 / 5, 1.0, 5, 1, 1, (1, 4))
    assert pool_shifts([run] * 4).p_value == 1.0


def test_rejects_rarely_when_jumps_thin_out_and_often_when_transitions_carry_them():
    random = np.random.default_rng(0)
    unrelated, carried = 0, 0
    for seed in range(400):
        at = np.unique(np.round(np.exp(np.sort(random.uniform(np.log(2000), np.log(95_000), 10)))))
        scattered = np.exp(random.uniform(*np.log(SPAN), 4))
        caused = random.choice(at, 5, replace=False) + random.uniform(50, 600, 5)
        unrelated += log_time_shift_test(scattered, at, WINDOW, SPAN, resamples=199, seed=seed).p_value <= 0.05
        carried += log_time_shift_test(caused, at, WINDOW, SPAN, resamples=199, seed=seed).p_value <= 0.05
    assert unrelated <= 0.06 * 400
    assert carried >= 0.8 * 400


@pytest.mark.parametrize(
    ("jumps", "span", "resamples", "message"),
    [([1], SPAN, 10, "outside run_span"), ([-2], (-5, 0), 10, "log time"), ([2000], SPAN, 0, "resamples")],
)
def test_clear_errors(jumps, span, resamples, message):
    with pytest.raises(InputError, match=message):
        log_time_shift_test(jumps, [], WINDOW, span, resamples=resamples)


def test_three_runs_by_hand():
    """Own pairs hit 2 + 1 + 1 = 4 times; the six permutations hit 4, 2, 2, 0, 1 and 1 times."""
    jumps = [[105, 305], [505], [705]]
    transitions = [[100, 300], [500, 100], [700]]
    table = [[2, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert [[hits_by_loop(j, t, (0, 10)) for j in jumps] for t in transitions] == table
    found = run_swap_test([RunEvents(j, t, (0, 10), (0, 1000)) for j, t in zip(jumps, transitions, strict=True)])
    assert (found.hits, found.permutations, found.runs, found.exact) == (4, 6, 3, True)
    assert found.expected == pytest.approx(10 / 6)
    assert found.p_value == found.smallest_p == pytest.approx(1 / 6)


@given(st.lists(st.tuples(steps, steps), min_size=2, max_size=5), st.randoms())
@settings(max_examples=40, deadline=None)
def test_swaps_agree_with_permutations_and_not_with_the_order_of_runs(events, random):
    wide = (-20_000, 20_000)
    runs = [RunEvents(jumps, transitions, wide, SPAN) for jumps, transitions in events]
    sums = [
        sum(hits_by_loop(events[j][0], events[i][1], wide) for i, j in enumerate(order))
        for order in permutations(range(len(events)))
    ]
    found = run_swap_test(runs)
    assert found.hits == sums[0]
    assert found.expected == pytest.approx(np.mean(sums))
    assert found.p_value == pytest.approx(np.mean(np.array(sums) >= sums[0]))
    assert found.smallest_p == pytest.approx(np.mean(np.array(sums) == max(sums)))
    random.shuffle(runs)
    assert run_swap_test(runs) == found


def test_runs_with_the_same_events_are_no_evidence():
    """All jumps follow the clock of the schedule."""
    runs = [RunEvents([10_100, 20_100], [10_000, 20_000], WINDOW, SPAN)] * 5
    assert association_test([10_100, 20_100] * 5, [10_000, 20_000], WINDOW, SPAN).p_value < 0.01
    found = run_swap_test(runs)
    assert (found.p_value, found.smallest_p) == (1.0, 1.0)


def test_many_runs_are_sampled():
    runs = [RunEvents([at + 50], [at], (0, 100), (0, 100_000)) for at in range(1000, 81_000, 10_000)]
    found = run_swap_test(runs, resamples=999)
    assert (found.exact, found.permutations, found.hits, found.expected) == (False, 999, 8, 1.0)
    assert found.p_value == found.smallest_p == pytest.approx(1 / 1000)


def test_no_swap_without_events_or_between_unlike_runs():
    runs = [RunEvents([], [2000], WINDOW, SPAN)] * 2
    assert run_swap_test(runs).p_value is None
    with pytest.raises(InputError, match="at least 2"):
        run_swap_test(runs[:1])
    with pytest.raises(InputError, match=r"run 2 has .*same length and evaluation schedule"):
        run_swap_test([*runs, RunEvents([], [2000], WINDOW, (1000, 50_000))])
    with pytest.raises(InputError, match="window"):
        run_swap_test([*runs, RunEvents([], [2000], (-400, 1000), SPAN)])
    with pytest.raises(InputError, match="resamples"):
        run_swap_test(runs, resamples=0)
