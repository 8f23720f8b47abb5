"""Losses that rise for good, and losses that never rest, at the bounds that the docstrings state."""

import numpy as np
import pytest

from slingshot_analysis.detectors import detect_divergence, detect_instability, detect_lasting_rise


def stairs(*parts):
    """Steps and values of a loss that has each value for a number of rows."""
    values = np.concatenate([np.full(rows, value, dtype=float) for value, rows in parts])
    return np.arange(len(values)), values


@pytest.mark.parametrize(
    ("first", "best", "high", "at"),
    [(10, 1, 3.1, 700), (10, 1, 2.9, None), (10, 0.1, 1.1, 700), (10, 0.1, 0.9, None)],
    ids=["above three times the best", "below it", "above a tenth of the first", "below it"],
)
def test_a_diverged_loss_is_far_above_its_best_and_not_far_below_its_first_value(first, best, high, at):
    assert detect_divergence(*stairs((first, 1), (best, 699), (high, 300))) == at


@pytest.mark.parametrize("detect", [detect_divergence, detect_lasting_rise])
@pytest.mark.parametrize(("rows", "high"), [(1000, 100), (8000, 420)])
def test_a_rise_for_good_has_lasted_for_five_bins_and_a_twentieth_of_the_run(detect, rows, high):
    """Of 1,000 rows five bins are a tenth; of 8,000 rows they are less than a twentieth."""
    assert detect(*stairs((9, 20), (1, rows - 20 - high), (8, high))) == rows - high
    assert detect(*stairs((9, 20), (1, rows - high), (8, high - 20))) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_to_the_end_has_diverged_there(value):
    assert detect_divergence(*stairs((2, 5), (value, 3), (2, 5), (value, 2))) == 13
    assert detect_divergence(*stairs((value, 4))) == 0
    assert detect_divergence(*stairs((2, 5), (value, 3), (2, 5))) is None


@pytest.mark.parametrize(
    ("first", "high", "at"),
    [(4, 2.65, 700), (4, 2.55, None), (1.2, 1.65, 700), (1.2, 1.55, None)],
    ids=["half of the fall undone", "less", "half above the lowest level", "less"],
)
def test_a_lasting_rise_undoes_half_of_the_fall_and_exceeds_the_lowest_level_by_half(first, high, at):
    assert detect_lasting_rise(*stairs((first, 20), (1, 680), (high, 300))) == at


@pytest.mark.parametrize("detect", [detect_divergence, detect_lasting_rise])
def test_a_scale_that_drifts_has_not_diverged(detect):
    step, flicker = np.arange(1000), np.exp(np.random.default_rng(0).normal(0, 0.3, 1000))
    level = np.linspace(1, 5, 1000)
    assert detect(step, level * flicker) is None
    assert detect(step, level * flicker**0.1) is not None, "noise below a tenth of the level"
    assert detect(step, level + flicker - 1) is not None, "noise that does not rise with the level"
    assert detect(step, np.where(step < 600, 1, 5) * flicker) is not None, "a step"
    assert detect(step, np.geomspace(1, 20, 1000) * flicker) is not None, "more than tenfold"
    assert detect(step, np.append(np.full(100, 4.0), np.geomspace(1, 9, 900)) * flicker) is not None, "fallen before"


def test_a_short_log_has_no_lasting_rise():
    assert detect_lasting_rise(*stairs((4, 2), (1, 18), (4, 19))) is None
    assert detect_lasting_rise(*stairs((4, 2), (1, 18), (4, 20))) == 20


def spikes(*gaps):
    """A loss at rest, with a spike after each number of rows."""
    loss = np.full(sum(gaps) + 2, 1e-5)
    loss[np.cumsum(gaps)] = 1e-2
    return np.arange(len(loss)), loss


@pytest.mark.parametrize(
    ("gaps", "unstable"),
    [([3] * 12, True), ([3] * 11, False), ([5] * 30, True), ([6] * 30, False)],
    ids=["twelve spikes", "eleven", "five rows between them", "six, which are quiet"],
)
def test_an_unstable_run_has_twelve_spikes_without_quiet_parts_of_six_bins(gaps, unstable):
    assert detect_instability(*spikes(*gaps)) is unstable


@pytest.mark.parametrize(("quiet", "unstable"), [(85, True), (95, False)])
def test_an_unstable_run_is_quiet_for_less_than_three_fifths(quiet, unstable):
    """Twenty spikes take 60 rows, of which 90 quiet ones are one and a half times as many."""
    assert detect_instability(*spikes(*[3] * 19, quiet)) is unstable


def test_spikes_before_the_terminal_phase_do_not_count():
    step, loss = spikes(*[3] * 23)
    assert detect_instability(step, loss)
    assert not detect_instability(step, loss, after=36)
