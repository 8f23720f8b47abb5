"""Scores against independent ways to count them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from slingshot_analysis.errors import InputError
from slingshot_analysis.evaluation import Score, calibration, match_events, pool_scores, score_events

steps = st.lists(st.integers(0, 60), max_size=9)
margins = st.integers(0, 15)


def reference_matching(found, true, margin):
    """Most pairs, then least total distance, by scipy's assignment with a price on staying alone."""
    distance = np.abs(np.subtract.outer(np.array(true, float), np.array(found, float)))
    allowed = distance <= np.broadcast_to(np.array(margin, float), (len(true),))[:, None]
    cost = np.where(allowed, distance - 1e6, 0.0)
    rows, columns = linear_sum_assignment(cost)
    used = allowed[rows, columns]
    return int(used.sum()), float(distance[rows, columns][used].sum())


@given(found=steps, labels=st.lists(st.tuples(st.integers(0, 60), margins), max_size=9))
@settings(max_examples=300, deadline=None)
def test_matching_is_the_largest_and_nearest_one(found, labels):
    true, margin = [at for at, _ in labels], [width for _, width in labels]
    pairs = match_events(found, true, margin)
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
    distances = [abs(found[i] - true[j]) for i, j in pairs]
    assert all(distance <= margin[j] for distance, (_, j) in zip(distances, pairs, strict=True))
    assert (len(pairs), sum(distances)) == reference_matching(found, true, margin)


def test_matching_of_many_events_equals_scipys():
    random = np.random.default_rng(0)
    found, true = random.integers(0, 10_000, 700), random.integers(0, 10_000, 150)
    pairs = match_events(found, true, 60)
    distance = np.abs(found[pairs[:, 0]] - true[pairs[:, 1]]).sum()
    assert (len(pairs), distance) == reference_matching(found, true, 60)


def test_each_label_is_matched_within_its_own_margin():
    assert match_events([5, 25], [0, 20], [5, 4]).tolist() == [[0, 0]]


@given(found=steps, true=steps, margin=margins, shift=st.integers(-1000, 1000), seed=st.integers(0, 99))
@settings(deadline=None)
def test_scores_do_not_depend_on_order_or_origin(found, true, margin, shift, seed):
    score = score_events(found, true, margin)
    random = np.random.default_rng(seed)
    other = score_events(random.permutation(found) + shift, random.permutation(true) + shift, margin)
    assert (score.n_true, score.n_found, score.hits) == (other.n_true, other.n_found, other.hits)
    assert sum(map(abs, score.errors)) == sum(map(abs, other.errors))


@given(found=steps, true=steps, margin=margins)
@settings(deadline=None)
def test_swapping_found_and_true_swaps_precision_and_recall(found, true, margin):
    one, other = score_events(found, true, margin), score_events(true, found, margin)
    assert one.hits == other.hits
    np.testing.assert_equal([one.precision, one.recall], [other.recall, other.precision])


def test_optional_events_are_neither_hits_nor_extras():
    plain = score_events([10, 50], [10], 2)
    assert (plain.hits, plain.n_found, plain.precision) == (1, 2, 0.5)
    assert score_events([10, 50], [10], 2, optional=[51]) == Score(1, 1, 1, (0.0,))
    assert score_events([10], [10], 2, optional=[51]).recall == 1.0
    assert score_events([50, 51], [], 2, optional=[51]).n_found == 1


def test_true_events_come_before_optional_ones():
    assert score_events([10], [12], 2, optional=[10]).hits == 1


def test_undefined_shares_are_nan_and_pooled_counts_are_not():
    nothing, extra, missed = score_events([], [], 5), score_events([1], [], 5), score_events([], [1], 5)
    assert math.isnan(nothing.f1)
    assert math.isnan(nothing.median_error)
    assert math.isnan(missed.precision)
    assert math.isnan(extra.recall)
    assert (extra.precision, missed.recall, extra.f1) == (0.0, 0.0, 0.0)
    assert pool_scores([nothing, extra, missed, score_events([7], [7], 0)]).f1 == 0.5
    assert pool_scores([]) == Score()


def test_timing_errors_are_pooled_over_events():
    both = score_events([11, 22], [10, 20], 5) + score_events([90], [100], 10)
    assert both.errors == (1.0, 2.0, -10.0)
    assert both.median_error == 2.0
    assert both.error_90 == pytest.approx(np.quantile([1, 2, 10], 0.9))


def test_calibration_error_is_the_mean_gap_of_the_bins():
    found = calibration([0.15, 0.15, 0.95, 1.0], [False, True, True, True], bins=2)
    assert found.count.tolist() == [2, 2]
    assert found.error == pytest.approx(0.5 * abs(0.15 - 0.5) + 0.5 * (1 - 0.975))
    assert calibration([0.5, 0.5], [True, False]).error == 0
    assert math.isnan(calibration([], []).error)
    assert calibration([], []).n == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40), st.integers(1, 12))
def test_calibration_equals_a_loop_over_bins(pairs, bins):
    edges = np.linspace(0, 1, bins + 1)
    gaps = 0.0
    for k in range(bins):
        inside = [p for p in pairs if edges[k] <= p[0] < edges[k + 1] or (k == bins - 1 and p[0] == 1)]
        gaps += abs(sum(p[0] for p in inside) - sum(p[1] for p in inside))
    assert calibration(*zip(*pairs, strict=True), bins=bins).error == pytest.approx(gaps / len(pairs))


@pytest.mark.parametrize(
    "call",
    [
        lambda: match_events([1, float("nan")], [1], 1),
        lambda: match_events([[1]], [1], 1),
        lambda: match_events(["a"], [1], 1),
        lambda: match_events([1], [1], -1),
        lambda: match_events([1], [1], [1, 2]),
        lambda: calibration([0.5], []),
        lambda: calibration([1.5], [True]),
        lambda: calibration([0.5], [2]),
        lambda: calibration([0.5], [True], bins=0),
    ],
)
def test_wrong_input_is_an_input_error(call):
    with pytest.raises(InputError):
        call()
