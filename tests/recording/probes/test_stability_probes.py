"""The probes of training stability against their formulas, computed in float64 from copies of the run's tensors."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import kurtosis
from torch import nn

from slingshot_analysis import InputError, Recorder, open_trace
from slingshot_analysis.recording import (
    ActivationKurtosis,
    Every,
    GradientCurvature,
    GradientSpikes,
    LogZ,
    MomentLag,
    Moments,
    NonFinite,
    UpdateRatio,
)

BETAS = 0.9, 0.99


class TwoLayers(nn.Module):
    """Two layers, of which one bias is frozen, and a parameter that never gets a gradient."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)
        self.first.bias.requires_grad_(False)
        self.unused = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


NAMES = "unused", "first.weight", "second.weight", "second.bias"
"""The trainable parameters, in the order of the trace."""


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01, betas=BETAS)


class Watch:
    """Keep float64 copies of the weights, gradients and moments at each update, by the parameter's name."""

    def __init__(self):
        self.weights, self.gradients, self.first, self.second, self.logits = [], [], [], [], []

    def __call__(self, step, loop, logits, targets):
        named = dict(loop.model.named_parameters())
        states = {name: loop.optimizer.state.get(p, {}) for name, p in named.items()}
        self.weights.append({name: array(p) for name, p in named.items()})
        self.gradients.append({name: array(p.grad) for name, p in named.items() if p.grad is not None})
        self.first.append({name: array(s["exp_avg"]) for name, s in states.items() if "exp_avg" in s})
        self.second.append({name: array(s["exp_avg_sq"]) for name, s in states.items() if "exp_avg_sq" in s})
        self.logits.append(array(logits))


def array(tensor):
    return tensor.detach().double().numpy().copy()


@pytest.fixture
def record(tmp_path, loop):
    def run(probes, updates=12, model=TwoLayers, optimizer=adam, **options):
        training, watch = loop(model), Watch()
        training.optimizer = optimizer(training.model.parameters())
        options = {"train_data": training.data, **options}
        with Recorder(tmp_path / "run.h5", training.model, training.optimizer, probes=probes, **options) as recorder:
            training.run(updates, recorder, watch)
        watch.weights.append({name: array(p) for name, p in training.model.named_parameters()})
        return open_trace(tmp_path / "run.h5").held(), watch, training

    return run


def test_update_ratio(record):
    trace, watch, _ = record([UpdateRatio(Every(5))])
    change, ratio = trace["parameter_update_norm"], trace["update_ratio"]
    assert ratio.axes[0].labels == NAMES
    assert ratio.step.tolist() == [0, 5, 10]
    for row, t in enumerate(ratio.step):
        for column, name in enumerate(NAMES):
            before, after = watch.weights[t][name], watch.weights[t + 1][name]
            expected = np.linalg.norm(after - before)
            np.testing.assert_allclose(change.value[row, column], expected, rtol=1e-6)
            np.testing.assert_allclose(ratio.value[row, column], expected / np.linalg.norm(before), rtol=1e-6)
    assert (ratio.value[:, 0] == 0).all()
    assert (ratio.value[:, 1:] > 1e-3).all()


def test_update_ratio_of_parameters_that_are_zero(record):
    class Zero(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused, self.second = nn.Parameter(torch.zeros(2)), nn.Linear(6, 3)
            nn.init.zeros_(self.second.bias)

        def forward(self, x):
            return self.second(x)

    trace, _, _ = record([UpdateRatio(Every(1))], 2, Zero)
    stays, leaves = trace["update_ratio"].value[:, [0, 2]].T
    assert np.isnan(stays).all()
    assert leaves[0] == np.inf
    assert np.isfinite(leaves[1])


def cosine(a, b):
    return (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)


def test_moments(record):
    trace, watch, _ = record([Moments(Every(5))])
    names = "parameter_first_moment_norm", "parameter_second_moment_norm", "moment_gradient_cosine"
    assert trace[names[0]].step.tolist() == [0, 5, 10]
    assert all(np.isnan(trace[name].value[0]).all() for name in (*names, "first_moment_norm", "second_moment_norm"))
    for row, t in ((1, 5), (2, 10)):
        for column, name in enumerate(NAMES):
            values = [trace[n].value[row, column] for n in names]
            if name == "unused":
                assert np.isnan(values).all()
                continue
            first, second = (sum_of_gradients(watch, name, t, power) for power in (1, 2))
            expected = [np.linalg.norm(first), np.linalg.norm(second), cosine(first, watch.gradients[t][name])]
            np.testing.assert_allclose(values, expected, rtol=1e-5)
        for moments, name in ((watch.first[t], "first_moment_norm"), (watch.second[t], "second_moment_norm")):
            whole = np.concatenate([moment.ravel() for moment in moments.values()])
            np.testing.assert_allclose(trace[name].value[row], np.linalg.norm(whole), rtol=1e-12)


def sum_of_gradients(watch, name, t, power):
    """The moment after t updates, from the gradients alone."""
    beta = BETAS[power - 1]
    return sum((1 - beta) * beta ** (t - 1 - s) * watch.gradients[s][name] ** power for s in range(t))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adagrad])
def test_moments_need_both_moments(record, optimizer):
    with pytest.raises(InputError, match=f"such as Adam, not {optimizer.__name__}: leave it out"):
        record([Moments()], optimizer=lambda parameters: optimizer(parameters, lr=0.1))


def second_moment(watch, t, names=NAMES[1:]):
    """v̂ after t updates of all elements, from the gradients alone."""
    return flat({name: sum_of_gradients(watch, name, t, 2) / (1 - BETAS[1] ** t) for name in names})


def flat(arrays, names=NAMES[1:]):
    return np.concatenate([arrays[name].ravel() for name in names])


def test_moment_lag(record):
    trace, watch, _ = record([MomentLag(Every(5))])
    signal = trace["moment_lag"]
    assert signal.axes[0].labels == ("0.01", "0.25", "0.5", "0.75", "0.99")
    assert signal.step.tolist() == [0, 5, 10]
    assert np.isnan(signal.value[0]).all()
    for row, t in ((1, 5), (2, 10)):
        ratios = flat(watch.gradients[t]) ** 2 / second_moment(watch, t)
        expected = np.quantile(ratios, [0.01, 0.25, 0.5, 0.75, 0.99], method="inverted_cdf")
        np.testing.assert_allclose(signal.value[row], expected, rtol=1e-5)


def test_moment_lag_of_a_sample_of_all_parameters(record, monkeypatch):
    monkeypatch.setattr("slingshot_analysis.recording.probes.moment_lag.SAMPLED", 48)
    trace, watch, _ = record([MomentLag(Every(5))])
    ratios = flat(watch.gradients[10]) ** 2 / second_moment(watch, 10)
    values = trace["moment_lag"].value[2]
    assert all(np.isclose(ratios, value, rtol=1e-5).any() for value in values)
    ranks = [(ratios <= value * (1 + 1e-5)).mean() for value in values]
    np.testing.assert_allclose(ranks, [0.01, 0.25, 0.5, 0.75, 0.99], atol=0.13)


class DeadInput(nn.Module):
    """A layer that never sees its first input, so that half of its weights have neither gradient nor second moment."""

    def __init__(self):
        super().__init__()
        self.second = nn.Linear(6, 3, bias=False)

    def forward(self, x):
        return self.second(x * torch.tensor([0.0, 0, 0, 1, 1, 1]))


def test_moment_lag_leaves_out_elements_without_gradient(record):
    trace, watch, _ = record([MomentLag(Every(5))], model=DeadInput)
    gradients = watch.gradients[10]["second.weight"][:, 3:]
    moments = sum_of_gradients(watch, "second.weight", 10, 2)[:, 3:] / (1 - BETAS[1] ** 10)
    np.testing.assert_allclose(trace["moment_lag"].value[2, 0], (gradients**2 / moments).min(), rtol=1e-5)


def test_gradient_spikes(record):
    factors = torch.ones(8, 6)
    factors[0, :5] = torch.tensor([1e3, 1e4, 12, 12, 12])
    updates = iter(range(12))

    class Spiking(TwoLayers):
        """Two layers of which some elements of a gradient are far too large at the sixth update."""

        def __init__(self):
            super().__init__()
            self.first.weight.register_hook(lambda gradient: gradient * factors if next(updates) == 5 else gradient)

    trace, watch, _ = record([GradientSpikes(Every(1))], model=Spiking)
    signal = trace["gradient_spike_share"]
    assert signal.axes[0].labels == ("50", "5000")
    assert np.isnan(signal.value[0]).all()
    for t in range(1, 12):
        ratios = flat(watch.gradients[t]) ** 2 / second_moment(watch, t)
        expected = [(ratios > 50).mean(), (ratios > 5000).mean()]
        np.testing.assert_allclose(signal.value[t], expected, rtol=1e-12)
    assert signal.value[5, 0] > signal.value[5, 1] > 0


def test_squares_that_vanish_are_no_spikes(record):
    class Tiny(DeadInput):
        """A layer whose gradients are so small that their squares are 0 in float32."""

        def __init__(self):
            super().__init__()
            self.second.weight.register_hook(lambda gradient: gradient * 1e-30)

    trace, _, _ = record([GradientSpikes(Every(1)), MomentLag(Every(1))], model=Tiny)
    assert (trace["gradient_spike_share"].value[1:] == 0).all()
    assert np.isnan(trace["moment_lag"].value).all()


LOG_Z = "log_z", "log_z_square", "logit_rms", "largest_logit"


def log_z(logits):
    values = logsumexp(logits, axis=-1)
    return values.mean(), (values**2).mean(), np.sqrt((logits**2).mean()), abs(logits).max()


@pytest.mark.parametrize("kept", [True, False])
def test_log_z(record, monkeypatch, kept):
    if not kept:
        monkeypatch.setattr("slingshot_analysis.recording.probes._batch_probe.KEPT_BYTES", 0)
    trace, watch, _ = record([LogZ(Every(5))])
    assert trace["log_z"].step.tolist() == [0, 5, 10]
    for row, t in enumerate((0, 5, 10)):
        values = [trace[name].value[row] for name in LOG_Z]
        np.testing.assert_allclose(values, log_z(watch.logits[t]), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_log_z_of_tokens_with_ignored_targets(tmp_path, dtype):
    model = nn.Linear(1, 2)
    logits = torch.tensor([[[3.0, -4.0], [1.0, 0.5], [90.0, 7.0]]]).to(dtype)
    with Recorder(
        tmp_path / "run.h5", model, torch.optim.SGD(model.parameters()), probes=["log_z:1"], checks=False
    ) as recorder:
        recorder.update(torch.tensor(0.0), logits, torch.tensor([[1, 0, -100]]))
        recorder.update(torch.tensor(0.0), logits, torch.full((1, 3), -100))
    trace = open_trace(tmp_path / "run.h5")
    values = [trace[name].value[0] for name in LOG_Z]
    np.testing.assert_allclose(values, log_z(array(logits)[0, :2]), rtol=1e-6)
    assert all(np.isnan(trace[name].value[1]) for name in LOG_Z)


def test_gradient_curvature(record):
    trace, watch, training = record([GradientCurvature(Every(5))])
    signal, bound = trace["gradient_curvature"], trace["gradient_curvature_bound"]
    assert signal.step.tolist() == [0, 5, 10, 12]
    assert np.isnan(signal.value[0])
    assert np.isnan(bound.value[0])
    np.testing.assert_allclose(bound.value[1:], 2 / 0.01)
    sizes = [watch.weights[0][name].size for name in NAMES[1:]]

    def loss_at(t):
        kept = {name: torch.tensor(w) for name, w in watch.weights[t].items()}
        inputs = training.inputs.double()

        def loss(point):
            parts = zip(NAMES[1:], point.split(sizes), strict=True)
            state = kept | {name: part.view(kept[name].shape) for name, part in parts}
            hidden = torch.tanh(inputs @ state["first.weight"].T + state["first.bias"])
            logits = hidden @ state["second.weight"].T + state["second.bias"]
            return nn.functional.cross_entropy(logits, training.targets)

        return loss, torch.tensor(flat(watch.weights[t]))

    for row, t in ((1, 5), (2, 10)):
        gradient = torch.autograd.functional.jacobian(*loss_at(t)).numpy()
        matrix = torch.autograd.functional.hessian(*loss_at(t)).numpy()
        p = (1 - BETAS[0] ** t) * (np.sqrt(second_moment(watch, t)) + 1e-8)
        expected = (gradient / p) @ matrix @ (gradient / p) / (gradient @ (gradient / p))
        np.testing.assert_allclose(signal.value[row], expected, rtol=1e-5)


def test_non_finite(tmp_path):
    model = TwoLayers()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=[NonFinite(Every(1))]) as recorder:
        model.first.weight.grad = torch.zeros(8, 6)
        model.first.weight.grad[0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
        model.second.weight.grad = torch.full((3, 8), 3e38)
        for _ in range(2):
            recorder.update()
            optimizer.step()
    trace = open_trace(tmp_path / "run.h5")
    gradients, parameters = trace["non_finite_gradient_share"], trace["non_finite_parameter_share"]
    assert gradients.axes[0].labels == NAMES
    np.testing.assert_array_equal(gradients.value, [[np.nan, 3 / 48, 0, np.nan]] * 2)
    np.testing.assert_array_equal(parameters.value, [[0, 0, 0, 0], [0, 3 / 48, 0, 0]])


def test_activation_kurtosis(record):
    trace, watch, training = record([ActivationKurtosis(Every(5))], feature_layers=["first", "second:input"])
    signal = trace["activation_kurtosis"]
    assert signal.axes[0].labels == ("first", "second:input")
    assert signal.step.tolist() == [0, 5, 10, 12]
    for values, t in zip(signal.value, signal.step, strict=True):
        weights = watch.weights[t]
        outputs = array(training.inputs[:32]) @ weights["first.weight"].T + weights["first.bias"]
        expected = [kurtosis(h, axis=None, fisher=False) for h in (outputs, np.tanh(outputs))]
        np.testing.assert_allclose(values, expected, rtol=1e-5)
