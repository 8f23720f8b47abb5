"""Each quantity against an independent computation in NumPy or by hand."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

from slingshot_analysis import Recorder, open_trace
from slingshot_analysis.recording import (
    PROBES,
    Batch,
    CosineDistance,
    Every,
    FeatureChange,
    Subject,
    UpdateNorm,
)
from slingshot_analysis.recording.subject.losses import cross_entropy


class Watch:
    """Keep copies of states, gradients, logits and targets at each update."""

    def __init__(self):
        self.states, self.gradients, self.logits, self.targets = [], [], [], []

    def __call__(self, step, loop, logits, targets):
        self.states.append({n: p.detach().numpy().copy() for n, p in loop.model.named_parameters()})
        self.gradients.append(np.concatenate([p.grad.numpy().ravel() for p in loop.model.parameters()]))
        self.logits.append(logits.numpy())
        self.targets.append(targets.numpy())


@pytest.fixture
def record(tmp_path, loop):
    def run(updates=30, probes="standard", batch_sizes=(8,), **options):
        training, watch = loop(batch_sizes=batch_sizes), Watch()
        path = tmp_path / "run.h5"
        data = {"train_data": training.data, "val_data": (training.inputs[:7], training.targets[:7])}
        with Recorder(path, training.model, training.optimizer, probes=probes, **data, **options) as recorder:
            training.run(updates, recorder, watch)
        watch.states.append({n: p.detach().numpy().copy() for n, p in training.model.named_parameters()})
        return open_trace(path).held(), watch, training

    return run


def flat(state, names=None):
    return np.concatenate([state[n].ravel().astype(np.float64) for n in names or state])


def test_norms(record):
    trace, watch, _ = record()
    names = list(watch.states[0])
    representation = [n for n in names if not n.startswith("4.")]
    for step, state in enumerate(watch.states[:-1]):
        expected = [np.linalg.norm(flat(state, [n])) for n in names]
        np.testing.assert_allclose(trace["parameter_norm"].value[step], expected, rtol=1e-6)
        np.testing.assert_allclose(trace["last_layer_norm"].value[step], np.linalg.norm(state["4.weight"]), rtol=1e-6)
        np.testing.assert_allclose(
            trace["representation_norm"].value[step], np.linalg.norm(flat(state, representation)), rtol=1e-6
        )
        np.testing.assert_allclose(trace["total_norm"].value[step], np.linalg.norm(flat(state)), rtol=1e-6)
        np.testing.assert_allclose(trace["gradient_norm"].value[step], np.linalg.norm(watch.gradients[step]), rtol=1e-6)
    assert trace["parameter_norm"].axes[0].labels == tuple(names)


# the sizes of the batches change, as in a last incomplete one, and the 600 rows cross a block
@pytest.mark.parametrize("batch_sizes", [(8,), (8, 8, 3), (1, 8)])
def test_batch(record, batch_sizes):
    trace, watch, _ = record(600, probes=["batch"], batch_sizes=batch_sizes)
    batches = list(zip(watch.logits, watch.targets, strict=True))
    losses = [
        -log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(targets)), targets].mean()
        for logits, targets in batches
    ]
    np.testing.assert_allclose(trace["batch_loss_float64"].value, losses, rtol=1e-12)
    rounding = 4 * np.finfo(np.float32).eps  # of the logits, which are of order 1
    np.testing.assert_allclose(trace["batch_loss"].value, losses, rtol=1e-6, atol=rounding)
    assert trace["batch_errors"].value.tolist() == [(logits.argmax(1) != targets).sum() for logits, targets in batches]


def test_batch_with_a_loss_of_ones_own(record):
    trace, watch, _ = record(
        20,
        probes=["batch"],
        loss_function=lambda logits, targets: (logits.sum(1) * targets).mean(),
        checks=False,
    )
    expected = [(z.astype(np.float64).sum(1) * y).mean() for z, y in zip(watch.logits, watch.targets, strict=True)]
    np.testing.assert_allclose(trace["batch_loss_float64"].value, expected, rtol=1e-12)


def test_float64_loss_goes_on_where_float32_is_zero(tmp_path):
    model = nn.Linear(1, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=["batch"]) as recorder:
        logits, targets = torch.tensor([[60.0, 0.0]]), torch.tensor([0])
        recorder.update(nn.functional.cross_entropy(logits, targets), logits, targets)
    trace = open_trace(tmp_path / "run.h5")
    assert trace["batch_loss"].value[0] == 0
    np.testing.assert_allclose(trace["batch_loss_float64"].value[0], np.log1p(np.exp(-60.0)), rtol=1e-12)


def test_ignored_targets_do_not_count(tmp_path):
    model = nn.Linear(1, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    inputs, targets = torch.ones(1, 3, 1), torch.tensor([[0, 1, -100]])
    with Recorder(
        tmp_path / "run.h5", model, optimizer, probes=["batch", "evaluation"], val_data=(inputs, targets)
    ) as recorder:
        logits = torch.tensor([[[5.0, 0.0], [5.0, 0.0], [5.0, 0.0]]])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        recorder.update(loss, logits, targets)
    trace = open_trace(tmp_path / "run.h5")
    assert trace["batch_errors"].value[0] == 1
    np.testing.assert_allclose(trace["batch_loss_float64"].value[0], np.log1p(np.exp([-5.0, 5.0])).mean())
    assert trace["val_errors"].value[0] == 1
    assert trace["val_accuracy"].value[0] == 0.5


def test_update_norm_compares_consecutive_states(record):
    trace, watch, _ = record(25, probes=[UpdateNorm(every=Every(6))])
    signal = trace["update_norm"]
    assert signal.step.tolist() == [0, 6, 12, 18, 24]
    expected = [np.linalg.norm(flat(watch.states[t + 1]) - flat(watch.states[t])) for t in signal.step]
    np.testing.assert_allclose(signal.value, expected, rtol=1e-5)


def test_feature_change(record):
    trace, watch, training = record(25, probes=[FeatureChange(every=Every(6))])
    signal = trace["feature_change"]
    assert signal.axes[0].labels == ("1", "3")
    inputs = training.inputs[:32].numpy().astype(np.float64)

    def features(state):
        first = np.maximum(inputs @ state["0.weight"].T + state["0.bias"], 0)
        return first, np.tanh(first @ state["2.weight"].T + state["2.bias"])

    for row, t in enumerate(signal.step):
        pairs = zip(features(watch.states[t]), features(watch.states[t + 1]), strict=True)
        expected = [np.linalg.norm(after - before) / np.linalg.norm(before) for before, after in pairs]
        np.testing.assert_allclose(signal.value[row], expected, rtol=1e-4)


def test_cosine_distances(record):
    trace, watch, _ = record(25, probes=[CosineDistance(every=Every(5))])
    parts = {"classifier": ["4.weight", "4.bias"], "representation": ["0.weight", "0.bias", "2.weight", "2.bias"]}
    for part, names in parts.items():
        signal = trace[f"cosine_distance_{part}"]
        assert signal.step.tolist() == [0, 5, 10, 15, 20, 25]
        start = flat(watch.states[0], names)
        for t, value in zip(signal.step, signal.value, strict=True):
            now = flat(watch.states[t], names)
            expected = 1 - now @ start / np.linalg.norm(now) / np.linalg.norm(start)
            np.testing.assert_allclose(value, expected, atol=1e-12)


def test_evaluation(record):
    trace, watch, training = record(25, probes=[PROBES["evaluation"](every=Every(5))])
    targets = training.targets.numpy()
    for row, t in enumerate(trace["train_loss"].step):
        state = {n: torch.from_numpy(v) for n, v in watch.states[t].items()}
        logits = torch.func.functional_call(training.model, state, (training.inputs,)).detach().numpy()
        for name, n in (("train", 40), ("val", 7)):
            losses = -log_softmax(logits[:n].astype(np.float64), axis=1)[np.arange(n), targets[:n]]
            errors = (logits[:n].argmax(1) != targets[:n]).sum()
            np.testing.assert_allclose(trace[f"{name}_loss"].value[row], losses.mean(), rtol=1e-5)
            assert trace[f"{name}_errors"].value[row] == errors
            np.testing.assert_allclose(trace[f"{name}_accuracy"].value[row], 1 - errors / n)


def test_batches_too_large_to_keep_are_measured_at_once(record, monkeypatch):
    monkeypatch.setattr("slingshot_analysis.recording.probes._batch_probe.KEPT_BYTES", 100)
    trace, watch, _ = record(30, probes=[Batch()])
    expected = [(z.argmax(1) != y).sum() for z, y in zip(watch.logits, watch.targets, strict=True)]
    assert trace["batch_errors"].value.tolist() == expected


def test_probes_know_which_run_they_fit(loop):
    training = loop()
    parameters = dict(training.model.named_parameters())
    data = [training.data]
    rich = Subject(
        training.model, parameters, "4", ["1"], cross_entropy, training.inputs, data, data, training.optimizer
    )
    sgd = torch.optim.SGD(training.model.parameters(), lr=0.1)
    poor = Subject(training.model, parameters, "4", [], lambda logits, targets: logits.sum(), None, None, None, sgd)
    assert [name for name in PROBES if not PROBES[name].fits(rich)] == ["attention", "loss_scale"]
    unfit = {name for name in PROBES if not PROBES[name].fits(poor)}
    assert unfit >= {"feature_change", "evaluation", "precision", "features"}
    assert unfit >= {"effective_step", "effective_step_quantiles", "below_epsilon_fraction"}
