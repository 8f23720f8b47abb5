"""The curvature around a transition against dense Hessians, and what a recorder does with it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call

from slingshot_analysis import InputError, Recorder, open_trace
from slingshot_analysis.recording import Transition
from slingshot_analysis.recording.online import flight as flight_module
from slingshot_analysis.recording.probes.update_sharpness import UpdateSharpness
from slingshot_analysis.recording.schedule import Budget

UPDATES, SPIKE = 920, 800


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def train(path, optimizer=torch.optim.Adam, updates=UPDATES, spikes=(SPIKE,), stop=None, resume=None, **options):
    """Train on separable clusters until they are fitted; the last layer is turned round for each spike."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(60) % 3
    inputs = torch.randn(60, 4, generator=generator) * 0.1 + 3 * torch.eye(4)[targets]
    model = network()
    rule = optimizer(model.parameters(), lr=0.03)
    states = []
    options = {"probes": ["batch"], "flight_recorder": True} | options
    with Recorder(path, model, rule, train_data=(inputs, targets), **options) as recorder:
        for step in range(updates):
            logits = model(inputs)
            loss = nn.functional.cross_entropy(logits, targets)
            rule.zero_grad()
            loss.backward()
            moments = [rule.state[p].get("exp_avg_sq") for p in model.parameters() if p in rule.state]
            states.append(
                (
                    {n: p.detach().clone() for n, p in model.named_parameters()},
                    [m.clone() for m in moments if m is not None],
                )
            )
            recorder.update(loss, logits, targets)
            rule.step()
            if step + 1 in spikes:
                model[2].weight.data.mul_(-1)
    return open_trace(path).held(), states, (model, inputs.double(), targets)


def dense(model, inputs, targets, state):
    """Return loss, Hessian and flat parameters at a state."""
    names, shapes = list(state), [p.shape for p in state.values()]
    sizes = [p.numel() for p in state.values()]
    shadow = network().double()

    def loss(flat):
        parts = [part.view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
        return nn.functional.cross_entropy(
            functional_call(shadow, dict(zip(names, parts, strict=True)), (inputs,)), targets
        )

    flat = torch.cat([p.flatten() for p in state.values()]).double()
    return loss(flat).item(), hessian(loss, flat).numpy(), flat.numpy()


def test_every_update_around_a_transition_is_measured(tmp_path):
    seen = []
    trace, states, (model, inputs, targets) = train(tmp_path / "run.h5", on_event=seen.append)
    assert [event.step for event in seen] == [SPIKE]
    assert isinstance(seen[0], Transition)
    step = trace["event_loss"].step
    assert step.tolist() == list(range(SPIKE - 64, SPIKE + 64))
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    for row in (0, 40, 63, 64, 66, 90, 127):
        at = int(step[row])
        loss, H, w = dense(model, inputs, targets, states[at][0])
        after = np.concatenate([p.numpy().ravel() for p in states[at + 1][0].values()]).astype(float)
        assert trace["event_loss"].value[row] == pytest.approx(loss, rel=1e-6, abs=1e-14)
        top = np.linalg.eigvalsh(H)[-1]
        assert trace["event_hessian_top_eigenvalue"].value[row] == pytest.approx(top, rel=1e-3)
        assert trace["event_max_stable_step"].value[row] == pytest.approx(2 / top, rel=1e-3)
        u = after - w
        assert trace["event_update_sharpness"].value[row] == pytest.approx(u @ H @ u / (u @ u), rel=1e-5)
        v = np.concatenate([m.numpy().ravel() for m in states[at][1]]).astype(float)
        root = np.sqrt(v / (1 - beta2**at))
        P = (1 - beta1**at) * (root + eps)
        raw = np.linalg.eigvalsh(H / np.sqrt(np.outer(P, P)))[-1]
        assert trace["event_preconditioned_top_eigenvalue"].value[row] == pytest.approx(raw, rel=1e-3)
        quantiles = trace["event_effective_step"].value[row]
        rate = 0.03 / (root + eps)
        assert quantiles[0] == pytest.approx(rate.min(), rel=1e-5)
        assert quantiles[-1] == pytest.approx(rate.max(), rel=1e-5)
        assert (np.diff(quantiles) >= 0).all()


def test_a_run_without_a_transition_has_no_rows(tmp_path):
    trace, _, _ = train(tmp_path / "run.h5", spikes=())
    assert len(trace["event_loss"]) == 0


def test_a_transition_near_the_end_is_measured_as_far_as_it_goes(tmp_path):
    trace, _, _ = train(tmp_path / "run.h5", updates=SPIKE + 20)
    assert trace["event_loss"].step.tolist() == list(range(SPIKE - 64, SPIKE + 19))


def test_an_optimizer_without_second_moment_has_hessians_only(tmp_path):
    trace, _, _ = train(tmp_path / "run.h5", optimizer=lambda p, lr: torch.optim.SGD(p, lr=lr), spikes=(SPIKE,))
    assert "event_preconditioned_ratio" in trace
    assert np.isnan(trace["event_preconditioned_ratio"].value).all()
    assert np.isfinite(trace["event_hessian_top_eigenvalue"].value).all()


def test_recording_events_leaves_training_alone(tmp_path):
    *_, (recorded, _, _) = train(tmp_path / "a.h5")
    *_, (plain, _, _) = train(tmp_path / "b.h5", flight_recorder=False)
    for a, b in zip(recorded.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_a_callback_raises_ends_the_run_and_keeps_the_rows(tmp_path):
    def stop(event):
        raise StopIteration(event.step)

    path = tmp_path / "run.h5"
    with pytest.raises(StopIteration, match=str(SPIKE)):
        train(path, on_event=stop)
    trace = open_trace(path)
    assert not trace.finished
    assert trace["event_loss"].step.tolist() == list(range(SPIKE - 64, SPIKE))
    assert len(trace["batch_loss"]) == SPIKE + 1


def test_by_default_it_is_on_where_curvature_is_recorded_and_the_states_fit(tmp_path, monkeypatch):
    def has_events(name, **options):
        trace, _, _ = train(tmp_path / f"{name}.h5", updates=3, flight_recorder=None, **options)
        return "event_loss" in trace

    assert not has_events("standard", probes="standard")
    assert has_events("named", probes=["standard", "hessian"])
    assert has_events("given", probes=[UpdateSharpness()])
    assert has_events("full", probes="full")
    monkeypatch.setattr(flight_module, "MOST_BYTES", 1000)
    assert not has_events("large", probes="full")
    with pytest.raises(InputError, match="MiB"):
        train(tmp_path / "asked.h5", updates=3)


def test_without_training_data_it_says_what_is_missing(tmp_path):
    model = network()
    with pytest.raises(InputError, match="train_data"):
        Recorder(
            tmp_path / "run.h5", model, torch.optim.Adam(model.parameters()), probes=["norms"], flight_recorder=True
        )


@pytest.mark.slow
def test_transitions_are_passed_over_while_the_budget_owes_more_than_an_event(tmp_path, monkeypatch):
    def events(name, debts):
        owed = iter(debts)
        monkeypatch.setattr(Budget, "debt", lambda budget, now: next(owed))
        trace, _, _ = train(
            tmp_path / name, updates=2400, spikes=(800, 1500, 2200), probes=["hessian"], curvature_budget=0.5
        )
        return {step for step in (800, 1500, 2200) if step in trace["event_loss"].step}

    assert events("paid.h5", [1e6, 0.0, 0.0]) == {800, 1500, 2200}  # the first event is always measured
    assert events("owed.h5", [0.0, 1e6, 0.0]) == {800, 2200}


def test_a_probe_that_waits_but_is_no_curvature_keeps_no_states(tmp_path):
    trace, _, _ = train(tmp_path / "run.h5", updates=3, flight_recorder=None, probes=["batch", "spectral_norm"])
    assert "event_loss" not in trace
