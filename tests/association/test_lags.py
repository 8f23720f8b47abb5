"""Lags and hit rates over runs, against statistics written out and SciPy's bootstrap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from slingshot_analysis.association import Association, association_test, lag_summary, pool_associations
from slingshot_analysis.errors import InputError

RUNS = [
    association_test([10_100, 15_000, 30_200], [10_000, 30_000], (-800, 1000), (0, 40_000)),
    association_test([20_300], [20_000], (-800, 1000), (0, 40_000)),
    association_test([5000, 26_050], [9000, 18_000, 26_000], (-800, 1000), (0, 40_000)),
    association_test([], [9000, 18_000], (-800, 1000), (0, 40_000)),
]


def with_lags(*lags):
    """A run of which nothing but the lags matters."""
    return Association(
        len(lags), len(lags), len(lags), (-800, 1000), 1.0, None, tuple(lags), (1 / len(lags),) * len(lags)
    )


sequences = st.lists(
    st.lists(st.floats(-1e4, 1e4, allow_subnormal=False), min_size=1, max_size=4), min_size=2, max_size=6
)


def test_values_agree_with_the_pooled_association():
    found, pooled = lag_summary(RUNS), pool_associations(RUNS)
    assert found.median_lag.value == np.median(pooled.lags) == 150
    rate, chance = pooled.jumps_near_transitions / pooled.jumps, pooled.expected / pooled.jumps
    assert found.rate_difference.value == pytest.approx(rate - chance)
    assert found.rate_ratio.value == pytest.approx(rate / chance)
    for estimate in (found.median_lag, found.rate_difference, found.rate_ratio):
        assert (estimate.runs, estimate.jumps, estimate.transitions, estimate.reason) == (3, 6, 6, "")
        assert estimate.interval[0] <= estimate.value <= estimate.interval[1]


def test_interval_agrees_with_the_bootstrap_of_scipy():
    """With one jump in every run the bootstrap over runs is the ordinary one."""
    lags = np.random.default_rng(0).exponential(100, 25)
    found = lag_summary([with_lags(lag) for lag in lags], resamples=9000).median_lag.interval
    theirs = stats.bootstrap((lags,), np.median, n_resamples=9000, method="percentile", rng=1).confidence_interval
    assert found == pytest.approx(tuple(theirs), rel=0.05)


def test_runs_are_drawn_and_not_jumps():
    """Two runs whose jumps agree within each: only these two medians and the mean of both can come out."""
    found = lag_summary([with_lags(*[10.0] * 50), with_lags(*[90.0] * 50)]).median_lag
    assert found.value == 50
    assert found.interval == (10.0, 90.0)
    weighed = lag_summary([with_lags(*[10.0] * 50), with_lags(90.0)]).median_lag
    assert (weighed.value, weighed.interval) == (10, (10.0, 90.0))


@pytest.mark.parametrize("runs", [[RUNS[0]], [RUNS[0], RUNS[3]]])
def test_one_telling_run_has_no_interval(runs):
    found = lag_summary(runs)
    assert found.median_lag.value == 200
    assert found.rate_ratio.value == pytest.approx(2 / RUNS[0].expected)
    for estimate in (found.median_lag, found.rate_difference, found.rate_ratio):
        assert (estimate.interval, estimate.runs, estimate.jumps) == (None, 1, 3)
        assert "at least 2" in estimate.reason


def test_nothing_known():
    found = lag_summary([RUNS[3], RUNS[3]])
    assert (found.median_lag.value, found.rate_ratio.value, found.median_lag.runs) == (None, None, 0)
    assert found.median_lag.reason == "no run has both jumps and transitions"


def test_no_ratio_where_chance_never_hits():
    outside = association_test([10], [990], (20, 30), (0, 1000))
    assert outside.expected == 0
    found = lag_summary([outside, *RUNS])
    assert found.rate_ratio.value is None
    assert "by chance" in found.rate_ratio.reason
    assert found.rate_difference.interval is not None


@given(sequences, st.randoms(), st.sampled_from([0.5, 4.0, 1024.0]))
@settings(max_examples=30, deadline=None)
def test_order_of_runs_and_unit_of_the_step_cancel(runs, random, unit):
    found = lag_summary([with_lags(*run) for run in runs], resamples=100).median_lag
    shuffled = [with_lags(*run) for run in random.sample(runs, len(runs))]
    assert lag_summary(shuffled, resamples=100).median_lag == found
    scaled = lag_summary([with_lags(*(lag * unit for lag in run)) for run in runs], resamples=100).median_lag
    assert (scaled.value, *scaled.interval) == pytest.approx([unit * x for x in (found.value, *found.interval)])


def test_summary_has_one_row_for_each_estimate():
    table = lag_summary(RUNS).summary()
    assert table["quantity"].tolist() == ["median_lag", "rate_difference", "rate_ratio"]
    assert table.columns.tolist() == ["quantity", "value", "low", "high", "runs", "jumps", "transitions", "reason"]
    assert table["value"][0] == 150
    assert lag_summary([RUNS[3]]).summary()["value"].isna().all()


def test_clear_errors():
    with pytest.raises(InputError, match="got none"):
        lag_summary([])
    with pytest.raises(InputError, match="resamples"):
        lag_summary(RUNS, resamples=0)
