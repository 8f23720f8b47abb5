"""The order of events around transitions whose marks are known."""

import numpy as np
import pytest
from made_runs import staircase

from slingshot_analysis import AccuracyJump, Signal, Slingshot, analyze
from slingshot_analysis.association import order_events


def slingshot(at, growth=None):
    return Slingshot(growth, at, (at - 1, at), None, 1.0, 2.0, "full", "staircase", (), 1.0)


STEP = np.arange(10_000)
EVENTS = np.r_[np.arange(3936, 4064), np.arange(7936, 8064)]


def since(*marks):
    """A share that is 1 from each mark to the transition that follows it, and 0 elsewhere."""
    value = np.zeros(len(STEP))
    for start, end in marks:
        value[start:end] = 1.0
    return value


def test_every_mark_is_found_in_its_place():
    peak = np.where(EVENTS == 4002, 9.0, np.where(EVENTS == 7999, 7.0, 1.0))
    stable = np.where((EVENTS >= 3997) & (EVENTS < 5000), 1.0, 100.0)
    signals = {
        "softmax_collapse": (STEP, since((2000, 4000), (6500, 8000))),
        "zero_sum_violation": (STEP, since((3000, 4000))),
        "event_update_sharpness": (EVENTS, peak),
        "event_effective_step": (EVENTS, np.full(len(EVENTS), 10.0)),
        "event_max_stable_step": (EVENTS, stable),
        "event_preconditioned_ratio": (EVENTS, np.where(EVENTS == 7990, 2.0, 0.5)),
        "batch_loss": (STEP, 1e-7 + (STEP == 4010) + 2 * (STEP == 8003)),
    }
    jumps = [AccuracyJump(4500, 0.5, 0.8)]
    first, second = order_events([slingshot(4000, 3500), slingshot(8000)], signals, jumps, (-100, 1000))
    # a running mean over 100 rows passes one half 50 rows after its signal
    assert first.lags == {
        "softmax_collapse": -1950,
        "zero_sum_violation": -950,
        "norm growth": -500,
        "all effective steps > 2/L": -3,
        "update sharpness peaks": 2,
        "loss peaks": 10,
        "validation jump": 500,
    }
    assert second.lags == {
        "softmax_collapse": -1450,
        "preconditioned ratio > 1": -10,
        "update sharpness peaks": -1,
        "loss peaks": 3,
    }
    assert list(first.lags.values()) == sorted(first.lags.values())


@pytest.mark.parametrize(
    ("jumps", "lag"),
    [
        ([3899, 4201], None),
        ([3900], -100),
        ([4200], 200),
        ([4000], 0),
        ([3910, 4080, 4150], 80),
        ([3950, 4080], -50),
        ([], None),
    ],
)
def test_the_nearest_jump_within_the_window_belongs_to_a_transition(jumps, lag):
    given = [AccuracyJump(step, 0.5, 0.8) for step in jumps]
    (order,) = order_events([slingshot(4000)], {}, given, (-100, 200))
    assert order.lags.get("validation jump") == lag


@pytest.mark.parametrize(("pause", "found"), [(49, True), (50, False)])
def test_precision_is_lost_up_to_the_transition(pause, found):
    """Of the last 100 rows, more than half are 1 if fewer than 50 are 0."""
    (order,) = order_events([slingshot(4000)], {"softmax_collapse": (STEP, since((2000, 4000 - pause)))})
    assert ("softmax_collapse" in order.lags) is found


@pytest.mark.parametrize("share", [0.0, float("nan"), 1.0])
def test_what_never_changes_has_no_place(share):
    signals = {"softmax_collapse": (STEP, np.full(len(STEP), share))}
    (order,) = order_events([slingshot(4000)], signals)
    assert order.lags == {}


def test_nothing_recorded_and_nothing_found():
    assert order_events([], {}) == []
    assert order_events([slingshot(5)], {})[0].lags == {}
    assert order_events([slingshot(5)], {"softmax_collapse": ([], [])})[0].lags == {}


def test_it_is_part_of_the_analysis_and_its_json():
    _, norm, loss = staircase(5000, stride=1)
    run = {
        "last_layer_norm": Signal(STEP, norm),
        "batch_loss": Signal(STEP, loss),
        "softmax_collapse": Signal(STEP, since((3000, 5000))),
    }
    found = analyze(run)
    assert [order.transition for order in found.order] == [s.transition for s in found.slingshots] == [5000]
    assert found.order[0].lags["softmax_collapse"] == -1950
    assert found.to_dict()["order"][0]["lags"]["softmax_collapse"] == -1950
