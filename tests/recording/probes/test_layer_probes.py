"""Means, singular values and snapshots of the last layer and the weights, against NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from slingshot_analysis import InputError, Recorder, open_trace
from slingshot_analysis.recording import Every, Features, MeanShares, SpectralNorm


def record(path, loop, probes, model=None, updates=10, **options):
    """Record with data; return the trace, and the weights by name of each state."""
    training = loop(model)
    states = []

    def watch(step, *_):
        states.append({n: p.detach().double().numpy().copy() for n, p in training.model.named_parameters()})

    options = {"train_data": training.data} | options
    with Recorder(path, training.model, training.optimizer, probes=probes, **options) as recorder:
        training.run(updates, recorder, watch)
    watch(updates)
    return open_trace(path).held(), states, training


def features(training, state, samples=32):
    x = training.inputs[:samples].double().numpy()
    hidden = np.maximum(x @ state["0.weight"].T + state["0.bias"], 0)
    return np.tanh(hidden @ state["2.weight"].T + state["2.bias"])


def mean_share(rows):
    return (rows.mean(0) ** 2).sum() / (rows**2).sum(1).mean()


def test_mean_shares(tmp_path, loop):
    trace, states, training = record(tmp_path / "run.h5", loop, [MeanShares(every=Every(2))])
    assert trace["classifier_mean_share"].step.tolist() == [0, 2, 4, 6, 8, 10]
    for row, state in enumerate(states[::2]):
        weight = state["4.weight"]
        share = 3 * np.linalg.norm(weight.mean(0)) ** 2 / np.linalg.norm(weight) ** 2
        assert trace["classifier_mean_share"].value[row] == pytest.approx(share, rel=1e-6)
        share = mean_share(features(training, state))
        assert trace["feature_mean_share"].value[row] == pytest.approx(share, rel=1e-5)


def test_a_weight_that_all_classes_share(tmp_path):
    model = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=["mean_shares"]) as recorder:
        recorder.update()
    trace = open_trace(tmp_path / "run.h5")
    assert trace["classifier_mean_share"].value[0] == pytest.approx(1)
    assert "feature_mean_share" not in trace.names


class Convolutional(nn.Module):
    """Logits of every position, or of the last layer's whole input."""

    def __init__(self, positions=True):
        super().__init__()
        self.first = nn.Conv1d(1, 4, 3)
        self.head = nn.Linear(4, 3) if positions else nn.Conv1d(4, 3, 4)
        self.positions = positions

    def forward(self, x):
        h = torch.relu(self.first(x.unsqueeze(1)))
        return self.head(h.mT).mean(1) if self.positions else self.head(h).squeeze(-1)


@pytest.mark.parametrize("positions", [True, False])
def test_features_of_positions_and_of_channels(tmp_path, loop, positions):
    probes = [MeanShares(every=Every(10)), Features(every=Every(10))]
    trace, _, training = record(tmp_path / "run.h5", loop, probes, model=lambda: Convolutional(positions))
    inputs = training.inputs[:32].unsqueeze(1)
    h = torch.relu(training.model.first(inputs)).detach().double().numpy()
    rows = h.transpose(0, 2, 1).reshape(-1, 4) if positions else h.reshape(32, -1)
    assert trace["feature_mean_share"].value[-1] == pytest.approx(mean_share(rows), rel=1e-5)
    snapshot = h.transpose(0, 2, 1) if positions else h
    np.testing.assert_allclose(trace["features"].value[-1], snapshot.reshape(32, -1), atol=1e-6)


def test_features_are_those_of_the_probe_batch(tmp_path, loop):
    inputs = loop().inputs[:5]
    trace, states, training = record(tmp_path / "run.h5", loop, [Features(every=Every(4))], probe_inputs=inputs)
    signal = trace["features"]
    assert signal.value.shape == (4, 5, 16)
    assert [axis.name for axis in signal.axes] == ["sample", "unit"]
    for row, t in enumerate(signal.step):
        np.testing.assert_allclose(signal.value[row], features(training, states[t], 5), atol=1e-6)


def test_features_are_of_at_most_64_samples_and_in_a_bundle_only_where_they_are_small(tmp_path, loop, monkeypatch):
    inputs = loop().inputs.repeat(4, 1)[:100]
    trace, states, training = record(tmp_path / "a.h5", loop, ["standard"], probe_inputs=inputs)
    assert trace["features"].value.shape == (2, 64, 16)
    whole = features(training, states[0], len(training.inputs))
    np.testing.assert_allclose(trace["features"].value[0], np.tile(whole, (4, 1))[:64], atol=1e-6)
    monkeypatch.setattr("slingshot_analysis.recording.probes.features.BUNDLE_BYTES", 64 * 16 * 4 - 1)
    trace, _, _ = record(tmp_path / "b.h5", loop, ["standard"], probe_inputs=inputs)
    assert "features" not in trace


def test_features_need_inputs_and_space(tmp_path, loop, monkeypatch):
    with pytest.raises(InputError, match="'features' needs inputs"):
        record(tmp_path / "a.h5", loop, ["features"], train_data=None)
    monkeypatch.setattr("slingshot_analysis.recording.probes.features.MOST_BYTES", 2**11 - 1)
    with pytest.raises(InputError, match="would write 2 KiB a row, for 32 samples and 16 units"):
        record(tmp_path / "b.h5", loop, ["features"])


def test_singular_values(tmp_path, loop):
    trace, states, _ = record(tmp_path / "run.h5", loop, [SpectralNorm(every=Every(5))], model=Convolutional)
    assert trace["spectral_norm"].axes[0].labels == ("first.weight", "head.weight")
    for row, state in enumerate(states[::5]):
        for i, name in enumerate(("first.weight", "head.weight")):
            matrix = state[name].reshape(len(state[name]), -1)
            norm = np.linalg.norm(matrix, 2)
            assert trace["spectral_norm"].value[row, i] == pytest.approx(norm, rel=1e-5)
            assert trace["stable_rank"].value[row, i] == pytest.approx(np.linalg.norm(matrix) ** 2 / norm**2, rel=1e-5)


def test_a_diverged_matrix_has_no_singular_values(tmp_path):
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with torch.no_grad():
        model.weight[0, 0] = torch.nan
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=["spectral_norm"]) as recorder:
        recorder.update()
    trace = open_trace(tmp_path / "run.h5")
    assert np.isnan(trace["spectral_norm"].value[0, 0])
    assert np.isnan(trace["stable_rank"].value[0, 0])
