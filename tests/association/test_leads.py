"""What moves before spikes: planted movements with known leads, and signals that know nothing of the spikes."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binom

from slingshot_analysis import Signal
from slingshot_analysis.association import signals_before
from slingshot_analysis.association._windows import Random
from slingshot_analysis.association.leads import _p_value
from slingshot_analysis.errors import InputError
from slingshot_analysis.signal import Axis

ROWS = 6000
STEP = np.arange(ROWS)
SPIKES = [1500, 2600, 3900, 5100]


def noise(seed, level=1.0, size=0.05):
    return np.random.default_rng(seed).normal(level, size, ROWS)


def lead_up(spikes, lead, step=STEP):
    """Tell for each step whether it lies within the lead before some spike."""
    return np.any([(step >= spike - lead) & (step < spike) for spike in spikes], axis=0)


def found(signals, spikes=SPIKES, **options):
    return {one.name: one for one in signals_before(spikes, signals, **options)}


def test_update_and_first_moment_double_before_the_loss_moves_and_the_second_moment_is_flat():
    signals = {
        "update_norm": (STEP, noise(1) * (1 + lead_up(SPIKES, 20))),
        "first_moment": (STEP, noise(2) * (1 + lead_up(SPIKES, 12))),
        "second_moment": (STEP, noise(3)),
    }
    results = signals_before(SPIKES, signals)
    assert [one.name for one in results] == ["update_norm", "first_moment", "second_moment"]
    update, first, second = results
    for one, lead in ((update, 20), (first, 12)):
        assert one.finding == "moves"
        assert one.direction == "up"
        assert (one.lead, one.moved, one.events) == (lead, 4, 4)
        assert lead - 1 <= one.lead_range[0] <= one.lead_range[1] <= lead + 1
        # The largest of some noisy rows lies above the level that they share.
        assert 2.0 < one.ratio < 2.3
        assert 15 < one.deviations < 30
        assert [movement.event for movement in one.movements] == SPIKES
    assert second.finding == "flat"
    assert second.p_value == 1.0
    assert second.moved == 0
    assert second.lead is None
    assert second.direction is None
    assert second.visible_ratio == pytest.approx(1.2, abs=0.02)


@pytest.mark.parametrize(("change", "direction"), [(-0.5, "down"), (0.5, "up")])
def test_the_direction_is_that_of_the_movement(change, direction):
    one = found({"norm": (STEP, noise(1) + change * lead_up(SPIKES, 8))})["norm"]
    assert (one.finding, one.direction, one.lead) == ("moves", direction, 8)
    assert all(np.sign(movement.deviations) == np.sign(change) for movement in one.movements)
    assert one.ratio == pytest.approx(1 + change, abs=0.15)


def test_what_moves_with_a_spike_does_not_move_before_it():
    after = np.any([(spike <= STEP) & (spike + 40 > STEP) for spike in SPIKES], axis=0)
    one = found({"gradient_norm": (STEP, noise(1) + 30 * after)})["gradient_norm"]
    assert one.finding == "flat"
    assert one.moved == 0


def test_a_late_start_makes_nothing_early_if_the_loss_is_given():
    after = np.any([(spike <= STEP) & (spike + 40 > STEP) for spike in SPIKES], axis=0)
    signals = {"gradient_norm": (STEP, noise(1) + 30 * after), "update_norm": (STEP, noise(2) + lead_up(SPIKES, 12))}
    late = np.array(SPIKES) + 3
    without = found(signals, late)
    assert (without["gradient_norm"].finding, without["gradient_norm"].lead) == ("moves", 3)
    for starts in (late, SPIKES):
        results = found(signals, starts, loss=(STEP, noise(3, 2.0) + 5 * after))
        assert results["gradient_norm"].finding == "flat"
        assert (results["update_norm"].finding, results["update_norm"].lead) == ("moves", 12)
        assert [movement.event for movement in results["update_norm"].movements] == SPIKES


def test_a_slow_signal_has_a_longer_window_and_its_lead_is_right_within_its_cadence():
    slow = STEP[::25]
    value = noise(1)[::25] + lead_up(SPIKES, 60, slow)
    one = found({"fast": (STEP, noise(2)), "evaluated": (slow, value)})["evaluated"]
    assert one.window == 125
    assert one.finding == "moves"
    assert one.moved == 4
    assert all(60 - 25 <= movement.lead <= 60 + 25 for movement in one.movements)


def test_missing_rows_and_nan_and_rows_in_any_order_change_no_lead():
    random = np.random.default_rng(5)
    value = noise(1) + lead_up(SPIKES, 15)
    value[random.random(ROWS) < 0.3] = np.nan
    kept = random.permutation(np.flatnonzero(random.random(ROWS) < 0.8))
    one = found({"norm": (STEP[kept], value[kept])})["norm"]
    assert one.finding == "moves"
    assert one.lead == pytest.approx(15, abs=3)


def test_a_gap_before_a_spike_leaves_it_out():
    kept = ~lead_up(SPIKES[:1], 100)
    one = found({"norm": (STEP[kept], (noise(1) + lead_up(SPIKES, 10))[kept])})["norm"]
    assert one.events == 3
    assert [movement.event for movement in one.movements] == SPIKES[1:]


def test_the_window_is_halved_for_a_signal_that_is_dense_only_around_spikes():
    dense = np.abs(STEP[:, None] - SPIKES).min(axis=1) < 130
    kept = dense | (STEP % 50 == 0)
    one = found({"norm": (STEP[kept], (noise(1) + lead_up(SPIKES, 5))[kept]), "loss": (STEP, noise(2))})["norm"]
    assert one.window < 64
    assert (one.events, one.lead) == (4, 5)
    assert one.smallest_p <= 0.05


def test_bursts_of_spikes_do_not_shorten_the_window():
    bursts = np.add.outer([1000, 2000, 3000, 4000, 5000], [0, 7, 15]).ravel()
    regular = np.arange(500, 5900, 100)
    signals = {"norm": (STEP, noise(1))}
    assert found(signals, bursts)["norm"].window == 64
    assert found(signals, regular)["norm"].window == 20


def test_a_spike_in_the_aftermath_of_another_is_left_out():
    one = found({"norm": (STEP, noise(1))}, [1500, 1600, 4000], before=64)["norm"]
    assert [movement.event for movement in one.movements] == [1500, 4000]


def test_a_constant_is_flat_and_a_change_of_a_constant_is_the_largest_movement():
    rate = np.where(lead_up(SPIKES, 5), 2e-3, 1e-3)
    results = found({"constant": (STEP, np.full(ROWS, 3.0)), "zero": (STEP, np.zeros(ROWS)), "rate": (STEP, rate)})
    assert results["constant"].finding == results["zero"].finding == "flat"
    assert results["constant"].visible_ratio == pytest.approx(1.0, abs=1e-5)
    rate = results["rate"]
    assert (rate.finding, rate.lead, rate.ratio, rate.deviations) == ("moves", 5, 2.0, 1000.0)


def test_the_last_digit_logged_is_no_movement():
    rounded = np.where(np.random.default_rng(0).random(ROWS) < 0.02, 0.0124, 0.0123)
    one = found({"norm": (STEP, rounded)})["norm"]
    assert one.random_moved == 0
    assert one.finding == "flat"


def test_an_infinite_value_is_a_movement_without_a_ratio():
    value = noise(1)
    value[np.array(SPIKES) - 3] = np.inf
    one = found({"gradient_norm": (STEP, value)})["gradient_norm"]
    assert (one.finding, one.lead, one.ratio, one.deviations) == ("moves", 3, None, 1000.0)


def test_noise_around_zero_is_not_called_flat():
    assert found({"cosine": (STEP, noise(1, level=0.0))})["cosine"].finding == "undecided"


def test_the_range_is_as_wide_as_the_autocorrelation_demands():
    random = np.random.default_rng(3)
    walk = np.cumsum(random.normal(0, 1, ROWS))
    ramp = 0.01 * STEP + random.normal(0, 1e-3, ROWS)
    results = found({"white": (STEP, noise(1)), "walk": (STEP, walk), "ramp": (STEP, ramp)})
    white, slow, steady = (
        np.array([movement.noise for movement in results[name].movements]) for name in ("white", "walk", "ramp")
    )
    np.testing.assert_allclose(white, 0.05, rtol=0.25)
    # In 64 rows a walk gets about eight steps' sizes away, and the ramp is 65 rows from one stretch to the next.
    assert (slow > 3).all()
    assert (slow < 30).all()
    np.testing.assert_allclose(steady, 0.01 * 65 / 0.6745, rtol=0.02)
    assert results["ramp"].random_moved == results["ramp"].moved == 0


def test_a_signal_that_spikes_everywhere_is_not_special():
    random = np.random.default_rng(2)
    value = noise(1)
    value[random.random(ROWS) < 0.1] += 2.0
    one = found({"loss_scale": (STEP, value)})["loss_scale"]
    assert one.moved == 4
    assert one.random_moved == one.random_times
    assert one.finding == "undecided"
    assert one.p_value > 0.5


def test_one_spike_has_a_p_value_limited_by_the_number_of_random_times():
    one = found({"norm": (STEP, noise(1) + lead_up([3000], 10))}, [3000])["norm"]
    assert (one.moved, one.random_moved, one.lead) == (1, 0, 10)
    assert one.p_value == one.smallest_p == 1 / (one.random_times + 1)
    # 94 windows of 64 rows, less 5 without rows before them and 4 close to the spike, within a rounding of cells.
    assert 82 <= one.random_times <= 87


def test_with_many_signals_a_single_spike_decides_nothing():
    signals = {str(seed): (STEP, np.random.default_rng(seed).standard_t(2, ROWS)) for seed in range(20)}
    one = found(signals | {"norm": (STEP, noise(1) + lead_up([3000], 10))}, [3000])["norm"]
    assert one.p_value == one.smallest_p
    assert one.p_adjusted > 0.05
    assert one.finding == "undecided"


def test_the_smallest_p_of_two_spikes_is_that_of_all_pairs():
    signals = {"norm": (STEP[:600], (noise(1) + lead_up([250, 450], 5))[:600])}
    one = found(signals, [250, 450])["norm"]
    n = one.events + one.random_times
    assert one.smallest_p == pytest.approx(2 / (n * (n - 1)))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_p_value_is_that_of_all_choices(k):
    size = np.random.default_rng(4).exponential(3.0, 22)
    size[:k] = np.sort(size)[-2 * k :: 2]
    n = len(size)
    score = np.where(size >= 4, -np.log(np.sum(size[:, None] <= size, axis=1) / n), 0.0)
    totals = np.array([sum(score[list(chosen)]) for chosen in combinations(range(n), k)])
    exact = np.mean(totals >= score[:k].sum() - 1e-9)
    assert _p_value(size, k, Random(0)) == pytest.approx(exact, abs=4 * np.sqrt(exact / 4999) if k > 1 else 1e-12)


def test_choices_are_even_and_without_repetition():
    chosen = Random(1).choices(9, 4)
    assert all(len(set(column)) == 4 for column in chosen.T.tolist())
    counts = np.bincount(chosen.ravel(), minlength=9) / chosen.shape[1]
    np.testing.assert_allclose(counts, 4 / 9, atol=0.03)


def test_p_values_are_corrected_for_the_number_of_signals_that_move_anywhere():
    kinds = {str(seed): (STEP, np.random.default_rng(seed).standard_t(2, ROWS)) for seed in range(6)}
    results = found(kinds | {"constant": (STEP, np.ones(ROWS)), "norm": (STEP, noise(9) + lead_up(SPIKES, 10))})
    assert results["constant"].p_adjusted == 1.0
    tested = sorted(one.p_value for name, one in results.items() if name != "constant")
    for one in results.values():
        if one.name != "constant":
            bounds = [(len(tested) - rank) * p for rank, p in enumerate(tested) if p <= one.p_value]
            assert one.p_adjusted == pytest.approx(min(1.0, max(bounds[: tested.index(one.p_value) + 1])))


def test_random_times_lie_in_the_run_and_far_from_spikes():
    starts = np.array([3000.0, 7000.0])
    times = Random(0).times(0.0, 100_000.0, starts, 10.0)
    assert len(times) == 500
    assert len(np.unique(times)) == 500
    assert all(((times <= start - 10) | (times >= start + 30)).all() for start in starts)
    # The nearest are kept: a cell holds one, and 250 on either side of two spikes need 125 cells.
    assert np.abs(times[:, None] - starts).min(axis=1).max() < 1400


def unrelated(random):
    """Return signals of eight kinds that know nothing of any spike."""
    shock = random.normal(0, 0.3, ROWS)
    slow = np.convolve(shock, 0.95 ** np.arange(150))[:ROWS]
    bursts = np.convolve(random.exponential(3.0, ROWS) * (random.random(ROWS) < 0.003), 0.8 ** np.arange(40))[:ROWS]
    return {
        "white": random.normal(1, 0.1, ROWS),
        "slow": slow,
        "walk": np.cumsum(shock),
        "schedule": np.round(1e-3 * np.cos(np.linspace(0, np.pi / 2, ROWS)), 6),
        "drops": 0.1 ** np.searchsorted(np.sort(random.integers(0, ROWS, 3)), STEP),
        "heavy": random.standard_t(2, ROWS),
        "bursts": bursts + random.normal(1, 0.1, ROWS),
        "periodic": np.sin(STEP * 2 * np.pi / random.uniform(5, 500)) + random.normal(0, 0.2, ROWS),
    }


@pytest.mark.parametrize("spikes", [2, 8])
def test_false_alarms_are_as_rare_as_stated(spikes):
    alarms, runs = 0, 80
    for seed in range(runs):
        random = np.random.default_rng([spikes, seed])
        starts = random.choice(ROWS, spikes, replace=False)
        signals = {name: (STEP, value) for name, value in unrelated(random).items()}
        alarms += any(one.finding == "moves" for one in signals_before(starts, signals, seed=seed))
    assert alarms <= binom.ppf(0.999, runs, 0.05)


def test_events_may_be_objects_and_signals_have_axes():
    rows = np.stack([noise(1), noise(2) + lead_up(SPIKES, 9)], axis=1)
    signal = Signal(STEP, rows, "layer_norm", axes=[Axis("layer", ["first", "last"])])
    results = found({"layer_norm": signal}, [SimpleNamespace(start=spike) for spike in SPIKES])
    assert set(results) == {"layer_norm[first]", "layer_norm[last]"}
    assert results["layer_norm[last]"].lead == 9
    assert results["layer_norm[first]"].finding == "flat"


def test_the_result_is_the_same_again_and_does_not_depend_on_other_signals():
    signals = {"heavy": (STEP, np.random.default_rng(0).standard_t(2, ROWS)), "norm": (STEP, noise(1))}
    alone = found({"heavy": signals["heavy"]})["heavy"]
    together = found(dict(reversed(signals.items())))["heavy"]
    assert alone.p_value == together.p_value
    assert alone.movements == together.movements


@pytest.mark.parametrize("rows", [0, 1, 12])
def test_too_few_rows_are_not_measured(rows):
    one = found({"norm": (STEP[:rows], noise(1)[:rows])}, [8])["norm"]
    assert one.finding == "not measured"
    assert one.p_value is one.p_adjusted is one.smallest_p is None


def test_without_spikes_or_signals_there_is_nothing_to_find():
    assert signals_before(SPIKES, {}) == []
    assert found({"norm": (STEP, noise(1))}, [])["norm"].finding == "not measured"


@pytest.mark.parametrize(
    ("events", "signals", "before", "message"),
    [
        ([1500], {}, 0, "before: got 0"),
        ([1500], {}, float("nan"), "before: got nan"),
        ([float("nan")], {}, None, "events"),
        (["late"], {}, None, "events"),
        ([1500], {"norm": ([1, 2], [1.0])}, None, "norm"),
        ([1500], {"norm": ([1, 2], ["a", "b"])}, None, "norm"),
    ],
    ids=["zero", "nan", "event", "text", "lengths", "letters"],
)
def test_what_cannot_be_read_is_named(events, signals, before, message):
    with pytest.raises(InputError, match=message):
        signals_before(events, signals, before=before)
