"""Effective steps against the updates that were really made, and the alignment of gradient and weights."""

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.recording import (
    BelowEpsilon,
    EffectiveStep,
    EffectiveStepQuantiles,
    Every,
    GradientWeightCosine,
)
from trainers.adaptive import GenericAdaptiveOptimizer

PROBES = EffectiveStep, EffectiveStepQuantiles, BelowEpsilon, GradientWeightCosine


# with no first moment and no weight decay, the update is the effective step times the gradient
OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.0, 0.99), eps=1e-3),
    "fused": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.0, 0.99), eps=1e-3, fused=True),
    "tensor_lr": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01), betas=(0.0, 0.99), foreach=False),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.0, 0.5), amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, betas=(0.0, 0.999), weight_decay=0),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9, eps=1e-4),
    "centered": lambda p: torch.optim.RMSprop(p, lr=1e-3, alpha=0.9, centered=True),
    "adaptive": lambda p: GenericAdaptiveOptimizer(p, 0.01, (0.0, 0.9), 1e-5, bias_correction=True),
    "uncorrected": lambda p: GenericAdaptiveOptimizer(p, 0.01, (0.0, 0.9), 1e-5, bias_correction=False),
}


def record(path, loop, optimizer, probes, updates=20, model=None):
    """Record with every second parameter in a group of its own; return trace, states and gradients by step."""
    training = loop(model)
    parameters = list(training.model.parameters())
    training.optimizer = optimizer([{"params": parameters[::2]}, {"params": parameters[1::2]}])
    states, gradients = [], []

    def watch(step, *_):
        states.append([p.detach().double().numpy().copy() for p in parameters])
        gradients.append([p.grad.double().numpy().copy() for p in parameters])

    with Recorder(path, training.model, training.optimizer, probes=probes) as recorder:
        training.run(updates, recorder, watch)
    states.append([p.detach().double().numpy().copy() for p in parameters])
    return open_trace(path).held(), states, gradients, training


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_effective_step_times_the_gradient_is_the_update(tmp_path, loop, kind):
    probes = [EffectiveStep(every=Every(1)), EffectiveStepQuantiles(every=Every(1))]
    trace, states, gradients, training = record(tmp_path / "run.h5", loop, OPTIMIZERS[kind], probes)
    signal, quantiles = trace["effective_step"], trace["effective_step_quantiles"]
    assert signal.step.tolist() == list(range(21))
    assert np.isnan(signal.value[0]).all()
    assert np.isnan(quantiles.value[0]).all()
    names = [name for name, _ in training.model.named_parameters()]
    labels = [(name, int(place.rstrip("]"))) for name, place in (t.split("[") for t in signal.axes[0].labels)]
    assert [sum(n == name for n, _ in labels) for name in names] == [4, 4, 4, 4, 4, 3]
    assert len(set(labels)) == len(labels)
    for t in range(20):
        for column, (name, place) in enumerate(labels):
            i = names.index(name)
            gradient = gradients[t][i].flat[place]
            update = (states[t + 1][i] - states[t][i]).flat[place]
            np.testing.assert_allclose(-signal.value[t + 1, column] * gradient, update, rtol=2e-4, atol=1e-7)


def test_quantiles_are_those_of_numpy(tmp_path, loop, monkeypatch):
    kind = OPTIMIZERS["adam"]
    monkeypatch.setattr("slingshot_analysis.recording.probes.effective_step_quantiles.SAMPLED", 200)
    probes = [EffectiveStepQuantiles(every=Every(20))]
    trace, _, _, training = record(tmp_path / "run.h5", loop, kind, probes)
    signal = trace["effective_step_quantiles"]
    assert signal.axes[1].labels == ("0", "0.25", "0.5", "0.75", "1")
    for row, p in zip(signal.value[-1], training.model.parameters(), strict=True):
        state = training.optimizer.state[p]
        steps = 0.01 / (np.sqrt(state["exp_avg_sq"].double().numpy() / (1 - 0.99**20)) + 1e-3)
        np.testing.assert_allclose(row[[0, 4]], [steps.min(), steps.max()], rtol=1e-5)
        inner = np.quantile(steps, [0.25, 0.5, 0.75], method="inverted_cdf")
        if p.numel() <= 200:
            np.testing.assert_allclose(row[1:4], inner, rtol=1e-5)
        else:  # drawn from 200 of 256
            ranks = [(steps <= value * 1.00001).mean() for value in row[1:4]]
            np.testing.assert_allclose(ranks, [0.25, 0.5, 0.75], atol=0.06)


@pytest.mark.parametrize("epsilon", [0.0, 1e-3, 1e-2, 10.0])
def test_share_below_epsilon(tmp_path, loop, epsilon):
    def optimizer(p):
        return torch.optim.Adam(p, lr=1e-3, betas=(0.9, 0.99), eps=epsilon)

    trace, _, _, training = record(tmp_path / "run.h5", loop, optimizer, [BelowEpsilon(every=Every(20))])
    moments = [training.optimizer.state[p]["exp_avg_sq"].double().numpy().ravel() for p in training.model.parameters()]
    expected = (np.sqrt(np.concatenate(moments) / (1 - 0.99**20)) < epsilon).mean()
    values = trace["below_epsilon_fraction"].value
    assert np.isnan(values[0])
    assert values[1] == pytest.approx(expected, abs=1e-12)
    assert (expected > 0) == (epsilon > 0)


def test_cosine_of_gradient_and_weights(tmp_path, loop):
    trace, states, gradients, _ = record(
        tmp_path / "run.h5", loop, OPTIMIZERS["adam"], [GradientWeightCosine(every=Every(3))]
    )
    signal = trace["gradient_weight_cosine"]
    assert signal.step.tolist() == list(range(0, 20, 3))
    for row, t in enumerate(signal.step):
        for value, w, g in zip(signal.value[row], states[t], gradients[t], strict=True):
            expected = -(w * g).sum() / np.linalg.norm(w) / np.linalg.norm(g)
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12)


def test_tiny_gradients_have_a_direction(tmp_path):
    model = nn.Linear(3, 2, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=["gradient_weight_cosine"]) as recorder:
        model.weight.grad = -1e-30 * model.weight.detach()
        recorder.update()
    assert open_trace(tmp_path / "run.h5")["gradient_weight_cosine"].value[0, 0] == pytest.approx(1)


def test_parameters_without_gradient_or_second_moment(tmp_path, loop):
    class Partial(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.ones(4))
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            return self.head(x)

    training = loop(Partial)
    probes = [probe(every=Every(5)) for probe in PROBES]
    with Recorder(tmp_path / "run.h5", training.model, training.optimizer, probes=probes) as recorder:
        training.run(10, recorder)
    trace = open_trace(tmp_path / "run.h5")
    for name in ("gradient_weight_cosine", "effective_step_quantiles"):
        assert np.isnan(trace[name].value[1, 0]).all()
        assert np.isfinite(trace[name].value[1, 1:]).all()
    assert np.isnan(trace["effective_step"].value[1, :4]).all()
    assert np.isfinite(trace["below_epsilon_fraction"].value[1])


def test_a_reloaded_optimizer_is_followed(tmp_path, loop):
    """load_state_dict() puts new tensors in place of the optimizer's state."""
    training = loop()
    with Recorder(tmp_path / "run.h5", training.model, training.optimizer, probes=[EffectiveStep()]) as recorder:
        training.run(50, recorder)
        training.optimizer.load_state_dict(training.optimizer.state_dict())
        training.run(51, recorder)
    last = open_trace(tmp_path / "run.h5")["effective_step"].value[-1, 0]
    place = int(open_trace(tmp_path / "run.h5")["effective_step"].axes[0].labels[0].split("[")[1].rstrip("]"))
    state = training.optimizer.state[training.model[0].weight]
    assert state["step"] == 101
    expected = 0.01 / (np.sqrt(state["exp_avg_sq"].double().flatten()[place].item() / (1 - 0.999**101)) + 1e-8)
    assert last == pytest.approx(expected, rel=1e-6)
