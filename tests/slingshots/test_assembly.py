"""The verdict of a run, and which runs are unstable, from events written out by hand."""

import numpy as np
import pytest
from made_runs import staircase

from slingshot_analysis.canonical import Samples
from slingshot_analysis.events import Slingshot
from slingshot_analysis.slingshots._cycles import Events
from slingshot_analysis.slingshots._inputs import Norm, RunSignals
from slingshot_analysis.slingshots.anchors import Anchor
from slingshot_analysis.slingshots.assembly import _is_unstable, _verdict, assemble, find_anchors

STEP = np.arange(0.0, 100_000, 100)


def event(tier="full", confidence=0.9):
    return Slingshot(0, 100, (99, 100), None, 1.0, 2.0, tier, "staircase", (), confidence)


def a_run(late=1e-5, norm=True, loss=True, first=1.0):
    """A loss that is `first` for the first tenth of the run, and then rests at `late`."""
    losses = {"train_loss": Samples(STEP, np.where(STEP < 10_000, first, late))} if loss else {}
    weights = Norm(STEP, STEP, 0.0, [], []) if norm else None
    return RunSignals(weights, losses, {}, (), 5000, 10_000, (0, 99_900))


def spikes(count, ratio):
    """Spikes whose distances are long and short in turn, by this ratio."""
    gaps = np.where(np.arange(count - 1) % 2, 1000 * ratio, 1000)
    return [
        Anchor(start, start + 50, 3.0, False, (), start - 100)
        for start in np.concatenate([[12_000], 12_000 + np.cumsum(gaps)]).tolist()
    ]


def unstable(late, count, ratio, full=0, others=0, without=0, first=1.0):
    found = Events([event()] * full + [event("loss_only")] * others, [event("loss_only")] * without)
    return _is_unstable(a_run(late, first=first), spikes(count, ratio), found)


@pytest.mark.parametrize(
    ("count", "ratio", "expected"), [(8, 1.25, True), (7, 1.25, False), (8, 1.2, False), (8, 1 / 1.25, True)]
)
def test_a_loss_that_is_never_low_is_unstable_with_eight_slightly_irregular_spikes(count, ratio, expected):
    assert unstable(6e-4, count, ratio) is expected


@pytest.mark.parametrize(
    ("late", "count", "ratio", "expected"),
    [(4e-4, 20, 1.45, True), (4e-4, 19, 1.45, False), (4e-4, 20, 1.4, False), (6e-4, 19, 1.4, True)],
)
def test_a_loss_that_gets_low_is_unstable_with_twenty_irregular_spikes(late, count, ratio, expected):
    """A low loss is below 0.0005 of the first one."""
    assert unstable(late, count, ratio) is expected
    assert unstable(10 * late, count, ratio, first=10.0) is expected


@pytest.mark.parametrize(("count", "full", "expected"), [(20, 3, True), (20, 4, False), (25, 4, True), (25, 5, False)])
def test_four_full_slingshots_and_a_fifth_of_the_spikes_make_no_unstable_run(count, full, expected):
    assert unstable(1e-5, count, 1.5, full=full) is expected


@pytest.mark.parametrize(
    ("full", "others", "without", "expected"), [(0, 1, 1, True), (0, 0, 1, False), (1, 0, 2, True), (1, 0, 1, False)]
)
def test_few_irregular_spikes_are_unstable_if_most_have_no_growth(full, others, without, expected):
    assert unstable(1e-5, 10, 1.5, full, others, without) is expected


def test_misclassification_alone_makes_no_unstable_run():
    anchors = [Anchor(a.start, a.end, 0.0, True, (), a.before) for a in spikes(30, 1.5)]
    assert _is_unstable(a_run(), spikes(30, 1.5), Events([], []))
    assert not _is_unstable(a_run(), anchors, Events([], []))
    assert not _is_unstable(a_run(loss=False), spikes(30, 1.5), Events([], []))


@pytest.mark.parametrize(
    ("events", "without", "verdict"),
    [
        ([event()], [], "slingshots"),
        ([event("loss_only")], [event()], "slingshots"),
        ([event("norm_only")], [], "undecided"),
        ([event("norm_only")], [event("loss_only")], "spikes"),
        ([event(confidence=0.49)], [event("loss_only", 0.5)], "spikes"),
        ([event(confidence=0.49)], [event("loss_only", 0.49)], "none"),
        ([], [], "none"),
    ],
)
def test_the_verdict_of_a_run_that_rests_between_its_events(events, without, verdict):
    assert _verdict(a_run(), events, without, diverged=False, unstable=False) == verdict


def test_a_divergence_comes_before_instability_and_both_before_slingshots():
    assert _verdict(a_run(), [event()], [], diverged=True, unstable=True) == "diverged"
    assert _verdict(a_run(), [event()], [], diverged=False, unstable=True) == "unstable"


@pytest.mark.parametrize(
    ("norm", "loss", "verdict"), [(False, False, "undecided"), (True, False, "none"), (False, True, "none")]
)
def test_without_norm_and_loss_nothing_is_decided(norm, loss, verdict):
    assert _verdict(a_run(norm=norm, loss=loss), [], [], diverged=False, unstable=False) == verdict


@pytest.mark.parametrize(("high", "found"), [(0.99e-4, []), (1.01e-4, [30_000])])
def test_a_loss_rises_tenfold_at_an_anchor(high, found):
    loss = np.full(1000, 1e-5)
    loss[300] = high
    run = RunSignals(None, {"train_loss": Samples(STEP, loss)}, {}, (), 5000, 10_000, (0, 99_900))
    assert [anchor.start for anchor in find_anchors(run)] == found


def test_anchors_begin_when_the_run_has_settled():
    loss = np.full(1000, 1e-5)
    loss[[90, 100, 300]] = 1.0
    errors = Samples(STEP, np.where(np.isin(STEP, [0, 3000, 60_000]), 2.0, 0.0))

    def starts(terminal, settled):
        run = RunSignals(
            None, {"train_loss": Samples(STEP, loss)}, {"train_errors": errors}, (), terminal, settled, (0, 99_900)
        )
        return [anchor.start for anchor in find_anchors(run)]

    assert starts(5000, 10_000) == [10_000, 30_000, 60_000]
    assert starts(None, 10_001) == [30_000]
    assert starts(5000, None) == []


@pytest.mark.parametrize(("distance", "count"), [(100, 0), (101, 1)])
def test_a_label_strikes_out_a_break_up_to_a_hundredth_of_the_run_away(distance, count):
    step, norm, _ = staircase(steps=10_010)
    step += 10_000
    (event,) = assemble(step, norm).slingshots
    assert len(assemble(step, norm, removed=[event.transition + distance]).slingshots) == count
