"""Averages around events against loops, closed forms and curves written out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slingshot_analysis import Signal
from slingshot_analysis.association import event_triggered_average
from slingshot_analysis.errors import InputError
from slingshot_analysis.events import AccuracyJump, LossSpike

STEP = np.arange(0, 1001, 10)


def average_by_loop(step, value, events, lags, max_gap):
    """Interpolate lag by lag and event by event."""
    columns = []
    for lag in lags:
        column = []
        for at in events + lag:
            exact = np.flatnonzero(step == at)
            right = int(np.searchsorted(step, at))
            if len(exact):
                column.append(value[exact[0]])
            elif 0 < right < len(step) and step[right] - step[right - 1] <= max_gap:
                weight = (at - step[right - 1]) / (step[right] - step[right - 1])
                column.append((1 - weight) * value[right - 1] + weight * value[right])
        columns.append(np.array(column))
    return columns


@given(
    st.sets(st.integers(0, 300), min_size=3, max_size=40),
    st.lists(st.integers(-20, 320), min_size=1, max_size=5),
    st.integers(1, 30),
)
@settings(max_examples=60, deadline=None)
def test_agrees_with_a_loop(steps, events, max_gap):
    step = np.array(sorted(steps), dtype=float)
    value = np.cos(step) + step / 100
    found = event_triggered_average((step, value), events, 40, 60, points=11, max_gap=max_gap)
    columns = average_by_loop(step, value, np.array(events, dtype=float), found.lag, max_gap)
    assert found.lag.tolist() == list(range(-40, 61, 10))
    assert found.n.tolist() == [len(column) for column in columns]
    for k, column in enumerate(columns):
        if not len(column):
            assert np.isnan([found.mean[k], found.lower_quartile[k], found.standard_error[k]]).all()
            continue
        assert found.mean[k] == pytest.approx(column.mean())
        quartiles = (found.lower_quartile[k], found.upper_quartile[k])
        assert quartiles == pytest.approx(tuple(np.percentile(column, [25, 75])))
        if len(column) > 1:
            assert found.standard_error[k] == pytest.approx(column.std(ddof=1) / np.sqrt(len(column)), abs=1e-12)
        else:
            assert np.isnan(found.standard_error[k])


def test_a_line_stays_a_line():
    found = event_triggered_average(Signal(STEP, 2.0 * STEP, "last_layer_norm"), [300, 505, 700], 95, 95, points=39)
    assert found.mean == pytest.approx(2 * (found.lag + (300 + 505 + 700) / 3))
    assert (found.n == 3).all()
    assert (found.name, found.events, found.max_gap, len(found.to_dataframe())) == ("last_layer_norm", 3, 30.0, 39)


def test_logarithms_of_a_loss_average_to_its_exponents():
    """Two losses that decay exponentially from 1 and from 1e-6, measured anew after every event."""
    loss = np.where(STEP < 500, 1.0, 1e-6) * np.exp(-(STEP % 500) / 50.0)
    found = event_triggered_average((STEP, loss), [0, 500], 0, 400, points=9, log=True)
    assert found.mean == pytest.approx(np.log(1e-3) - found.lag / 50)
    relative = event_triggered_average((STEP, loss), [0, 500], 0, 400, points=9, log=True, normalize="first")
    assert relative.mean == pytest.approx(-found.lag / 50)
    assert relative.standard_error == pytest.approx(np.zeros(9), abs=1e-12)


def test_a_loss_of_zero_and_a_measured_nan_do_not_count():
    loss = np.ones(len(STEP))
    loss[[20, 40]] = 0.0, np.nan
    found = event_triggered_average((STEP, loss), [200, 400, 600], 10, 10, points=3, log=True)
    assert found.n.tolist() == [3, 1, 3]
    assert found.mean.tolist() == [0.0, 0.0, 0.0]
    assert event_triggered_average((STEP, loss), [200, 400, 600], 10, 10, points=3).n.tolist() == [3, 2, 3]


def test_the_smallest_grids():
    before = event_triggered_average((STEP, STEP * 1.0), [500], 20, 0, points=2)
    after = event_triggered_average((STEP, STEP * 1.0), [500], 0, 20, points=2)
    assert (before.mean.tolist(), after.mean.tolist()) == ([480, 500], [500, 520])


def test_never_across_a_gap():
    step = np.array([0, 10, 20, 30, 200, 210, 220])
    found = event_triggered_average((step, step * 1.0), [100], 100, 100, points=21)
    assert found.lag[found.n == 1].tolist() == [-100, -90, -80, -70, 100]
    assert found.max_gap == 30
    wide = event_triggered_average((step, step * 1.0), [100], 100, 100, points=21, max_gap=170)
    assert wide.mean.tolist() == list(range(0, 201, 10))


def test_events_near_the_ends_contribute_where_they_have_data():
    found = event_triggered_average((STEP, STEP * 1.0), [20, 980, 5000], 40, 40, points=5)
    assert found.n.tolist() == [1, 2, 2, 2, 1]
    assert found.mean.tolist() == [940, 480, 500, 520, 60]
    assert found.events == 2


def test_normalized_curves():
    step, value = STEP, np.where(STEP < 500, 4.0, 8.0)
    first = event_triggered_average((step, value), [500], 20, 20, points=5, normalize="first")
    assert first.mean.tolist() == [1, 1, 2, 2, 2]
    value = np.where(STEP == 480, 12.0, value)
    before = event_triggered_average((step, value), [500], 20, 20, points=5, normalize="before")
    assert before.mean.tolist() == [1.5, 0.5, 1, 1, 1]
    assert event_triggered_average((step, value), [0], 20, 20, points=5, normalize="before").events == 0
    zero = event_triggered_average((step, np.zeros(len(step))), [500], 20, 20, points=5, normalize="first")
    assert (zero.n == 0).all()


def test_steps_in_any_order_and_the_last_of_those_that_repeat():
    found = event_triggered_average(([20, 0, 10, 10], [2.0, 0.0, 7.0, 1.0]), [10], 10, 10, points=3)
    assert found.mean.tolist() == [0, 1, 2]


def test_events_stand_where_they_begin():
    signal = (STEP, STEP * 1.0)
    for event in (AccuracyJump(500, 0.1, 0.9), LossSpike(500, 520, 560, 9.0, 2.0, 20.0, 60, 0.0, "recovered"), 500):
        assert event_triggered_average(signal, [event], 10, 10, points=3).mean.tolist() == [490, 500, 510]


@given(st.sampled_from([0.5, 8.0, 1024.0]), st.lists(st.integers(0, 100), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_unit_of_the_step_cancels(unit, tens):
    events = np.array(tens) * 10.0
    one = event_triggered_average((STEP, np.sin(STEP)), events, 64, 64, points=9)
    other = event_triggered_average((STEP * unit, np.sin(STEP)), events * unit, 64 * unit, 64 * unit, points=9)
    assert one.n.tolist() == other.n.tolist()
    np.testing.assert_allclose(one.mean, other.mean)


def test_nothing_around_no_events():
    found = event_triggered_average((STEP, STEP), [], 10, 10, points=3)
    assert (found.n.tolist(), found.events) == ([0, 0, 0], 0)
    assert found.to_dataframe()["mean"].isna().all()


@pytest.mark.parametrize(
    ("signal", "options", "message"),
    [
        (Signal([0, 1], [[1, 2], [3, 4]], "feature_change"), {}, r"select\(\)"),
        (([0], [1.0]), {}, "at least 2"),
        (([0, np.inf], [1.0, 1.0]), {}, "not finite"),
        (([0, 1], [1.0, 1.0]), {"before": -1}, "before, after"),
        (([0, 1], [1.0, 1.0]), {"before": 0, "after": 0}, "before, after"),
        (([0, 1], [1.0, 1.0]), {"points": 1}, "points"),
        (([0, 1], [1.0, 1.0]), {"max_gap": 0}, "max_gap"),
        (([0, 1], [1.0, 1.0]), {"normalize": "frist"}, "did you mean 'first'"),
    ],
)
def test_clear_errors(signal, options, message):
    with pytest.raises(InputError, match=message):
        event_triggered_average(signal, [0], **{"before": 1, "after": 1} | options)
