"""Cycles around spikes and breaks, from signals written out by hand."""

import numpy as np
import pytest

from slingshot_analysis.canonical import Samples
from slingshot_analysis.detectors.breaks import NormBreak
from slingshot_analysis.events import Phase
from slingshot_analysis.slingshots import Options, _cycles
from slingshot_analysis.slingshots._cycles import assemble_cycles, judge
from slingshot_analysis.slingshots._inputs import Norm, RunSignals
from slingshot_analysis.slingshots._loss_rises import Clearness
from slingshot_analysis.slingshots._norm_evidence import NormEvidence
from slingshot_analysis.slingshots.anchors import Anchor

STEP = np.arange(0.0, 10_001, 10)
CLEAR, DOUBTFUL = Clearness(8.0, 1.0), Clearness(1.0, -1.0)


def spike(start, end=None, decades=5.0, by_hand=False, clearness=CLEAR, misclassified=False):
    end = start + 100 if end is None else end
    return Anchor(start, end, decades, misclassified, (), start - 10, clearness=clearness, by_hand=by_hand)


def a_break(growth_start, transition, contrast=3.0, gain=0.5):
    return NormBreak(growth_start, transition, 10_000, contrast, gain, (transition - 20, transition + 30))


def a_run(breaks=(), phases=(), loss_stride=None, settled=1000.0, norm=True, terminal=800.0, **options):
    losses = (
        {} if loss_stride is None else {"train_loss": Samples(STEP[:: loss_stride // 10], STEP[:: loss_stride // 10])}
    )
    weights = Norm(STEP, STEP / 10_000, 0.0, list(breaks), list(phases)) if norm else None
    return RunSignals(weights, losses, {}, (), terminal, settled, (0.0, 10_000.0), options=Options(**options))


@pytest.fixture
def evidence(monkeypatch):
    """Let the norm show one kind of evidence after the other, and return what it was asked for."""

    def show(*kinds, contrast=1.0):
        asked, left = [], list(kinds)

        def norm_evidence(norm, anchor, previous_end, following, terminal, *, breaks):
            asked.append((previous_end, following, terminal, breaks))
            return NormEvidence(left.pop(0), contrast)

        monkeypatch.setattr(_cycles, "norm_evidence", norm_evidence)
        return asked

    return show


def test_a_cycle_lies_between_the_spikes_around_it(evidence):
    asked = evidence("growth", "growth", "growth")
    judge(a_run(), [spike(2000), spike(4000, 6500), spike(8000)])
    assert asked == [(1000, 4000, 1000, False), (2100, 8000, 1000, False), (5000, 10_000, 1000, False)]


def test_where_nothing_tells_when_the_run_is_fitted_a_cycle_may_begin_with_the_run(evidence):
    asked = evidence("growth")
    judge(a_run(settled=None), [spike(2000, by_hand=True)])
    assert asked == [(0, 10_000, 0, False)]


@pytest.mark.parametrize(
    ("decades", "by_hand", "bounds"),
    [(5.0, False, (1000, 8000)), (6.0, False, (4100, 8000)), (5.0, True, (4100, 8000))],
)
def test_a_doubtful_spike_bounds_no_cycle_unless_a_label_says_that_it_is_one(evidence, decades, by_hand, bounds):
    """By the loss alone the spike of five decades has a confidence of 0.32, and that of six 0.84."""
    asked = evidence(*["growth"] * 3)
    doubtful = spike(4000, decades=decades, by_hand=by_hand, clearness=Clearness(1.0, 0.0))
    judge(a_run(), [doubtful, spike(6000), spike(8000)])
    assert asked[1][:2] == bounds


@pytest.mark.parametrize(("at", "near"), [(3949, False), (3950, True), (4150, True), (4151, False)])
def test_a_break_belongs_to_a_spike_up_to_half_a_percent_of_the_run_away(evidence, at, near):
    asked = evidence("growth")
    judge(a_run([a_break(3000, at)]), [spike(4000)])
    assert asked[0][3] is near


@pytest.mark.parametrize(("at", "near"), [(3969, False), (3970, True)])
def test_in_a_long_log_a_break_belongs_to_a_spike_up_to_three_rows_away(evidence, at, near):
    asked = evidence("growth")
    judge(a_run([a_break(3000, at)], transition_share=0.0001), [spike(4000)])
    assert asked[0][3] is near


@pytest.mark.parametrize(
    ("kinds", "without"),
    [
        (("none", "growth"), (True, False)),
        (("unknown", "late"), (False, False)),
        (("usual", "usual"), (True, True)),
        (("usual", "growth"), (False, False)),
        (("after", "growth"), (False, False)),
    ],
)
def test_which_spikes_are_without_growth(evidence, kinds, without):
    """A usual change of the norm is growth at a high spike of a run in which another one grows as no other part."""
    evidence(*kinds)
    assert tuple(each.without_growth for each in judge(a_run(), [spike(2000), spike(4000)])) == without


@pytest.mark.parametrize(("decades", "without"), [(1.9, True), (2.0, False)])
def test_a_high_spike_has_two_decades(evidence, decades, without):
    evidence("usual", "growth")
    assert judge(a_run(), [spike(2000, decades=decades), spike(4000)])[0].without_growth is without


def test_a_labelled_slingshot_needs_no_growth(evidence):
    evidence("none")
    (event,) = assemble_cycles(a_run(), [spike(2000, by_hand=True, decades=0.0)], np.inf).slingshots
    assert (event.transition, event.confidence) == (2000, 1.0)


def test_growth_raises_the_confidence(evidence):
    evidence("growth", "late", "after")
    grown, late, after = judge(a_run(), [spike(2000), spike(4000), spike(6000)])
    assert grown.evidence.confidence == late.evidence.confidence > after.evidence.confidence
    assert [each.full for each in (grown, late, after)] == [True, False, False]


def test_the_last_growth_phase_of_a_cycle_starts_it(evidence):
    evidence("growth", "growth")
    phases = [
        Phase("growth", 500, 1500, 1e-3),
        Phase("growth", 2500, 2600, 1e-3),
        Phase("plateau", 2600, 3000, 0.0),
        Phase("growth", 3000, 3500, 1e-3),
        Phase("growth", 4200, 4500, 1e-3),
    ]
    first, second = assemble_cycles(a_run(phases=phases), [spike(2000), spike(4000)], np.inf).slingshots
    assert (first.growth_start, second.growth_start) == (None, 3000)
    assert (first.plateau_end, second.plateau_end) == (3000, None)


@pytest.mark.parametrize(("start", "found"), [(2049, None), (2050, 2050), (3990, 3990), (4000, None)])
def test_growth_starts_between_the_spikes_or_shortly_before_the_first_is_over(evidence, start, found):
    evidence("growth", "growth")
    anchors = [spike(2000), spike(4000)]
    events = assemble_cycles(a_run(phases=[Phase("growth", start, start + 500, 1e-3)]), anchors, np.inf).slingshots
    assert events[1].growth_start == found


def test_growth_that_ends_before_the_cycle_does_not_start_it(evidence):
    evidence("growth", "growth")
    phases = [Phase("growth", 2060, 2100, 1e-3)]
    assert assemble_cycles(a_run(phases=phases), [spike(2000), spike(4000)], np.inf).slingshots[1].growth_start is None


def test_an_event_has_the_norm_at_its_start_and_after_its_transition(evidence):
    evidence("growth", "unknown")
    phases = [Phase("growth", 1500, 2000, 1e-3)]
    grown, alone = assemble_cycles(a_run(phases=phases), [spike(2000), spike(4000)], np.inf).slingshots
    assert np.log([grown.norm_before, grown.norm_after]) == pytest.approx([0.15, 0.205])
    assert np.log([alone.norm_before, alone.norm_after]) == pytest.approx([0.395, 0.405])
    assert (grown.tier, grown.interval, alone.tier, alone.shape) == ("full", (1990, 2000), "loss_only", None)
    assert grown.evidence == ("the norm grows until then",)


def test_events_without_a_norm_are_spikes_alone():
    (event,) = assemble_cycles(a_run(norm=False), [spike(2000)], np.inf).slingshots
    assert (event.tier, event.norm_before, event.growth_start) == ("loss_only", None, None)


@pytest.mark.parametrize(
    ("changed", "end", "found"),
    [
        ({}, np.inf, [4000]),
        ({"loss_stride": 20}, np.inf, [4000]),
        ({"loss_stride": 10}, np.inf, []),
        ({"terminal": 4000.0}, np.inf, [4000]),
        ({"terminal": 4010.0}, np.inf, []),
        ({"terminal": None}, np.inf, [4000]),
        ({}, 4000, []),
        ({}, 4010, [4000]),
        ({"settled": None}, np.inf, [4000]),
        ({"settled": None, "loss_stride": 20}, np.inf, []),
    ],
    ids=[
        "norm alone",
        "a sparser loss could hide the spike",
        "a loss as dense would show the spike",
        "from the terminal phase on",
        "before it",
        "no terminal phase known",
        "diverged",
        "before the divergence",
        "nothing tells when it is fitted",
        "a loss shows that it is never fitted",
    ],
)
def test_which_breaks_without_a_spike_are_slingshots(changed, end, found):
    events = assemble_cycles(a_run([a_break(3000, 4000)], **changed), [], end).slingshots
    assert [event.transition for event in events] == found


def test_a_break_alone_is_an_event_of_the_norm():
    (event,) = assemble_cycles(a_run([a_break(3000, 4000)]), [], np.inf).slingshots
    assert (event.growth_start, event.interval, event.tier, event.plateau_end) == (
        3000,
        (3980, 4030),
        "norm_only",
        None,
    )
    assert np.log([event.norm_before, event.norm_after]) == pytest.approx([0.3, 0.405])
    assert event.shape == "staircase"


def test_a_break_at_a_spike_is_no_event_of_its_own(evidence):
    evidence("growth")
    events = assemble_cycles(a_run([a_break(3000, 4000), a_break(7000, 8000)]), [spike(4000)], np.inf).slingshots
    assert [(event.transition, event.tier) for event in events] == [(4000, "full"), (8000, "norm_only")]
    assert [event.plateau_end for event in events] == [7000, None]


def test_a_plateau_does_not_end_before_its_transition(evidence):
    evidence("growth", "growth")
    phases = [Phase("growth", 1950, 4000, 1e-3)]
    events = assemble_cycles(a_run(phases=phases), [spike(2000, 1990), spike(4000)], np.inf).slingshots
    assert [(event.growth_start, event.plateau_end) for event in events] == [(1950, 2000), (1950, None)]


@pytest.mark.parametrize(("decades", "listed"), [(4.3, False), (4.5, True)])
def test_events_below_a_confidence_of_a_tenth_are_left_out(decades, listed):
    """Without clearness their confidence is 0.08 and 0.13."""
    anchors = [spike(2000, decades=decades, clearness=Clearness(1.0, 0.0))]
    assert bool(assemble_cycles(a_run(norm=False), anchors, np.inf).slingshots) is listed


def test_events_of_little_confidence_are_left_out(evidence):
    evidence("growth", "none")
    doubtful = [spike(start, decades=1.0, clearness=DOUBTFUL) for start in (2000, 4000)]
    assert assemble_cycles(a_run(min_confidence=0.99), doubtful, np.inf) == ([], [])
    evidence("growth", "none")
    assert [len(events) for events in assemble_cycles(a_run(min_confidence=0.0), doubtful, np.inf)] == [1, 1]
