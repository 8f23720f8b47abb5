"""The composite detector against synthetic truth, and against runs that only look like slingshots."""

import tracemalloc
from typing import get_args

import numpy as np
import pytest
from made_runs import staircase

from slingshot_analysis import Options, Signal, segment_norm
from slingshot_analysis.errors import InputError
from slingshot_analysis.evaluation import match_events
from slingshot_analysis.slingshots import assemble, detect_slingshots
from slingshot_analysis.synthetic import NegativeKind, Style, negative_run, slingshot_run

STEPS = 100_000
STYLES = get_args(Style)
SMOOTH = ("log_growth", "linear_growth", "weight_decay", "saturation", "constant", "slow_hump")


def parts(run):
    """Return step, norm and loss of a synthetic run as arrays."""
    norm, loss = run.signals["last_layer_norm"], run.signals["batch_loss"]
    return norm.step, norm.value, loss.value


def hits(found, true, margin):
    return len(match_events(found, true, margin))


def test_the_smooth_kinds_exist():
    assert set(SMOOTH) <= set(get_args(NegativeKind))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("every", [1, 20])
def test_finds_all_cycles_with_norm_and_loss(style, every):
    both, onsets, found, true = 0, 0, 0, 0
    for seed in range(3):
        run = slingshot_run(seed, style=style, rows=STEPS // every)
        step, norm, loss = parts(run)
        events = [e for e in detect_slingshots(step, norm, train_loss=loss) if e.confidence >= 0.5]
        both += hits([e.transition for e in events], run.transitions, max(10, 2 * every))
        onsets += hits([e.growth_start for e in events if e.growth_start is not None], run.onsets, STEPS / 100)
        found += len(events)
        true += len(run.transitions)
    assert both == found == true
    assert onsets >= 0.85 * true


@pytest.mark.parametrize("style", STYLES)
def test_finds_cycles_from_the_norm_alone(style):
    runs = [slingshot_run(seed, style=style, rows=STEPS // 20) for seed in range(4)]
    found = [[e.transition for e in detect_slingshots(*parts(run)[:2])] for run in runs]
    right = sum(hits(steps, run.transitions, STEPS / 100) for steps, run in zip(found, runs, strict=True))
    assert right >= 0.95 * sum(len(run.transitions) for run in runs)
    assert right >= 0.9 * sum(len(steps) for steps in found)


def test_finds_cycles_from_the_loss_alone():
    run = slingshot_run(0, rows=STEPS)
    step, _, loss = parts(run)
    result = assemble(step, train_loss=loss)
    assert [e.tier for e in result.slingshots] == ["loss_only"] * len(run.transitions)
    assert hits([e.transition for e in result.slingshots], run.transitions, 10) == len(run.transitions)
    assert result.verdict == "slingshots"


@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("with_loss", [False, True])
def test_smooth_norms_are_no_slingshots(kind, with_loss):
    for seed in range(3):
        step, norm, _ = parts(negative_run(seed, kind, rows=STEPS // 20))
        result = assemble(step, norm, train_loss=np.exp(-step / 300) if with_loss else None)
        assert result.slingshots == ()
        assert result.verdict == "none"


def test_growth_to_plateau_without_a_spike_is_no_slingshot():
    step, norm, _ = parts(slingshot_run(1, rows=STEPS // 20))
    assert detect_slingshots(step, norm)
    assert assemble(step, norm, train_loss=np.exp(-step / 300) + 1e-8).verdict == "none"


def test_spikes_at_a_norm_that_grows_as_usual_are_no_slingshots():
    step, _, loss = parts(slingshot_run(2, rows=STEPS // 20))
    smooth = parts(negative_run(0, "linear_growth", rows=STEPS // 20))[1]
    result = assemble(step, smooth, train_loss=loss)
    assert result.slingshots == ()
    assert result.spikes_without_norm_growth
    assert result.verdict == "spikes"


def test_noise_at_the_floor_of_float32_is_no_slingshot():
    step = np.arange(20_000)
    noise = 1e-8 * np.random.default_rng(0).lognormal(0, 1.5, len(step))
    assert assemble(step, train_loss=np.exp(-step / 300) + noise).verdict == "none"


def test_loss_that_never_comes_back_is_a_divergence():
    step, norm, loss = parts(slingshot_run(3, rows=STEPS))
    result = assemble(step, norm, train_loss=np.where(step >= 90_000, 4.7, loss))
    assert result.verdict == "diverged"
    assert result.diverged_at == 90_000
    assert all(e.transition < 90_000 for e in result.slingshots)


def test_spikes_without_quiet_are_unstable():
    step = np.arange(0, 40_000, 20)
    loss = np.exp(-step / 300) + np.where(np.arange(len(step)) % 5 == 0, 1e-2, 1e-5)
    assert assemble(step, train_loss=loss).verdict == "unstable"


def test_accuracy_alone_is_undecided():
    result = assemble(train_accuracy=(np.arange(100), np.minimum(np.arange(100) / 50, 1)))
    assert result.verdict == "undecided"
    assert result.terminal_phase_start == 50
    assert ("norm", "not given") in result.skipped


@pytest.mark.parametrize(
    ("shape", "knots", "levels"),
    [
        ("staircase", [0, 500, 20_000, 23_000, 40_000], [0, 1, 1.02, 1.5, 1.52]),
        ("sawtooth", [0, 500, 20_000, 23_000, 30_000, 40_000], [0, 1, 1.02, 1.5, 1.1, 1.1]),
        ("inverse", [0, 500, 23_000, 23_200, 40_000], [0, 1, 1.1, 0.95, 0.96]),
    ],
)
def test_names_the_shape(shape, knots, levels):
    step = np.arange(0, 40_000, 10)
    norm = np.exp(np.interp(step, knots, levels))
    loss = np.exp(-step / 300) + np.where(step >= 23_000, np.exp(-(np.maximum(step, 23_000) - 23_000) / 100), 0)
    (event,) = detect_slingshots(step, norm, train_loss=loss)
    assert (event.transition, event.tier, event.shape) == (23_000, "full", shape)


@pytest.mark.parametrize(
    ("growth", "tier"),
    [
        (lambda step: np.interp(step, [29_700, 30_000], [0, 0.01]), "full"),
        (lambda step: -0.01 * np.expm1(-np.maximum(step - 30_000, 0) / 50), "loss_only"),
        (lambda step: 0.3 * (step >= 30_000), "loss_only"),
    ],
    ids=["one percent of growth before the spike", "growth from the spike on", "a jump of the weights from outside"],
)
def test_a_full_slingshot_grows_before_its_spike(growth, tier):
    step = np.arange(50_000)
    log_norm = 1 + 0.02 * np.log1p(step / 1000) + growth(step)
    errors = np.where((step < 300) | ((step >= 30_003) & (step < 30_050)), 4, 0)
    loss = np.exp(-step / 200) + np.where(step >= 30_000, np.exp(-(np.maximum(step, 30_000) - 30_000) / 50), 0)
    (event,) = detect_slingshots(step, np.exp(log_norm), batch_loss=loss, batch_errors=errors)
    assert (event.transition, event.tier) == (30_000, tier)
    assert event.confidence > 0.9


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_unit_of_the_norm_cancels(unit):
    step, norm, loss = parts(slingshot_run(4, rows=STEPS // 20))
    a, b = (detect_slingshots(step, values, train_loss=loss) for values in (norm, norm * unit))
    assert [(e.growth_start, e.transition, e.tier, e.shape) for e in a] == [
        (e.growth_start, e.transition, e.tier, e.shape) for e in b
    ]


def test_unit_of_the_step_cancels():
    step, norm, loss = parts(slingshot_run(4, rows=STEPS // 20))
    a, b = (detect_slingshots(steps, norm, train_loss=loss) for steps in (step, step * 1000))
    assert [(e.growth_start, e.transition) for e in b] == [
        (None if e.growth_start is None else e.growth_start * 1000, e.transition * 1000) for e in a
    ]


@pytest.mark.parametrize("shift", [0, 1_000_000])
def test_steps_may_begin_anywhere(shift):
    step, norm, loss = staircase(2000)
    loss[step >= 5000] += 1e-2 * np.exp((5000 - step[step >= 5000]) / 100)
    errors = np.where((step < 400) | (step == 2000) | (step == 5000), 5, 0)
    found = assemble(step + shift, norm, train_loss=loss, train_errors=errors)
    assert [event.transition - shift for event in found.slingshots] == [2000]
    assert [event.transition - shift for event in found.spikes_without_norm_growth] == [5000]


def test_irregular_steps_change_little():
    run = slingshot_run(5, rows=STEPS)
    rows = np.sort(np.random.default_rng(0).choice(STEPS, 10_000, replace=False))
    step, norm, loss = (values[rows] for values in parts(run))
    found = detect_slingshots(step, norm, train_loss=loss)
    assert hits([e.transition for e in found], run.transitions, 100) == len(run.transitions) == len(found)


def test_order_and_form_of_the_input_do_not_matter():
    step, norm, loss = parts(slingshot_run(6, rows=STEPS // 20))
    plain = detect_slingshots(step, norm, train_loss=loss)
    order = np.random.default_rng(0).permutation(len(step))
    assert detect_slingshots(step[order], norm[order], train_loss=loss[order]) == plain
    assert detect_slingshots(None, Signal(step, norm), train_loss=(step, loss)) == plain


def test_array_without_steps_is_an_error():
    with pytest.raises(InputError, match="needs `step`"):
        assemble(norm=[1.0, 2.0])


def test_memory_stays_below_three_times_the_arrays():
    step, norm, loss = parts(slingshot_run(0, rows=STEPS))
    errors = (loss > 0.3).astype(int)
    tracemalloc.start()
    detect_slingshots(step, norm, batch_loss=loss, batch_errors=errors)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * sum(values.nbytes for values in (step, norm, loss, errors))


def test_growth_that_slows_down_before_the_spike_is_found():
    step = np.arange(40_000)
    knots = [0, 400, 18_000, 19_000, 19_600, 19_620, 40_000]
    norm = np.exp(np.interp(step, knots, [0, 1, 1.05, 1.3, 1.31, 1.33, 1.331]))
    loss = np.exp(-step / 300) + 1e-9
    loss[19_600:] += np.exp(-(step[19_600:] - 19_600) / 100)
    (found,) = detect_slingshots(step, norm, train_loss=loss)
    assert found.transition == 19_600
    assert abs(found.growth_start - 18_000) <= 100


def test_every_choice_can_be_set_and_is_checked():
    step = np.arange(0, 20_000, 10)
    norm = np.exp(np.interp(step, [0, 500, 9000, 10_000, 20_000], [0, 1, 1.1, 1.6, 1.65]))
    loss = np.exp(-step / 500) + np.where(step >= 10_000, 1e-4 * np.exp((10_000 - step) / 300), 0)
    assert len(detect_slingshots(step, norm, train_loss=loss)) == 1
    assert detect_slingshots(step, norm, train_loss=loss, options=Options(min_spike_ratio=1e9)) == []
    assert detect_slingshots(step, norm, options=Options(min_swing=100)) == []
    assert len(segment_norm(step, norm, options=Options(penalty=1e9))) == 1
    assert Options().changed(["transition_share=0.01", "bins=100"]) == Options(transition_share=0.01, bins=100)
    for wrong in (["bin=3"], ["bins=many"], ["transition_share=3"], ["penalty=nan"]):
        with pytest.raises(InputError):
            Options().changed(wrong)


def cycles(period=630, steps=20_000):
    """Full-batch losses and errors of a run with a spike in each period, and the same measured every 500 updates."""
    step = np.arange(steps)
    phase = np.where(step < period, 1, step % period)
    tail = 1e-2 * np.exp(-phase / 42)  # seen every 500 updates, it seems to rise for a while and to fall suddenly
    loss = np.where(step < period, 3 * np.exp(-step / 30), 2 * np.exp(-phase / 6) + tail) + 1e-8
    errors = np.where((step < 100) | ((phase < 10) & (step >= period)), 5, 0)
    norm = np.exp(0.1 * (step // period) + np.interp(step % period, [0, period - 60, period], [0, 0.01, 0.1]))
    rare = step % 500 == 0
    return step, norm, loss, errors, (step[rare], loss[rare]), (step[rare], errors[rare])


def test_a_loss_that_is_rarely_measured_adds_no_spikes_and_hides_none():
    step, norm, loss, errors, train_loss, train_errors = cycles()
    found = detect_slingshots(
        step, norm, batch_loss=loss, batch_errors=errors, train_loss=train_loss, train_errors=train_errors
    )
    assert [event.transition for event in found] == list(range(630, 20_000, 630))


def test_the_terminal_phase_begins_when_batches_are_right_even_if_evaluations_fall_on_spikes():
    step, norm, loss, errors, train_loss, (asked, _) = cycles()
    on_spikes = asked, np.where(asked % 1500 == 0, 3, 0)
    run = assemble(step, norm, batch_loss=loss, batch_errors=errors, train_loss=train_loss, train_errors=on_spikes)
    assert run.terminal_phase_start == 100
    contradicted = asked, np.full(len(asked), 3)
    run = assemble(step, norm, batch_loss=loss, batch_errors=errors, train_loss=train_loss, train_errors=contradicted)
    assert run.terminal_phase_start is None
