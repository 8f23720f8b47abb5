"""Optimizers that differ from the usual: what is recorded is right, and training is left alone."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from unusual_loops import data, mlp, record, train

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.errors import InputError
from slingshot_analysis.online_rules import TransitionTrigger
from slingshot_analysis.recording import Every, Preconditioned


def fire_at(monkeypatch, update):
    """Have the online detector see a transition at an update."""
    seen = itertools.count()
    monkeypatch.setattr(TransitionTrigger, "update", lambda self, loss: next(seen) == update)


def test_the_flight_recorder_agrees_with_the_probes_while_the_rate_changes(tmp_path, monkeypatch):
    for kind, options in (("RMSprop", {"centered": True}), ("Adam", {})):
        model = mlp()
        optimizer = getattr(torch.optim, kind)(model.parameters(), lr=0.01, **options)
        rate = torch.optim.lr_scheduler.StepLR(optimizer, 30, 0.1)
        path = tmp_path / f"{kind}.h5"
        with Recorder(
            path,
            model,
            optimizer,
            train_data=data(),
            probes=[Preconditioned(Every(1))],
            flight_recorder=True,
        ) as recorder:
            fire_at(monkeypatch, 40)
            train(recorder, model, optimizer, 41, after=lambda step, rate=rate: rate.step())
        trace = open_trace(path)
        for name in ("preconditioned_top_eigenvalue", "preconditioned_ratio"):
            event, probe = trace[f"event_{name}"], trace[name]
            assert len(event) >= 39
            rows = np.searchsorted(probe.step, event.step)
            np.testing.assert_allclose(event.value, probe.value[rows], rtol=2e-3)
        assert trace["event_effective_step"].value[-1, -1] < 0.2 * trace["event_effective_step"].value[25, -1]


def test_a_parameter_whose_gradients_begin_late(tmp_path, monkeypatch):
    fire_at(monkeypatch, 130)
    torch.manual_seed(0)
    model = mlp()
    model.late = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.Adam(model.parameters())
    inputs, targets = data()
    with Recorder(
        tmp_path / "run.h5", model, optimizer, train_data=data(), probes=["batch"], flight_recorder=True
    ) as recorder:
        for step in range(140):
            logits = model(inputs) + (model.late if step >= 40 else 0)
            loss = functional.cross_entropy(logits, targets)
            optimizer.zero_grad()
            loss.backward()
            recorder.update(loss, logits, targets)
            optimizer.step()
    effective = open_trace(tmp_path / "run.h5")["event_effective_step"].value
    assert len(effective) > 60
    assert np.isfinite(effective).all()


def test_optimizers_of_another_kind(tmp_path):
    model = mlp()
    radam = torch.optim.RAdam(model.parameters())
    assert "effective_step" not in record(tmp_path / "radam.h5", model, radam, probes="full")
    nadam = torch.optim.NAdam(model.parameters())
    trace = record(tmp_path / "nadam.h5", model, nadam, probes="full")
    assert "effective_step" in trace
    assert "preconditioned_ratio" not in trace
    with pytest.raises(InputError, match="no stability threshold for NAdam"):
        record(tmp_path / "run.h5", model, nadam, probes=["preconditioned"])


def test_a_learning_rate_of_zero(tmp_path):
    model = mlp()
    optimizer = torch.optim.Adam(
        [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters(), "lr": 0.01}]
    )
    to_zero = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 10)
    trace = record(
        tmp_path / "run.h5",
        model,
        optimizer,
        probes=["effective_step:1", Preconditioned(Every(1))],
        after=lambda step: to_zero.step(),
    )
    ratios = trace["preconditioned_ratio"].value
    assert (ratios[1:-1] > 0).all()
    assert ratios[-1] == 0


def test_an_adam_that_counts_its_updates_in_its_groups(tmp_path):
    class Counted(torch.optim.Adam):
        def step(self, closure=None):
            super().step(closure)
            for group in self.param_groups:
                group["step"] = int(next(iter(self.state.values()))["step"])

    class Without(dict):
        def __contains__(self, key):
            return key != "step" and super().__contains__(key)

        def get(self, key, default=None):
            return default if key == "step" else super().get(key, default)

    values = {}
    for kind in (torch.optim.Adam, Counted):
        model = mlp()
        optimizer = kind(model.parameters())

        def hide(step, optimizer=optimizer):
            if isinstance(optimizer, Counted):
                for parameter, state in optimizer.state.items():
                    optimizer.state[parameter] = Without(state)

        trace = record(
            tmp_path / f"{kind.__name__}.h5",
            model,
            optimizer,
            probes=["effective_step:1", Preconditioned(Every(1))],
            after=hide,
        )
        values[kind] = [trace[name].value for name in ("effective_step", "preconditioned_ratio")]
    for plain, counted in zip(values[torch.optim.Adam], values[Counted], strict=True):
        np.testing.assert_array_equal(counted, plain)
