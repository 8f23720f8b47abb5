"""How the signals of a run are read, when its training set counts as fitted, and the bounds of the options."""

import numpy as np
import pytest

from slingshot_analysis.canonical import Samples
from slingshot_analysis.errors import InputError
from slingshot_analysis.slingshots import Options
from slingshot_analysis.slingshots._inputs import _fit_by_batches, _fit_by_loss, _noise, read_run


def read(norm=None, **signals):
    errors = {name: signals.pop(name) for name in list(signals) if "loss" not in name}
    return read_run(None, norm, signals, errors)


def ramp(first, last, stride=10, value=1.0):
    step = np.arange(first, last + 1, stride)
    return step, np.full(len(step), value)


def test_a_run_spans_all_its_signals():
    run = read(ramp(20, 90), train_loss=ramp(30, 200), train_errors=ramp(10, 60))
    assert run.span == (10, 200)
    assert read(ramp(0, 90), train_loss=ramp(30, 70)).span == (0, 90)
    assert run.extent == pytest.approx(0.005 * 190)
    assert read().span == (0, 0)


def test_what_cannot_be_used_is_listed_with_the_reason():
    run = read(
        ([0, 1, 2, 3], [1.0, -1.0, 2.0, 0.0]),
        train_loss=([0, 1], [1.0, 0.5]),
        batch_loss=ramp(0, 50),
        train_errors=None,
    )
    assert run.norm is None
    assert dict(run.skipped) == {
        "train_errors": "not given",
        "norm": "fewer than three positive values",
        "train_loss": "fewer than three values",
        "spikes": "the training set is never fitted, so no spike can be a slingshot",
    }
    assert list(run.losses) == ["batch_loss"]
    assert len(run.raw_losses) == 2


def test_values_that_are_not_finite_are_counted_and_left_out():
    run = read(train_loss=([0, 10, 20, 30, 40], [1.0, 0.5, np.inf, np.nan, np.inf]))
    assert run.losses["train_loss"].step.tolist() == [0, 10]
    assert ("train_loss", "2 values are not finite, the first at step 20") in run.skipped


def errors_until(fitted, first=1000, last=9000):
    step = np.arange(first, last + 1, 100)
    return step, np.where(step < fitted, 3.0, 0.0)


def loss_until(fitted, first=1000, last=9000, low=1e-4):
    step = np.arange(first, last + 1, 100)
    return step, np.where(step < fitted, 1.0, low)


def test_spikes_count_after_one_and_a_half_times_the_time_of_fitting():
    run = read(train_errors=errors_until(3000))
    assert (run.terminal_phase_start, run.settled) == (3000, 1000 + 1.5 * 2000)


def test_errors_tell_the_terminal_phase_and_any_signal_when_spikes_count():
    run = read(train_loss=loss_until(2000), train_errors=errors_until(3000))
    assert (run.terminal_phase_start, run.settled) == (3000, 1000 + 1.5 * 1000)
    run = read(train_loss=loss_until(4000), batch_loss=loss_until(3500))
    assert (run.terminal_phase_start, run.settled) == (3500, 1000 + 1.5 * 2500)
    run = read(train_loss=loss_until(2000), train_errors=errors_until(9999))
    assert (run.terminal_phase_start, run.settled) == (None, 1000 + 1.5 * 1000)


def test_no_evaluation_contradicts_perfect_batches():
    step = np.arange(4000.0)
    batches = Samples(step, np.where(step < 1000, 2.0, 0.0))
    at = np.array([500.0, 1500.0, 2500.0, 3500.0])
    assert _fit_by_batches(batches, Samples(at, np.array([9.0, 0.0, 0.0, 0.0]))) == 1000
    assert _fit_by_batches(batches, Samples(at, np.array([9.0, 1.0, 0.0, 0.0]))) is None


@pytest.mark.parametrize(("low", "fitted"), [(0.0099, 2000), (0.0101, None)])
def test_a_fitted_loss_is_a_hundredth_of_the_first(low, fitted):
    assert read(train_loss=loss_until(2000, low=low)).terminal_phase_start == fitted


@pytest.mark.parametrize(
    ("high", "start"),
    [([], 20), ([23, 25, 27], 20), ([23, 25, 27, 29], 30), ([21], 22), ([22], 23), ([23], 20)],
    ids=["low", "three of ten high", "four of ten high", "the second high", "the third high", "the fourth high"],
)
def test_a_fitted_loss_is_low_in_three_rows_and_in_seven_of_ten(high, start):
    loss = np.full(60, 1e-4)
    loss[:20], loss[high] = 1.0, 1.0
    assert _fit_by_loss(Samples(np.arange(60.0), loss), 0.01) == start


def test_a_fitted_loss_has_no_high_row_in_a_bin():
    """8,000 rows are searched in bins of two."""
    loss = np.full(8000, 1e-4)
    loss[:6000:2] = 1.0
    assert _fit_by_loss(Samples(np.arange(8000.0), loss), 0.01) == 6000


def test_a_single_low_batch_at_the_start_sets_no_level():
    loss = np.full(60, 1e-3)
    loss[1:20] = 1.0
    loss[9] = 2.0
    assert _fit_by_loss(Samples(np.arange(60.0), loss), 0.01) == 20
    assert _fit_by_loss(Samples(np.arange(60.0), np.where(loss == 1e-3, 0.015, loss)), 0.01) == 20
    loss[9], loss[10] = 1.0, 2.0  # the eleventh row counts no more
    assert _fit_by_loss(Samples(np.arange(60.0), np.where(loss == 1e-3, 0.015, loss)), 0.01) is None


@pytest.mark.parametrize("rows", [4000, 40_000])
def test_the_noise_of_a_norm_is_told_from_its_course(rows):
    random = np.random.default_rng(0)
    course = np.linspace(0, 5, rows) ** 2
    assert _noise(course) < 1e-5
    assert _noise(course + random.normal(0, 0.1, rows)) == pytest.approx(0.1, rel=0.1)


def test_rounding_is_noise():
    rounded = np.round(np.linspace(0, 5, 4000), 1)
    assert _noise(rounded) == pytest.approx(0.1 / np.sqrt(12))
    assert _noise(np.array([0.0, 0.5, 1.0, 1.5, 2.0])) == pytest.approx(0)  # four distances for five rows are no unit


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("bins", 4, 3),
        ("penalty", 0.01, 0.009),
        ("min_spike_ratio", 1.01, 1.0),
        ("settled", 1.0, 0.99),
        ("transition_share", 0.5, 0.51),
        ("fitted_loss", 1.0, 1.01),
        ("min_confidence", 1.0, 1.01),
        ("min_swing", 0.0, -0.01),
        ("min_significance", 0.0, -0.01),
    ],
)
def test_options_have_bounds(name, allowed, refused):
    assert getattr(Options(**{name: allowed}), name) == allowed
    with pytest.raises(InputError, match=f"option {name}"):
        Options(**{name: refused})
