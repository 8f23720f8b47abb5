"""Synthetic runs do what their truth says."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slingshot_analysis.errors import InputError
from slingshot_analysis.events import Shape
from slingshot_analysis.synthetic import NEGATIVE_KINDS, Style, negative_run, slingshot_run

STYLES, SHAPES = get_args(Style), get_args(Shape)
every_course = pytest.mark.parametrize(("style", "shape"), [(style, shape) for style in STYLES for shape in SHAPES])


def values(run, name):
    signal = run.signals[name]
    return signal.step, signal.value


def same(one, other):
    return all(
        np.array_equal(one.signals[name].step, other.signals[name].step)
        and np.array_equal(one.signals[name].value, other.signals[name].value)
        for name in one.signals
    )


@every_course
@pytest.mark.parametrize("seed", range(5))
def test_the_norm_grows_from_onset_to_transition_and_the_shape_follows(style, shape, seed):
    run = slingshot_run(seed, rows=100_000, style=style, shape=shape, noise=0, quantize=False)
    norm = np.log(values(run, "last_layer_norm")[1])
    for onset, transition, end in zip(run.onsets, run.transitions, run.plateau_ends, strict=True):
        grown = norm[onset : transition + 1]
        assert np.all(np.diff(grown) > 0)
        gain = grown[-1] - grown[0]
        assert gain >= 0.0099
        rest = norm[transition : min(end, len(norm))]
        if shape == "staircase":
            assert np.all(rest > grown[0] + 0.8 * gain)
        elif shape == "inverse":
            assert rest[min(300, len(rest) - 1)] < grown[0] + 0.3 * gain
        else:
            assert rest.min() < grown[-1] - 0.3 * gain


@every_course
@pytest.mark.parametrize("underflow", [False, True])
def test_the_loss_spikes_at_transitions_and_nowhere_else(style, shape, underflow):
    run = slingshot_run(7, rows=100_000, style=style, shape=shape, underflow=underflow)
    loss = values(run, "batch_loss")[1]
    for at, before, end in zip(run.transitions, run.onsets, run.plateau_ends, strict=True):
        assert loss[at : at + 10].max() > 0.05
        assert loss[before:at].max() < 1e-3
        assert np.median(loss[end - (end - at) // 10 : end]) < 1e-5
    high = np.flatnonzero(loss[1500:] > 0.03) + 1500
    rises = high[np.flatnonzero(np.diff(high, prepend=0) > 200)]
    late = rises - run.transitions
    assert np.all((late >= 0) & (late < 20))
    assert underflow == bool((loss == 0).any())


@pytest.mark.parametrize("seed", range(8))
def test_truth_is_ordered_and_cycles_keep_their_bounds(seed):
    run = slingshot_run(seed, cycles=(800, 9000))
    marks = np.stack([run.onsets, run.transitions, run.plateau_ends], axis=1).ravel()
    assert np.all(np.diff(marks) >= 0)
    assert np.all(run.onsets < run.transitions)
    assert run.plateau_ends[-1] == 100_000
    lengths = np.diff(run.transitions)
    assert lengths.min() >= 799
    assert lengths.max() <= 9001


def test_validation_jumps_follow_their_share_of_transitions():
    runs = [slingshot_run(seed, rows=10_000, jump_share=0.7) for seed in range(30)]
    shares = [len(run.jumps) / len(run.transitions) for run in runs]
    assert 0.6 < np.mean(shares) < 0.8
    for run in runs:
        lag = run.jumps[:, None] - run.transitions[None, :]
        assert np.all(((lag >= 0) & (lag <= 300)).any(axis=1))
    assert len(slingshot_run(0, jump_share=0).jumps) == 0
    full = slingshot_run(0, jump_share=1)
    step, accuracy = values(full, "val_accuracy")
    after, before = np.interp(full.jumps + 600, step, accuracy), np.interp(full.jumps - 200, step, accuracy)
    assert np.all(after - before > 0.01)


@given(seed=st.integers(0, 10**9), style=st.sampled_from(STYLES), shape=st.sampled_from(SHAPES))
@settings(max_examples=15, deadline=None)
def test_truth_depends_on_the_seed_and_not_on_the_rows(seed, style, shape):
    fine = slingshot_run(seed, rows=20_000, style=style, shape=shape)
    coarse = slingshot_run(seed, rows=2000, style=style, shape=shape, underflow=True, noise=1e-5)
    for name in ("onsets", "transitions", "plateau_ends", "jumps"):
        assert np.array_equal(getattr(fine, name), getattr(coarse, name))


def test_seeds_repeat_and_differ():
    assert same(slingshot_run(3), slingshot_run(3))
    assert not same(slingshot_run(3), slingshot_run(4))
    for kind in NEGATIVE_KINDS:
        assert same(negative_run(3, kind), negative_run(3, kind))
        assert not same(negative_run(3, kind), negative_run(4, kind))


def test_these_steps_belong_to_this_seed_on_every_platform():
    assert slingshot_run(0).transitions.tolist()[:4] == [4382, 8419, 13867, 20244]


@pytest.mark.parametrize("underflow", [False, True])
@pytest.mark.parametrize("kind", [None, *NEGATIVE_KINDS])
def test_values_are_finite_and_float32(kind, underflow):
    run = (
        slingshot_run(1, underflow=underflow) if kind is None else negative_run(1, kind, rows=3000, underflow=underflow)
    )
    for signal in run.signals.values():
        assert np.isfinite(signal.value).all()
        assert np.all(np.diff(signal.step) > 0)
    for name in ("last_layer_norm", "batch_loss", "train_loss"):
        value = run.signals[name].value
        assert np.array_equal(value, value.astype(np.float32))
    assert (values(run, "last_layer_norm")[1] > 0).all()
    for name in ("train_accuracy", "val_accuracy"):
        value = run.signals[name].value
        assert value.min() >= 0
        assert value.max() <= 1


@pytest.mark.parametrize("kind", NEGATIVE_KINDS)
@given(seed=st.integers(0, 10**9))
@settings(max_examples=15, deadline=None)
def test_norms_are_positive_whatever_the_seed(kind, seed):
    assert (values(negative_run(seed, kind, rows=500), "last_layer_norm")[1] > 0).all()


def test_rounding_can_be_switched_off():
    exact = slingshot_run(1, quantize=False).signals["last_layer_norm"].value
    assert not np.array_equal(exact, exact.astype(np.float32))


def test_noise_has_the_size_that_is_asked_for():
    quiet, noisy = (slingshot_run(2, rows=100_000, noise=s, quantize=False) for s in (0, 1e-3))
    difference = np.log(values(noisy, "last_layer_norm")[1] / values(quiet, "last_layer_norm")[1])
    assert np.std(np.diff(difference)) == pytest.approx(1e-3 * np.sqrt(2 + 2 / 200), rel=0.02)
    assert np.std(difference) == pytest.approx(1e-3 * np.sqrt(2), rel=0.1)
    rest = difference - difference.mean()
    assert (rest[200:] * rest[:-200]).mean() / (rest**2).mean() == pytest.approx(0.5 * np.exp(-1), abs=0.1)


def late(run, name):
    step, value = values(run, name)
    return value[step > 0.05 * step[-1]]


@pytest.mark.parametrize("kind", NEGATIVE_KINDS)
def test_negatives_hold_no_truth(kind):
    run = negative_run(0, kind, rows=2000)
    assert run.kind == kind
    assert run.shape is None
    assert not len(run.onsets) + len(run.transitions) + len(run.plateau_ends) + len(run.jumps)


@pytest.mark.parametrize("kind", ["log_growth", "linear_growth", "saturation", "learning_rate_drop", "slow_hump"])
def test_growing_negatives_grow_smoothly(kind):
    run = negative_run(5, kind, rows=2000, noise=0, quantize=False)
    norm = late(run, "last_layer_norm")
    assert np.all(np.diff(norm) >= -1e-12)
    assert norm[-1] > norm[0]
    assert late(run, "batch_loss").max() < 1e-3


def test_each_other_negative_is_what_it_is_called():
    assert np.all(np.diff(late(negative_run(5, "weight_decay", noise=0, quantize=False), "last_layer_norm")) < 0)
    constant = late(negative_run(5, "constant"), "last_layer_norm")
    assert np.ptp(constant) / constant.mean() < 5e-3
    walk = np.diff(
        np.log(late(negative_run(5, "random_walk", rows=100_000, noise=0, quantize=False), "last_layer_norm"))
    )
    assert np.std(walk) == pytest.approx(1e-4, rel=0.03)
    assert abs(np.corrcoef(walk[1:], walk[:-1])[0, 1]) < 0.02

    spikes = negative_run(5, "benign_spikes", rows=100_000)
    loss = late(spikes, "batch_loss")
    assert 1e-5 < loss.max() < 0.2
    assert np.median(loss) < 1e-6
    smooth = late(negative_run(5, "benign_spikes", noise=0, quantize=False), "last_layer_norm")
    assert np.all(np.diff(smooth, n=2) < 1e-12)

    diverged = late(negative_run(5, "divergence"), "batch_loss")
    assert np.median(diverged[-1000:]) > 0.2
    assert diverged[-1000:].min() > 1e-6
    assert diverged[:1000].max() < 1e-2

    unrest = late(negative_run(5, "instability", rows=100_000), "batch_loss")
    high = np.flatnonzero(unrest > 1e-3)
    assert np.diff(high).max() < 2000
    assert len(high) > 1000


@pytest.mark.parametrize(
    "call",
    [
        lambda: slingshot_run(0, rows=99),
        lambda: slingshot_run(0, rows=20_000, steps=10_000),
        lambda: slingshot_run(0, rows=200, steps=500),
        lambda: slingshot_run(0, style="paper"),
        lambda: slingshot_run(0, shape="stairs"),
        lambda: slingshot_run(0, noise=-1e-5),
        lambda: slingshot_run(0, cycles=(5000, 500)),
        lambda: slingshot_run(0, jump_share=1.5),
        lambda: negative_run(0, "growth"),
        lambda: negative_run(0, "constant", noise=2),
    ],
)
def test_arguments_out_of_range_are_input_errors(call):
    with pytest.raises(InputError):
        call()
