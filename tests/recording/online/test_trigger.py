"""The online detector on losses with known transitions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from slingshot_analysis import open_trace
from slingshot_analysis.evaluation.detector import evaluate
from slingshot_analysis.online_rules import TransitionTrigger
from slingshot_analysis.recording.online.lagged_loss import LaggedLoss

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples" / "data").glob("*.h5"))


def fired(losses):
    trigger = TransitionTrigger()
    return [step for step, loss in enumerate(losses) if trigger.update(float(loss))]


def run(transitions, steps=6000, level=1e-6, noise=0.3, seed=0):
    """A loss that is fitted by update 300 and spikes over five updates at each transition."""
    step = np.arange(steps)
    loss = level + np.exp(-step / 20)
    for at in transitions:
        since = step - at
        loss += np.where(since >= 0, np.minimum(10.0 ** (np.clip(since, 0, 5) - 4), 3 * np.exp(-since / 30)), 0)
    return loss * np.exp(noise * np.random.default_rng(seed).standard_normal(steps))


@pytest.mark.parametrize("noise", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("level", [1e-12, 1e-6, 1e-4])
def test_it_fires_within_six_updates_of_each_transition_and_never_else(level, noise):
    transitions = [1000, 2500, 4000]
    found = fired(run(transitions, level=level, noise=noise))
    assert len(found) == 3
    assert all(0 <= at - true <= 6 for at, true in zip(found, transitions, strict=True))


def test_it_is_silent_while_the_network_learns_and_when_nothing_happens():
    assert fired(run([])) == []
    assert fired(3 * np.ones(3000)) == []
    learning = 3 * np.exp(0.8 * np.random.default_rng(1).standard_normal(3000))
    assert fired(learning) == []


def test_it_fires_again_only_after_the_loss_came_back_and_rested(monkeypatch):
    losses = np.r_[np.full(10, 1.0), np.full(990, 1e-6), np.full(300, 1.0), np.full(400, 1e-6), np.full(50, 1.0)]
    assert fired(losses) == [1000, 1700]
    close = np.r_[np.full(10, 1.0), np.full(990, 1e-6), [1.0] * 3, np.full(150, 1e-6), [1.0] * 3]
    assert fired(close) == [1000]
    monkeypatch.setattr("slingshot_analysis.online_rules.REST", 50)
    assert fired(close) == [1000, 1153]


@pytest.mark.parametrize(("rise", "again"), [(0.4, True), (0.6, False)])
def test_the_loss_has_come_back_when_it_is_below_half_of_the_limit(rise, again):
    """The average is held at 1e-6 here, so that the limit stays one decade above it."""
    trigger = TransitionTrigger()
    for loss in [1.0] * 10 + [1e-6] * 2000 + [1.0]:
        fires = trigger.update(loss)
    assert fires
    for _ in range(300):
        state = trigger.state_dict()
        trigger.load_state_dict(state | {"_mean": -6.0, "_deviation": 0.0})
        trigger.update(10.0 ** (rise - 6))
    trigger.load_state_dict(trigger.state_dict() | {"_mean": -6.0, "_deviation": 0.0})
    assert trigger.update(1.0) == again


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 0.0, -1.0])
def test_any_loss_is_taken(loss):
    losses = np.r_[np.full(10, 1.0), np.full(990, 1e-6), [loss] * 5, np.full(100, 1e-6)]
    assert fired(losses) in ([], [1000])
    assert bool(fired(losses)) == (not loss <= 0)


def test_it_goes_on_from_its_state():
    losses = run([1000, 2500])
    whole, first, second = TransitionTrigger(), TransitionTrigger(), TransitionTrigger()
    expected = [whole.update(float(loss)) for loss in losses]
    found = [first.update(float(loss)) for loss in losses[:1003]]
    second.load_state_dict(first.state_dict())
    assert found + [second.update(float(loss)) for loss in losses[1003:]] == expected


def test_losses_are_read_at_once_on_the_cpu_and_never_on_meta():
    losses = LaggedLoss()
    assert losses.read(3, torch.tensor(0.5, requires_grad=True)) == [(3, 0.5)]
    assert losses.read(4, torch.tensor(0.5, device="meta")) == []


def refilled(trace):
    """Return the loss at every update of a thinned trace: the last one known."""
    step, loss = trace["batch_loss"].step, trace["batch_loss"].value
    return loss[np.searchsorted(step, np.arange(step[-1] + 1), side="right") - 1]


def test_recorded_transitions_are_seen_as_they_begin():
    traces = [open_trace(path) for path in EXAMPLES]
    score = evaluate(
        traces, "misclassification", detector=lambda trace: np.array(fired(refilled(trace))), margin=64
    ).pooled
    assert score.recall >= 0.95
    assert score.n_found - score.hits <= 0.05 * score.n_found
