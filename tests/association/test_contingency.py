"""The table of slingshots and grokking against published tables, sums written out, and SciPy."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from slingshot_analysis.association import contingency
from slingshot_analysis.errors import InputError


def cross(both, slingshot_only, grokked_only, neither):
    slingshot = [True] * (both + slingshot_only) + [False] * (grokked_only + neither)
    grokked = [True] * both + [False] * slingshot_only + [True] * grokked_only + [False] * neither
    return contingency(slingshot, grokked)


def fisher_by_sum(a, b, c, d):
    """Sum over the tables with the same margins of the chances of those with as large an upper left cell, or larger."""
    rest = [
        math.comb(a + b, k) * math.comb(c + d, a + c - k)
        for k in range(a, min(a + b, a + c) + 1)
        if 0 <= a + c - k <= c + d
    ]
    return sum(rest) / math.comb(a + b + c + d, a + c)


def boschloo_by_grid(a, b, c, d):
    """Largest chance, over the common probability of grokking, of a table that Fisher's test finds as extreme."""
    withs, withouts = a + b, c + d
    share = np.linspace(0, 1, 2001)
    own, total = fisher_by_sum(a, b, c, d), np.zeros_like(share)
    for x, y in product(range(withs + 1), range(withouts + 1)):
        if fisher_by_sum(x, withs - x, y, withouts - y) <= own * (1 + 1e-12):
            total += stats.binom.pmf(x, withs, share) * stats.binom.pmf(y, withouts, share)
    return total.max()


def test_tea_tasting():
    """Fisher, The Design of Experiments, 1935: 3 of 4 cups right; p = 17/70."""
    found = cross(3, 1, 1, 3)
    assert found.fisher_greater == pytest.approx(17 / 70)
    assert found.fisher_two_sided == pytest.approx(34 / 70)
    assert found.smallest_fisher == pytest.approx(1 / 70)
    assert found.odds_ratio == pytest.approx(6.408, abs=1e-3)
    assert found.odds_ratio_interval == pytest.approx((0.2117, 626.24), rel=1e-3)


def test_known_tables():
    """Boschloo's groups are the rows: the transposed first table has groups of 12 and 12 runs, not of 15 and 9."""
    first, transposed, second = cross(12, 3, 0, 9), cross(12, 0, 3, 9), cross(5, 2, 0, 5)
    assert first.fisher_greater == pytest.approx(1.683e-4, abs=1e-7)
    assert transposed.fisher_greater == pytest.approx(first.fisher_greater)
    assert transposed.boschloo_greater == pytest.approx(4.42e-5, abs=1e-7)
    assert first.boschloo_greater == pytest.approx(5.24e-5, abs=1e-7)
    assert second.fisher_greater == pytest.approx(0.0265, abs=1e-4)
    assert second.fisher_two_sided == pytest.approx(0.0278, abs=1e-4)
    assert second.boschloo_greater == pytest.approx(0.0085, abs=1e-4)
    assert second.boschloo_two_sided == pytest.approx(0.0170, abs=1e-4)
    assert first.odds_ratio == math.inf
    assert first.odds_ratio_interval == (pytest.approx(4.227, abs=1e-3), math.inf)


@pytest.mark.parametrize(
    "cells", [(12, 3, 0, 9), (12, 0, 3, 9), (3, 1, 1, 3), (4, 6, 5, 2), (1, 2, 7, 3), (6, 1, 2, 4)]
)
def test_tests_agree_with_sums_written_out(cells):
    found = cross(*cells)
    assert found.fisher_greater == pytest.approx(fisher_by_sum(*cells))
    assert found.boschloo_greater == pytest.approx(boschloo_by_grid(*cells), rel=1e-4)
    assert found.boschloo_greater <= found.fisher_greater


def test_three_against_three_runs():
    found = cross(3, 0, 0, 3)
    assert (found.fisher_greater, found.smallest_fisher) == pytest.approx((1 / 20, 1 / 20))
    assert (found.boschloo_greater, found.smallest_boschloo) == pytest.approx((1 / 64, 1 / 64))


@pytest.mark.parametrize(("withs", "withouts"), [(3, 3), (2, 5), (6, 1)])
def test_smallest_p_values_are_the_smallest_of_all_tables(withs, withouts):
    tables = [cross(x, withs - x, y, withouts - y) for x in range(withs + 1) for y in range(withouts + 1)]
    assert min(table.boschloo_greater for table in tables) == pytest.approx(tables[0].smallest_boschloo)
    assert {table.smallest_boschloo for table in tables} == {tables[0].smallest_boschloo}
    for groks in range(withs + withouts + 1):
        same = [table for table in tables if table.both + table.grokked_only == groks]
        assert min(table.fisher_greater for table in same) == pytest.approx(same[0].smallest_fisher)


@given(st.tuples(*[st.integers(0, 6)] * 4))
@settings(max_examples=60, deadline=None)
def test_every_table(cells):
    a, b, c, d = cells
    found = cross(*cells)
    assert (found.both, found.slingshot_only, found.grokked_only, found.neither) == cells
    tests = [found.fisher_greater, found.fisher_two_sided, found.boschloo_greater, found.boschloo_two_sided]
    assert all(p is None for p in tests) or all(0 < p <= 1 for p in tests)
    assert (found.boschloo_greater is None) == (a + b == 0 or c + d == 0)
    assert bool(found.notes) == (found.odds_ratio is None) == (0 in (a + b, c + d, a + c, b + d))
    if tests[0] is not None:
        assert found.smallest_fisher <= found.fisher_greater * (1 + 1e-9)
        assert found.smallest_boschloo <= found.boschloo_greater * (1 + 1e-9)
        assert cross(d, c, b, a).boschloo_greater == pytest.approx(found.boschloo_greater, rel=1e-5)


@given(st.integers(0, 30), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_wilson_interval_agrees_with_its_formula(groks, fails):
    share, n = cross(groks, fails, 0, 1).grokked_with_slingshot, groks + fails
    z, rate = stats.norm.ppf(0.975), groks / n
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    assert (share.count, share.runs, share.value) == (groks, n, rate)
    assert share.interval == pytest.approx((middle - half, middle + half), abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12), st.randoms())
@settings(max_examples=30, deadline=None)
def test_order_of_runs_does_not_matter(runs, random):
    shuffled = random.sample(runs, len(runs))
    both = [contingency([one for one, _ in given], [two for _, two in given]) for given in (runs, shuffled)]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("cells", "p", "note"),
    [
        ((0, 0, 0, 0), None, "no run with slingshots"),
        ((3, 2, 0, 0), None, "no run without slingshots"),
        ((3, 0, 4, 0), 1.0, "every run grokked"),
        ((0, 3, 0, 4), 1.0, "no run grokked"),
    ],
)
def test_empty_margins(cells, p, note):
    found = cross(*cells)
    assert (found.fisher_greater, found.boschloo_two_sided, found.smallest_fisher) == (p, p, p)
    assert found.odds_ratio is found.odds_ratio_interval is None
    assert note in found.notes[0]
    assert (found.grokked_without_slingshot.value is None) == (cells[2] + cells[3] == 0)


def test_too_many_runs_for_boschloo():
    found = cross(200, 100, 100, 200)
    assert found.boschloo_greater is None
    assert found.notes == ("no Boschloo test: it takes too long beyond 500 runs",)
    assert found.fisher_greater < 1e-10


def test_summary():
    table = cross(5, 2, 0, 5).summary().set_index("quantity")
    assert table.loc[["both", "slingshot_only", "grokked_only", "neither"], "value"].tolist() == [5, 2, 0, 5]
    assert table.loc["grokked_with_slingshot", ["value", "low", "runs"]].tolist() == pytest.approx(
        [5 / 7, 0.3589, 7], abs=1e-4
    )
    assert table.loc["odds_ratio", "high"] == math.inf
    assert table.loc["boschloo_greater", "value"] == pytest.approx(0.0085, abs=1e-4)
    assert len(cross(0, 0, 0, 0).summary()) == len(table)


def test_clear_errors():
    with pytest.raises(InputError, match="has 1 runs and grokked 2"):
        contingency([True], [True, False])
    with pytest.raises(InputError, match="slingshot: give a flat"):
        contingency(["slingshots"], [True])
    with pytest.raises(InputError, match="grokked: give a flat"):
        contingency([True], [0.95])
    assert contingency([1, 0], np.array([1, 0])) == contingency([True, False], [True, False])


def test_the_summary_tells_the_number_of_runs_of_each_quantity():
    runs = cross(7, 5, 3, 2).summary().set_index("quantity")["runs"].to_dict()
    shares = {"grokked_with_slingshot": 12, "grokked_without_slingshot": 5}
    assert runs == dict.fromkeys(runs, 17) | shares


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_p_values_of_even_tables_are_at_most_one(runs):
    found = cross(runs, runs, runs, runs)
    assert found.fisher_two_sided == 1.0
    assert found.boschloo_two_sided == min(2 * found.boschloo_greater, 1.0)
