"""The association of gain with transitions against enumeration, curves made by hand, and simulation."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from slingshot_analysis import Phase, Slingshot, gain_association
from slingshot_analysis.association import gain_by_phase, pool_gain_associations
from slingshot_analysis.association.gain import _random_sign_tail
from slingshot_analysis.errors import InputError

STEP = np.arange(0, 20_001, 100)
TRANSITIONS = np.arange(1030, 20_000, 2000)
SPAN = (0, 20_000)


def slingshot(at):
    return Slingshot(None, at, (at - 1, at), None, None, None, "loss_only", None, (), 1.0)


def stairs(at, height=0.05, step=STEP):
    return 0.1 + (np.broadcast_to(height, np.shape(at)) * (step[:, None] >= at)).sum(axis=1)


@pytest.mark.parametrize("seed", range(8))
def test_tail_agrees_with_all_signs(seed):
    random = np.random.default_rng(seed)
    contrasts = random.integers(-40, 41, 9) / 64
    bound = contrasts.sum() - (0 if seed % 2 else 33 / 64)  # between two possible sums
    sums = [np.dot(signs, abs(contrasts)) for signs in product([-1, 1], repeat=9)]
    expected = np.mean(np.array(sums) >= bound - 1e-12)
    assert _random_sign_tail(contrasts, bound) == pytest.approx(expected, abs=2e-3)


def test_the_tail_of_many_equal_contrasts_is_binomial():
    contrasts = np.where(np.arange(1000) < 540, 1e-3, -1e-3)
    assert _random_sign_tail(contrasts, np.inf) == pytest.approx(binom.sf(539, 1000, 0.5))


def test_gain_after_transitions():
    found = gain_association(STEP, stairs(TRANSITIONS + 270), TRANSITIONS, SPAN)
    assert found.gain == pytest.approx(0.5)
    assert (found.early_share, found.expected_share) == pytest.approx((1.0, 0.5))
    assert found.cycles == 10
    assert found.p_value == pytest.approx(2.0**-10)
    assert found.within == pytest.approx((0.05,) * 10)


def test_gain_before_transitions_and_before_the_first_of_them():
    late = gain_association(STEP, stairs(TRANSITIONS + 1500), TRANSITIONS, SPAN)
    # the last cycle ends with the run, 970 updates after its transition
    assert (late.early_share, late.expected_share) == pytest.approx((0.0, 0.5))
    assert late.p_value == 1.0
    first = gain_association(STEP, stairs([500, 1300]), TRANSITIONS, SPAN)
    assert (first.early_share, first.expected_share) == pytest.approx((0.5, 0.25))


def test_one_large_gain_is_no_evidence():
    assert gain_association(STEP, stairs([5300], 0.8), TRANSITIONS, SPAN).p_value == 0.5
    one_of_many = stairs(np.append(TRANSITIONS + 1500, 5300), np.append(np.full(10, 0.001), 0.8))
    assert gain_association(STEP, one_of_many, TRANSITIONS, SPAN).p_value > 0.4


def test_a_dip_that_recovers_is_no_gain():
    dips = 0.3 * (((STEP - 1030) % 2000) < 400) * (STEP > 1030)
    found = gain_association(STEP, 0.5 - dips, TRANSITIONS, SPAN)
    assert (found.gain, found.early_share, found.p_value, found.cycles) == (0.0, None, None, 10)
    steady = gain_association(STEP, 0.4 + STEP / 50_000 - dips, TRANSITIONS, SPAN)
    assert steady.early_share == pytest.approx(steady.expected_share, abs=1e-9)
    assert steady.p_value == 1.0


def test_gain_is_that_of_the_span():
    accuracy = np.where(STEP < 800, 0.9, stairs([5300, 19_700], 0.2))
    found = gain_association(STEP, accuracy, TRANSITIONS[:9], (1000, 19_500))
    assert (found.gain, found.early_share) == (pytest.approx(0.2), pytest.approx(1.0))


@pytest.mark.parametrize(
    ("transitions", "accuracy"),
    [([], stairs([5300])), ([5000], np.full(len(STEP), 0.5)), ([19_990], stairs([19_950])), (STEP + 50, stairs([500]))],
    ids=["no transition", "no gain", "gain before the cycle", "no evaluation within a cycle"],
)
def test_nothing_can_be_said(transitions, accuracy):
    found = gain_association(STEP, accuracy, [at for at in transitions if at <= 20_000], SPAN)
    assert (found.p_value, found.within, found.across) == (None, (), 0.0)


def contrasts_by_loop(steps, accuracy, transitions):
    """Shares and contrasts from the gain of each update; steps are multiples of 4, so that halves are whole updates."""
    rate, best = np.zeros(steps[-1]), accuracy[0]
    for start, end, value in zip(steps[:-1], steps[1:], accuracy[1:], strict=True):
        rate[start:end] = max(value - best, 0.0) / (end - start)
        best = max(best, value)
    starts = sorted({max([step for step in steps if step < at], default=steps[0]) for at in transitions})
    within, across, length, reached, early = [], 0.0, 0, 0, 0.0
    previous = starts[0] - steps[0]
    for start, end in zip(starts, [*starts[1:], steps[-1]], strict=True):
        half = (end - start) // 2
        first, second = rate[start : start + half].sum(), rate[start + half : end].sum()
        within.append(first - second)
        early += first
        reach = min(half, previous)
        across += rate[start : start + reach].sum() - rate[start - reach : start].sum()
        length, reached, previous = length + half, reached + reach, half
    return early / rate.sum(), within, across * length / reached if reached else 0.0


@given(
    st.lists(st.integers(1, 60), min_size=3, max_size=20, unique=True),
    st.lists(st.integers(0, 240), min_size=1, max_size=8),
    st.integers(0, 1000),
)
@settings(max_examples=200, deadline=None)
def test_contrasts_agree_with_a_loop_over_updates(quarters, transitions, seed):
    steps = [0, *(4 * quarter for quarter in sorted(quarters))]
    transitions = [at for at in transitions if at <= steps[-1]]
    accuracy = np.random.default_rng(seed).uniform(0, 1, len(steps)).tolist()
    found = gain_association(steps, accuracy, transitions, (0, steps[-1]))
    if found.p_value is not None:
        early_share, within, across = contrasts_by_loop(steps, accuracy, transitions)
        assert found.early_share == pytest.approx(early_share)
        assert found.within == pytest.approx(within)
        assert found.across == pytest.approx(across)


def test_a_transition_after_the_last_evaluation_begins_no_cycle_that_could_be_seen():
    found = gain_association(STEP, stairs([500]), [20_500], (0, 21_000))
    assert (found.gain, found.early_share, found.p_value) == (pytest.approx(0.05), 0.0, None)


@given(st.integers(-(10**6), 10**6), st.sampled_from([0.5, 4.0, 1024.0]), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_origin_and_unit_of_the_step_cancel(origin, unit, seed):
    accuracy = stairs(np.random.default_rng(seed).integers(0, 20_000, 15))
    one = gain_association(STEP, accuracy, TRANSITIONS, SPAN)
    other = gain_association(
        STEP * unit + origin, accuracy, TRANSITIONS * unit + origin, (origin, SPAN[1] * unit + origin)
    )
    assert one.p_value == pytest.approx(other.p_value)
    assert one.early_share == pytest.approx(other.early_share)


def test_transitions_are_steps_or_slingshots_in_any_order():
    accuracy = stairs(TRANSITIONS + 270)
    events = [slingshot(at) for at in TRANSITIONS[::-1].tolist()]
    assert gain_association(STEP, accuracy, events, SPAN) == gain_association(STEP, accuracy, TRANSITIONS, SPAN)


def test_pool_joins_the_cycles_of_all_runs():
    run = gain_association(STEP, stairs(TRANSITIONS[:3] + 270), TRANSITIONS[:4], SPAN)
    silent = gain_association(STEP, np.full(len(STEP), 0.5), TRANSITIONS, SPAN)
    other = gain_association(STEP, stairs([500], 0.3), TRANSITIONS, SPAN)
    assert run.p_value == pytest.approx(2.0**-3)
    pooled = pool_gain_associations([run, run, silent, other])
    assert pooled.p_value == pytest.approx(2.0**-6)
    assert (pooled.gain, pooled.cycles) == (pytest.approx(0.6), 28)
    assert (pooled.early_share, pooled.expected_share) == pytest.approx((0.5, 0.25))
    assert pool_gain_associations([silent]).p_value is None
    assert pool_gain_associations([run]) == replace(run, gain=pytest.approx(run.gain))
    with pytest.raises(InputError, match="got no association"):
        pool_gain_associations([])


@pytest.mark.parametrize(
    ("accuracy", "transitions", "span"),
    [
        ([0.1, 50.0], [1], (0, 10)),
        ([0.1], [1], (0, 10)),
        ([0.1, 0.2], [20], (0, 10)),
        ([0.1, 0.2], ["x"], (0, 10)),
        ([0.1, 0.2], [1], (5, 5)),
    ],
)
def test_clear_errors(accuracy, transitions, span):
    with pytest.raises(InputError):
        gain_association([0, 5], accuracy, transitions, span)


def gain_by_loop(steps, accuracy, phases, transitions):
    """Sum update by update; all steps are whole numbers."""
    found = {"growth": 0.0, "transition": 0.0, "plateau": 0.0, "other": 0.0}
    best = accuracy[0]
    for start, end, value in zip(steps[:-1], steps[1:], accuracy[1:], strict=True):
        gain, best = max(value - best, 0.0), max(best, value)
        for update in range(start, end):
            kinds = [phase.kind for phase in phases if phase.start <= update < phase.end] or ["other"]
            kind = "transition" if any(start < at <= end for at in transitions) else kinds[0]
            found[kind] += gain / (end - start)
    return found


@given(
    st.lists(st.integers(0, 200), min_size=2, max_size=15, unique=True),
    st.lists(st.integers(0, 200), max_size=6, unique=True),
    st.lists(st.integers(1, 199), max_size=4, unique=True),
    st.integers(0, 1000),
)
@settings(max_examples=100, deadline=None)
def test_gain_by_phase_agrees_with_a_loop(steps, bounds, transitions, seed):
    steps, bounds = sorted(steps), sorted(bounds)
    accuracy = np.random.default_rng(seed).uniform(0, 1, len(steps)).tolist()
    kinds = ["growth", "plateau"] * 3
    phases = [Phase(kind, start, end, 0.0) for kind, start, end in zip(kinds, bounds[:-1], bounds[1:], strict=False)][
        ::2
    ]
    found = gain_by_phase(steps, accuracy, phases, [slingshot(at) for at in transitions])
    assert found == pytest.approx(gain_by_loop(steps, accuracy, phases, transitions), abs=1e-9)


CURVES = {
    "accelerating": lambda random, share: np.expm1(random.uniform(1, 6) * share),
    "saturating": lambda random, share: 1 - np.exp(-random.uniform(1, 10) * share),
    "sigmoid": lambda random, share: 1 / (1 + np.exp((random.uniform(0.1, 0.9) - share) / random.uniform(0.02, 0.2))),
    "thinning": lambda random, share: stairs(np.exp(random.uniform(np.log(0.003), 0, 20)), 1, share),
    "clumped": lambda random, share: stairs(random.uniform(0, 1, 30), random.exponential(1, 30), share),
}


def simulated(random, curve, dips):
    """A run whose accuracy rises without regard to its transitions."""
    number = random.integers(5, 60)
    length = 1500 * (np.ones(number) if random.random() < 0.5 else random.uniform(0.4, 1.6, number))
    at = random.uniform(100, 2000) + np.concatenate([[0], np.cumsum(length[:-1])])
    step = np.arange(0, at[-1] + random.uniform(0.3, 1) * length[-1], random.choice([25, 100, 500]))
    gain = CURVES[curve](random, step / step[-1])
    accuracy = 0.25 + 0.5 * (gain - gain[0]) / (gain[-1] - gain[0] + 1e-12)
    if dips:
        since = step - np.append(-np.inf, at)[np.searchsorted(at, step, side="right")]
        accuracy = accuracy - 0.2 * np.exp(-since / random.uniform(50, 500))
    if random.random() < 0.5:
        accuracy = np.round(accuracy * 500) / 500
    return gain_association(step, accuracy, at[at <= step[-1]], (0, step[-1]))


@pytest.mark.parametrize("dips", [False, True])
@pytest.mark.parametrize("curve", CURVES)
def test_rejects_rarely_when_gain_is_unrelated(curve, dips):
    random = np.random.default_rng(0)
    tests = [simulated(random, curve, dips) for _ in range(300)]
    assert sum(test.p_value is not None and test.p_value <= 0.05 for test in tests) <= 0.06 * 300
    pools = [pool_gain_associations(tests[i : i + 3]) for i in range(0, 300, 3)]
    assert sum(test.p_value is not None and test.p_value <= 0.05 for test in pools) <= 0.08 * 100


def test_power_when_half_of_the_gain_follows_transitions():
    """The gain of a cycle is exponentially distributed; the other half of it is gained anywhere in the cycle."""
    random = np.random.default_rng(1)
    at = np.arange(700, 45_000, 1500.0)
    step = np.arange(0, 45_501, 100)
    rejected = 0
    for _ in range(200):
        size = random.exponential(1, len(at))
        places = np.append(at + random.uniform(50, 600, len(at)), at + random.uniform(0, 1500, len(at)))
        accuracy = 0.1 + 0.4 * (stairs(places, np.tile(size, 2), step) - 0.1) / size.sum()
        rejected += gain_association(step, accuracy, at, (0, 45_500)).p_value <= 0.05
    assert rejected >= 0.8 * 200
