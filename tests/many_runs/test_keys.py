"""Exact tests of the keys of the configuration, against enumeration, SciPy and published tables."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import found
from scipy import stats

from slingshot_analysis.many_runs import key_tests, runs_table
from slingshot_analysis.many_runs._exact import MAXIMUM_RANKED, fisher_test, rank_sum_test

groups = st.lists(st.integers(1, 5).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=4)


@given(groups)
@settings(deadline=None)
def test_fisher_is_the_sum_over_all_tables_that_are_no_likelier(counts):
    successes, runs = zip(*counts, strict=True)
    total = comb(sum(runs), sum(successes))
    likely = {
        table: np.prod([comb(n, x) for n, x in zip(runs, table, strict=True)]) / total
        for table in product(*(range(n + 1) for n in runs))
        if sum(table) == sum(successes)
    }
    p = sum(share for share in likely.values() if share <= likely[successes] * (1 + 1e-9))
    least = min(sum(s for s in likely.values() if s <= share * (1 + 1e-9)) for share in likely.values())
    assert fisher_test(successes, runs) == pytest.approx((p, least))


@given(st.integers(0, 9), st.integers(0, 8), st.integers(0, 7), st.integers(0, 9))
def test_of_two_groups_fisher_is_scipys(a, b, c, d):
    assert fisher_test([a, c], [a + b, c + d])[0] == pytest.approx(stats.fisher_exact([[a, b], [c, d]]).pvalue)


def test_fisher_of_too_many_tables_is_left_out():
    sizes = range(20, 60)
    assert fisher_test([size // 2 for size in sizes], list(sizes)) == (None, None)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=9))
@settings(deadline=None)
def test_rank_sums_are_those_of_all_choices(runs):
    values, success = (np.array(column) for column in zip(*runs, strict=True))
    ranks, count = stats.rankdata(values), int(success.sum())
    mean = count * (len(ranks) + 1) / 2
    distances = [abs(sum(ranks[list(chosen)]) - mean) for chosen in combinations(range(len(ranks)), count)]
    own = abs(ranks[success].sum() - mean)
    p, least = (np.mean([d >= at - 1e-9 for d in distances]) for at in (own, max(distances)))
    assert rank_sum_test(values, success) == pytest.approx((p, least))


def test_rank_sums_without_ties_are_scipys():
    values = np.random.default_rng(0).permutation(40)
    success = np.arange(40) < 15
    expected = stats.mannwhitneyu(values[success], values[~success], method="exact").pvalue
    assert rank_sum_test(values, success)[0] == pytest.approx(expected)


def test_rank_sums_of_many_runs_go_on_smoothly():
    rng = np.random.default_rng(1)
    exact, approximate = (
        rank_sum_test(np.r_[rng.permutation(n), 0][:n], np.arange(n) < n // 2)
        for n in (MAXIMUM_RANKED, MAXIMUM_RANKED + 1)
    )
    for p, least in (exact, approximate):
        assert 0 < least < 1e-20 < p <= 1


def sweep(*runs, **more):
    return runs_table([found(f"{i}", [9000] * hit, **config, **more) for i, (hit, config) in enumerate(runs)])


@pytest.mark.parametrize("runs", [5, MAXIMUM_RANKED + 1])
@pytest.mark.parametrize("success", [False, True])
def test_where_all_runs_are_alike_nothing_is_shown(runs, success):
    assert rank_sum_test(np.arange(runs), np.full(runs, success)) == (1.0, 1.0)


def test_three_of_three_against_none_of_three():
    runs = [(eps == 1e-8, {"optimizer__eps": eps, "seed": seed}) for eps in (1e-6, 1e-8) for seed in range(3)]
    (test,) = key_tests(sweep(*runs))
    assert test.keys == ("optimizer.eps",)
    assert [(count.value, count.slingshots, count.runs) for count in test.values] == [("1e-08", 3, 3), ("1e-06", 0, 3)]
    assert (test.boschloo, test.smallest_boschloo) == pytest.approx((1 / 32, 1 / 32))
    assert (test.fisher, test.smallest_fisher) == (0.1, 0.1)
    assert (test.rank_sum, test.p_value, test.p_adjusted) == (None, test.boschloo, test.boschloo)
    boschloo = stats.boschloo_exact([[3, 0], [0, 3]]).pvalue
    assert test.boschloo == pytest.approx(boschloo)


def test_every_key_is_tested_and_those_that_change_together_once():
    runs = [
        (hit, {"setup": setup, "model__width": width, "lr": lr})
        for (setup, width), hits in {("x", 8): (1, 1, 1, 1), ("y", 16): (0, 0, 0, 1)}.items()
        for hit, lr in zip(hits, (1, 2, 3, 4), strict=True)
    ]
    tests = key_tests(sweep(*runs, batch=32))
    assert [test.keys for test in tests] == [("model.width", "setup"), ("lr",)]
    width, lr = tests
    assert width.p_adjusted == pytest.approx(2 * width.p_value)
    assert (lr.boschloo, lr.p_value, lr.p_adjusted) == (None, lr.rank_sum, max(lr.rank_sum, width.p_adjusted))
    assert lr.fisher is not None


def test_a_missing_value_is_a_value_and_undecided_runs_do_not_count():
    table = runs_table([
        found("a", [9], warmup=1, seed=0), found("b", [9], warmup=1, seed=1), found("c", seed=0), found("d", seed=1),
        found("e", verdict="undecided", warmup=2), found("foreign", [9]),
    ])  # fmt: skip
    (test,) = key_tests(table)
    assert {(count.value, count.slingshots, count.runs) for count in test.values} == {("1", 2, 2), ("-", 0, 2)}


def test_numbers_that_are_drawn_are_ranked():
    runs = [(lr > 0.05, {"lr": lr}) for lr in (0.01, 0.02, 0.03, 0.06, 0.07, 0.08)]
    (test,) = key_tests(sweep(*runs))
    assert (test.fisher, test.rank_sum, test.smallest_rank_sum) == pytest.approx((1, 0.1, 0.1))


def test_without_differences_nothing_is_tested():
    assert key_tests(sweep((1, {"lr": 1}), (0, {"lr": 1}))) == []
    assert key_tests(runs_table([found("a", [9]), found("b")])) == []
    (test,) = key_tests(sweep((1, {"lr": 1}), (1, {"lr": 2})))
    assert test.p_value == 1


def test_no_key_is_lost_from_the_tables():
    keys = {"kind": "a", "name": "b", "path": "c", "runs": 3, "both": 4, "configuration": "d", "share_low": 5}
    table = runs_table([found("one", **keys), found("two", **dict.fromkeys(keys, 9), **{"config__name": 7})])
    held = {key: table[f"config.{key}" if key != "kind" else key].astype(str).tolist() for key in keys if key != "name"}
    assert held == {key: [str(value), "9"] for key, value in keys.items() if key != "name"}
    assert table["config.config.name"].tolist() == ["b", "9"]
    assert table["config.name"].dropna().tolist() == [7]
