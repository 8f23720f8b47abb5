"""Which optimizers have an effective step: those in which it explains the real change, and those that are refused."""

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import InputError, Recorder, open_trace

BETAS = {"betas": (0.0, 0.9)}


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, arXiv 2302.06675, Algorithm 2."""

    def __init__(self, parameters, lr=1e-4, betas=(0.9, 0.99)):
        super().__init__(parameters, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                average = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                p -= group["lr"] * torch.lerp(p.grad, average, group["betas"][0]).sign()
                average.lerp_(p.grad, 1 - group["betas"][1])


def schedule_free(kind):
    return lambda parameters, **options: getattr(pytest.importorskip("schedulefree"), kind)(parameters, **options)


def record(path, make, options, probes=("effective_step:1",), updates=5):
    """Record the effective steps; return the weights before each update, and the gradients, of all elements."""
    torch.manual_seed(0)
    model = nn.Linear(4, 1, bias=False, dtype=torch.float64)
    optimizer = make(model.parameters(), **options)
    if hasattr(optimizer, "train"):
        optimizer.train()
    weights, gradients = [], []
    with Recorder(path, model, optimizer, probes=list(probes)).attach():
        for step in range(updates):
            optimizer.zero_grad()
            (model(torch.ones(1, 4, dtype=torch.float64)) * (step + 1)).square().sum().backward()
            gradients.append(model.weight.grad.flatten().numpy().copy())
            state = optimizer.state[model.weight]
            weights.append(state.get("z", model.weight).detach().flatten().numpy().copy())
            optimizer.step()
        weights.append(optimizer.state[model.weight].get("z", model.weight).detach().flatten().numpy().copy())
    return open_trace(path).held()["effective_step"].value, np.array(weights), np.array(gradients)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (torch.optim.Adam, BETAS),
        (torch.optim.Adam, BETAS | {"amsgrad": True}),
        (torch.optim.Adam, BETAS | {"fused": True, "eps": 0.3}),
        (torch.optim.AdamW, BETAS | {"weight_decay": 0.0, "eps": 0.3}),
        (torch.optim.NAdam, BETAS | {"eps": 0.3}),
        (torch.optim.RMSprop, {"alpha": 0.9, "eps": 0.3}),
        (torch.optim.RMSprop, {"alpha": 0.9, "centered": True, "eps": 0.3}),
        (schedule_free("AdamWScheduleFree"), BETAS | {"warmup_steps": 3, "eps": 0.3}),
    ],
    ids=["Adam", "AMSGrad", "fused Adam", "AdamW", "NAdam", "RMSprop", "centered RMSprop", "schedule-free AdamW"],
)
def test_without_momentum_the_change_is_the_effective_step_times_the_gradient(tmp_path, make, options):
    """A schedule-free optimizer moves its sequence z so; the weights are averages of it."""
    steps, weights, gradients = record(tmp_path / "run.h5", make, options | {"lr": 0.01})
    assert np.isnan(steps[0]).all()
    first = 2 if callable(make) and not isinstance(make, type) else 1  # z is made in the first update
    np.testing.assert_allclose(np.diff(weights, axis=0)[first - 1 :], -(steps[1:] * gradients)[first - 1 :], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (torch.optim.Adadelta, "ratio of two averages"),
        (torch.optim.Adafactor, "averages of rows and columns"),
        (torch.optim.Adagrad, "sum that never decays"),
        (torch.optim.Adamax, "largest gradient"),
        (Lion, "sign of an average"),
        (torch.optim.Muon, "orthogonalises"),
        (torch.optim.RAdam, "does not divide in its first updates"),
        (torch.optim.SGD, "does not divide"),
        (torch.optim.ASGD, "not ASGD"),
        (torch.optim.Rprop, "not Rprop"),
        (torch.optim.LBFGS, "not LBFGS"),
        (schedule_free("RAdamScheduleFree"), "does not divide in its first updates"),
        (schedule_free("SGDScheduleFree"), "not SGDScheduleFree"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_others_are_refused_at_construction_with_the_reason_and_bundles_go_without(tmp_path, make, reason):
    model = nn.Linear(4, 3, bias=False)
    optimizer = make(model.parameters())
    for probe in ("effective_step", "effective_step_quantiles", "below_epsilon_fraction", "moment_lag", "moments"):
        with pytest.raises(InputError, match=reason if probe != "moments" else "needs an optimizer with a first and"):
            Recorder(tmp_path / "run.h5", model, optimizer, probes=[probe])
    with Recorder(tmp_path / "run.h5", model, optimizer, probes="stability") as recorder:
        assert not {"moment_lag", "second_moment_norm"} & set(open_trace(recorder.path).names)
