"""Loss spikes at any level, what is none, and the score of runs, against logs whose spikes are known."""

import math
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from slingshot_analysis import (
    InputError,
    Signal,
    detect_gradient_spikes,
    detect_loss_spikes,
    open_trace,
    series_spike_score,
    spike_score,
)
from slingshot_analysis.detectors import detect_lasting_rise, detect_not_finite, detect_two_levels
from slingshot_analysis.events import NotFinite
from slingshot_analysis.synthetic import pretraining_log

ROWS = 3000
ROW = np.arange(ROWS)


def noise(deviation, rows=ROWS, seed=0):
    return np.random.default_rng(seed).normal(0, deviation, rows)


def starts(loss):
    return [spike.start for spike in detect_loss_spikes(np.arange(len(loss)), loss)]


def decaying(at, height, rows):
    return np.where(at <= ROW, height * np.exp(-np.maximum(ROW - at, 0) / rows), 0.0)


@pytest.mark.parametrize("level", [0.5, 2.0, 11.0])
@pytest.mark.parametrize("deviation", [1e-6, 0.02])
def test_height_above_the_level_and_steps_until_the_loss_is_back(level, deviation):
    (spike,) = detect_loss_spikes(10 * ROW, level + noise(deviation) + decaying(2000, 1.5, 30))
    assert (spike.start, spike.peak, spike.outcome) == (20_000, 20_000, "recovered")
    assert spike.height == pytest.approx(1.5, abs=0.1)
    assert spike.ratio == pytest.approx(1 + 1.5 / level, rel=0.1)
    assert spike.recovery_steps == spike.end - spike.start
    assert 550 <= spike.recovery_steps <= 750  # a tenth is left after 30 ln 10 rows
    assert abs(spike.residual) < 0.15


def test_deviations_are_those_of_the_noise_where_the_spike_stands():
    deviation = np.where(ROW < 1500, 0.1, 0.01)
    (spike,) = detect_loss_spikes(ROW, 3 + deviation * noise(1.0) + decaying(2200, 0.5, 20))
    assert spike.deviations == pytest.approx(50, rel=0.3)


def test_one_row_at_a_ratio_of_1_2():
    loss = 2.05 + noise(0.05, 60)
    loss[33] = 2.6
    assert starts(loss) in ([32], [33])


def test_spikes_over_a_level_that_rises_meanwhile():
    loss = 2 + 0.4 * ROW / ROWS + noise(0.02) + sum(decaying(at, 0.8, 20) for at in (500, 1200, 2000, 2600))
    spikes = detect_loss_spikes(ROW, loss)
    assert [spike.start for spike in spikes] == [500, 1200, 2000, 2600]
    assert {spike.outcome for spike in spikes} == {"recovered"}


def test_what_becomes_of_a_rise():
    lingering = 2.5 - 0.3 * ROW / ROWS + noise(0.02) + decaying(1500, 0.8, 600) + 0.3 * (ROW >= 1500)
    diverged = 3 + noise(0.03) + 4.5 * (ROW >= 1500)
    lost = np.where(ROW >= 2010, np.nan, 3 + noise(0.03) + 0.4 * np.maximum(ROW - 1999, 0))
    for loss, start, outcome in (
        (lingering, 1500, "lingering"),
        (diverged, 1500, "diverged"),
        (lost, 2000, "not finite"),
    ):
        (spike,) = detect_loss_spikes(ROW, loss)
        assert abs(spike.start - start) <= 1
        assert (spike.outcome, spike.recovery_steps, spike.end) == (outcome, None, ROWS - 1)


def test_a_recovery_that_takes_longer_than_others_lingers():
    loss = 2 + noise(0.02) + sum(decaying(at, 0.8, 5) for at in (300, 600, 900)) + decaying(1200, 0.8, 300)
    assert [spike.outcome for spike in detect_loss_spikes(ROW, loss)] == ["recovered"] * 3 + ["lingering"]


def test_nan_to_the_end_without_a_rise():
    (spike,) = detect_loss_spikes(ROW, np.where(ROW < 2000, 2 + noise(0.02), np.nan))
    assert (spike.start, spike.end, spike.height, spike.outcome) == (2000, ROWS - 1, math.inf, "not finite")


def grown(at, height, rows):
    """Return what a model that grows adds to the loss: all at once, and then it falls lower than before."""
    since = np.maximum(ROW - at, 0)
    return np.where(at <= ROW, height * np.exp(-since / rows) - 0.2 * -np.expm1(-since / rows), 0.0)


def running_mean(rows, deviation):
    """Return the mean of the losses since the last epoch began."""
    batch = (1 + np.exp(-ROW / 1000) + noise(deviation)).reshape(-1, rows)
    return (np.cumsum(batch, axis=1) / np.arange(1, rows + 1)).ravel()


def correlated(deviation, correlation):
    """Return noise each of whose values keeps a share of the one before."""
    innovation = math.sqrt(1 - correlation**2)
    values = accumulate(noise(deviation, seed=4) * innovation, lambda last, new: correlation * last + new)
    return np.array(list(values))


NONE = {
    "a model that grows": 3 + 5 * np.exp(-ROW / 150) + grown(1200, 1.0, 200) + noise(0.02),
    "a model that grows twice": 3 + 3 * np.exp(-ROW / 150) + grown(900, 0.9, 220) + grown(2000, 0.6, 180) + noise(0.02),
    "a model that grows three times, the last time briefly": 3
    + 3 * np.exp(-ROW / 150)
    + grown(800, 0.9, 220)
    + grown(1600, 0.7, 180)
    + grown(2300, 0.5, 100)
    + noise(0.02),
    "running means of 100 batches": running_mean(100, 0.4),
    "running means of 60 batches": np.round(running_mean(60, 0.2), 4),
    "running means of noisy batches": running_mean(100, 0.8)[:800],
    "a scale that drifts": np.exp(correlated(0.35, 0.9)) * (1 + ROW / 800),
    "two levels that change often": 0.1
    + 0.4 * (np.cumsum(np.random.default_rng(2).random(ROWS) < 0.05) % 2)
    + noise(0.02),
    "batch of one": 1.5 * np.random.default_rng(1).exponential(1, ROWS),
    "skewed": np.random.default_rng(1).lognormal(0, 0.8, ROWS),
    "guess": np.round(np.log(2) + noise(0.004), 4),
    "steps down": 3 - 0.5 * (ROW > 1000) - 0.4 * (ROW > 2000) + noise(0.02),
    "epochs": 2 - 0.3 * (ROW // 600) + 0.1 * (ROW % 600) / 600 + noise(0.02),
    "drift": 2 + 0.5 * ROW / ROWS + noise(0.02),
    "hump": 2 + np.exp(-(((ROW - 1500) / 200) ** 2)) + noise(1e-5),
    "dips": np.where((ROW % 700 > 300) & (ROW % 700 < 330), 1.5, 2.0) + noise(0.02),
    "restart": 2
    + 3 * np.exp(-ROW / 200)
    + 0.02 * (ROW > 1500) * np.exp(-np.maximum(ROW - 1500, 0) / 300)
    + noise(1e-6),
    "restarts of a schedule": 1.5 + 0.8 * np.exp(-ROW / 800) + 0.25 * np.cos(np.pi * (ROW % 500) / 500) + noise(0.01),
    "noise that sets in": 2 + noise(1.0) * np.where(ROW // 300 % 3 == 2, 0.1, 0.02),
}


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_spike(name):
    assert starts(NONE[name]) == []


def test_slightly_skewed_noise_hardly_ever_shows_a_spike():
    logs = [np.random.default_rng(seed).lognormal(0, 0.45, 800) for seed in range(20)]
    assert sum(bool(starts(loss)) for loss in logs) <= 1
    logs[0][400] = 100.0
    assert starts(logs[0]) == [400]


def test_a_spike_within_an_epoch_of_running_means_is_found():
    loss = running_mean(100, 0.1)
    loss[1550:1600] += 8 / np.arange(51, 101)
    assert starts(loss) == [1550]


def test_a_spike_on_a_course_that_rises_on():
    loss = 2 + 2.0 * np.exp(-(((np.arange(150) - 110) / 25) ** 2))
    loss[60:] += 0.8 * np.exp(-np.arange(90) / 3)
    (spike,) = detect_loss_spikes(np.arange(150), loss)
    assert (spike.start, spike.peak, spike.outcome) == (60, 60, "recovered")
    assert spike.height == pytest.approx(0.8, abs=0.1)


def test_two_levels_are_a_remark_and_no_spikes():
    loss = 0.1 + 0.4 * (ROW // 70 % 3 == 1) + noise(0.02)
    assert starts(loss) == []
    assert detect_two_levels(ROW, loss) == pytest.approx((0.1, 0.5), abs=0.08)
    assert detect_two_levels(ROW, 2 + noise(0.02) + sum(decaying(at, 1, 20) for at in (500, 1000, 1500))) is None


def test_gradient_norms():
    norm = np.exp(noise(0.3))
    norm[[700, 1900]] = 18.0
    assert [spike.start for spike in detect_gradient_spikes(ROW, norm)] == [700, 1900]
    with pytest.raises(InputError, match="min_ratio"):
        detect_gradient_spikes(ROW, norm, min_ratio=0.5)


def test_where_a_signal_is_not_finite():
    value = [1.0, np.nan, 1.0, np.inf, np.nan]
    assert detect_not_finite([0, 5, 10, 15, 20], value, name="loss") == [
        NotFinite("loss", 5, 10, 1),
        NotFinite("loss", 15, None, 2),
    ]


def test_a_rise_for_good_that_is_gradual():
    loss = 3 + 7 * np.exp(-ROW / 200) + 4.5 / (1 + np.exp(-(ROW - 1500) / 60)) + noise(0.03)
    assert starts(loss) == []
    assert detect_lasting_rise(ROW, loss) == pytest.approx(1500, abs=100)
    assert [detect_lasting_rise(ROW, NONE[name]) for name in ("drift", "hump", "epochs")] == [None] * 3


def monitor(losses, norms, window, deviations):
    """Count as the monitor does, one row after the other."""
    histories, count = ([], []), 0
    for row in zip(losses, norms, strict=True):
        leaps = []
        for value, history in zip(row, histories, strict=True):
            if len(history) >= window:
                recent = history[-window:]
                mean = math.fsum(recent) / window
                spread = math.sqrt(math.fsum((x - mean) ** 2 for x in recent) / window)
                leaps.append(spread >= 1e-10 and value > mean + deviations * spread)
            history.append(value)
        count += any(leaps)
    return count / len(losses)


@pytest.mark.parametrize(("window", "deviations"), [(128, 6.0), (1000, 7.0), (10, 2.0)])
def test_the_score_is_that_of_the_monitor(window, deviations):
    random = np.random.default_rng(3)
    loss = 3 + 0.05 * random.standard_t(3, ROWS) + 3 * np.exp(-ROW / 300)
    norm = random.lognormal(0, 0.4, ROWS)
    loss[[1200, 1201, 2500]] += 2
    norm[[1200, 2700]] += 50
    given = {"window": window, "deviations": deviations}
    score = spike_score(ROW, loss, gradient_norm=Signal(ROW, norm), **given)
    assert score == monitor(loss.tolist(), norm.tolist(), window, deviations)
    assert score > 0
    assert spike_score(ROW[: window - 1], loss[: window - 1], **given) is None


@pytest.mark.parametrize(("window", "deviations"), [(1000, 7.0), (10, 2.0)])
def test_the_score_of_a_series_counts_both_ways(window, deviations):
    norm = np.random.default_rng(4).lognormal(0, 0.1, len(ROW))
    norm[[1200, 2500]] = 5.0, -5.0
    before = [norm[row - window : row] for row in range(window, len(norm))]
    far = [abs(x - part.mean()) >= deviations * part.std() for x, part in zip(norm[window:], before, strict=True)]
    assert series_spike_score(ROW, norm, window=window, deviations=deviations) == sum(far) / len(norm)
    assert far[1200 - window]
    assert far[2500 - window]
    assert series_spike_score(ROW[: window - 1], norm[: window - 1], window=window) is None


def test_nan_leaves_the_score_blind_for_a_window():
    loss = 2 + noise(0.02)
    loss[[1000, 1100, 1300]] = np.nan, 5, 5
    assert spike_score(ROW, loss) == 1 / ROWS


@pytest.mark.parametrize("first", [60_000, 60_030, 60_060])
def test_pretraining_logs(first):
    found = true = hits = 0
    for log in map(pretraining_log, range(first, first + 30)):
        step, value = log.signals["train_loss"].step, log.signals["train_loss"].value
        at = np.array([spike.start for spike in detect_loss_spikes(step, value)])
        hits += sum(bool((np.abs(at - spike.start) <= 5 * step[1]).any()) for spike in log.spikes)
        found, true = found + len(at), true + len(log.spikes)
    assert hits >= 0.92 * max(true, found)


@pytest.mark.parametrize("height", [0.4, 0.7])
def test_a_lasting_rise_within_the_noise_of_single_rows_is_a_spike(height):
    loss = 2.5 + noise(0.1) + height * (ROW >= 1500)
    (found,) = detect_loss_spikes(ROW, loss)
    assert found.start == pytest.approx(1500, abs=8)
    assert height - 0.1 < found.height < height + 0.4
    assert found.outcome in ("lingering", "diverged")


def test_a_rise_over_many_decades_is_a_spike_however_its_logarithm_climbs():
    example = Path(__file__).parents[2] / "examples" / "data" / "hypercube.h5"
    loss = open_trace(example)["batch_loss_float64"]
    found = np.array([spike.start for spike in detect_loss_spikes(loss.step, loss.value)])
    for transition in (606, 1141, 1763, 2624, 22_863):
        assert np.abs(found - transition).min() <= 10
