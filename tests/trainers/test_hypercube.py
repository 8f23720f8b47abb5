"""The hypercube data against statistics of it, and its setup."""

import sys

import numpy as np
import pytest
import torch

from slingshot_analysis import InputError, open_trace
from trainers.data.hypercube import Hypercube
from trainers.overrides import override_all
from trainers.recorded_run import record
from trainers.setups import hypercube

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

(SETUP,) = hypercube.SETUPS


def make(seed=0, **fields):
    return Hypercube(**fields).make(torch.Generator().manual_seed(seed))


def variance_ratios(inputs, targets):
    """Variance of the class means over the variance within classes (the F statistic), for each feature."""
    classes, counts = np.unique(targets, return_counts=True)
    means = np.stack([inputs[targets == c].mean(0) for c in classes])
    within = sum(((inputs[targets == c] - mean) ** 2).sum(0) for c, mean in zip(classes, means, strict=True))
    between = (counts[:, None] * (means - inputs.mean(0)) ** 2).sum(0)
    return (between / (len(classes) - 1)) / (within / (len(inputs) - len(classes)))


def test_shapes_and_classes():
    data = make()
    assert data.train_inputs.shape == data.val_inputs.shape == (256, 128)
    assert (data.train_inputs.dtype, data.train_targets.dtype) == (torch.float32, torch.int64)
    counts = np.bincount(torch.cat([data.train_targets, data.val_targets]))
    assert len(counts) == data.classes == 8
    assert counts.min() >= 56
    assert counts.max() <= 72
    assert set(data.train_targets.tolist()) == set(data.val_targets.tolist()) == set(range(8))


@pytest.mark.parametrize("seed", range(4))
def test_only_three_features_tell_the_classes_apart(seed):
    data = make(seed, train=4096, val=1)
    inputs, targets = data.train_inputs.numpy(), data.train_targets.numpy()
    ratios = np.sort(variance_ratios(inputs, targets))
    assert ratios[-4] < 5
    assert ratios[-3] > 100
    noise = np.argsort(variance_ratios(inputs, targets))[:-3]
    np.testing.assert_allclose(inputs[:, noise].mean(0), 0, atol=0.08)
    np.testing.assert_allclose(inputs[:, noise].std(0), 1, atol=0.06)


def test_each_class_sits_on_its_own_corner():
    data = make(1, train=4096, val=1)
    inputs, targets = data.train_inputs.numpy(), data.train_targets.numpy()
    informative = np.argsort(variance_ratios(inputs, targets))[-3:]
    corners = np.stack([inputs[targets == c][:, informative].mean(0) for c in range(8)])
    np.testing.assert_allclose(np.abs(corners), 1, atol=0.25)
    assert len(np.unique(np.sign(corners), axis=0)) == 8


def test_a_seed_fixes_the_data():
    first, again, other = make(3), make(3), make(4)
    assert torch.equal(first.train_inputs, again.train_inputs)
    assert torch.equal(first.val_targets, again.val_targets)
    assert not torch.equal(first.train_inputs, other.train_inputs)
    assert not torch.equal(first.train_inputs, first.val_inputs)


@pytest.mark.parametrize(
    "fields", [{"informative": 0}, {"informative": 129}, {"classes": 9}, {"classes": 1}, {"train": 0}, {"val": 0}]
)
def test_impossible_data_are_refused(fields):
    with pytest.raises(InputError, match="hypercube needs"):
        Hypercube(**fields)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError, match=r'pip install "slingshot-analysis\[trainers\]"'):
        make()


def test_the_setup_trains_and_writes_a_trace(tmp_path):
    trace = open_trace(record(override_all(SETUP, ["steps=3"]), tmp_path))
    assert trace.finished
    assert trace.attributes["setup"] == "hypercube"
    assert len(trace["last_layer_norm"]) == 3
    assert np.isfinite(trace["batch_loss"].value).all()
