"""Loops in JAX and MLX, a callback of Keras, and optimizers of other packages."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from documented import code
from torch import nn

from slingshot_analysis import Axis, Group, Quantity, Recorder, TraceWriter, analyze, open_trace
from slingshot_analysis.trace import array_norms, named_arrays, total_norm

pytestmark = pytest.mark.filterwarnings("ignore")  # of the framework, about itself


def test_a_jax_loop(tmp_path):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jnp = jax.numpy
    key = jax.random.PRNGKey(0)
    inputs, targets = jax.random.normal(key, (64, 6)), jax.random.randint(key, (64,), 0, 3)
    weights = {"hidden": {"kernel": 0.3 * jax.random.normal(key, (6, 8))}, "head": 0.3 * jnp.ones((8, 3))}

    def loss_of(weights):
        logits = jax.nn.relu(inputs @ weights["hidden"]["kernel"]) @ weights["head"]
        return -jax.nn.log_softmax(logits)[jnp.arange(64), targets].mean()

    step_of = jax.jit(jax.value_and_grad(loss_of))
    names = list(named_arrays(weights))
    assert names == ["hidden.kernel", "head"]
    quantities = [Quantity("batch_loss", "nat"), Quantity("last_layer_norm"), Quantity("gradient_norm")]
    quantities.append(Quantity("parameter_norm", axes=[Axis("parameter", names)]))
    with TraceWriter(tmp_path / "run.h5", [Group("every_1", quantities)]) as writer:
        for step in range(60):
            loss, gradient = step_of(weights)
            norms = array_norms(weights)
            row = {"batch_loss": loss, "gradient_norm": total_norm(gradient)}
            writer.append("every_1", step, last_layer_norm=norms[-1], parameter_norm=norms, **row)
            weights = jax.tree.map(lambda w, g: w - 0.5 * g, weights, gradient)
    trace = open_trace(tmp_path / "run.h5")
    assert trace["batch_loss"].value[-1] < trace["batch_loss"].value[0]
    np.testing.assert_allclose(trace["last_layer_norm"].value[0], 0.3 * np.sqrt(24), rtol=1e-6)
    assert analyze(tmp_path / "run.h5").verdict


def test_an_mlx_loop(tmp_path):
    mx = pytest.importorskip("mlx.core", reason="MLX is not installed")
    from mlx import nn as layers
    from mlx.optimizers import SGD

    model = layers.Sequential(layers.Linear(6, 8), layers.ReLU(), layers.Linear(8, 3))
    inputs, targets = mx.random.normal((64, 6)), mx.random.randint(0, 3, (64,))
    step_of = layers.value_and_grad(model, lambda: layers.losses.cross_entropy(model(inputs), targets).mean())
    optimizer, weights = SGD(0.1), []
    quantities = [Quantity("batch_loss", "nat"), Quantity("last_layer_norm"), Quantity("gradient_norm")]
    with TraceWriter(tmp_path / "run.h5", [Group("every_1", quantities)]) as writer:
        for step in range(60):
            loss, gradient = step_of()
            norms = dict(zip(named_arrays(model.parameters()), array_norms(model.parameters()), strict=True))
            weights.append(np.array(model.layers[2].weight))
            row = {"batch_loss": loss.item(), "gradient_norm": total_norm(gradient)}
            writer.append("every_1", step, last_layer_norm=norms["layers.2.weight"], **row)
            optimizer.update(model, gradient)
            mx.eval(model.parameters())
    trace = open_trace(tmp_path / "run.h5")
    assert trace["batch_loss"].value[-1] < trace["batch_loss"].value[0]
    np.testing.assert_allclose(trace["last_layer_norm"].value, [np.linalg.norm(w) for w in weights], rtol=1e-6)
    assert analyze(tmp_path / "run.h5").verdict


def test_a_keras_callback(tmp_path, monkeypatch):
    """A row has the loss of its batch and the norm before its update; the weights are as without the callback."""
    monkeypatch.chdir(tmp_path)
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    generator = np.random.default_rng(0)
    inputs, targets = generator.normal(size=(20, 6)).astype("float32"), generator.integers(3, size=20)

    def network():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(3)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    given = {"model": network(), "inputs": inputs, "targets": targets}
    model = given["model"]
    given["model"] = SimpleNamespace(fit=lambda *data, **options: model.fit(*data, shuffle=False, **options))
    exec(code("keras"), given)
    by_hand, losses, norms = network(), [], []
    for rows in [slice(i, i + 8) for _ in range(3) for i in range(0, 20, 8)]:
        norms.append(np.linalg.norm(by_hand.trainable_variables[-2].numpy()))
        by_hand.reset_metrics()
        losses.append(float(by_hand.train_on_batch(inputs[rows], targets[rows])))
    trace = open_trace("keras.h5")
    np.testing.assert_allclose(trace["batch_loss"].value, losses, rtol=1e-6)
    np.testing.assert_allclose(trace["last_layer_norm"].value, norms, rtol=1e-6)
    for one, other in zip(model.trainable_variables, by_hand.trainable_variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_a_schedule_free_optimizer_has_an_effective_step(tmp_path):
    schedulefree = pytest.importorskip("schedulefree", reason="schedulefree is not installed")
    torch.manual_seed(0)
    model = nn.Linear(6, 3)
    optimizer = schedulefree.AdamWScheduleFree(model.parameters(), lr=0.01)
    optimizer.train()
    probes = ["batch", "norms", "effective_step:1"]
    with Recorder(tmp_path / "run.h5", model, optimizer, probes=probes).attach() as recorder:
        for _ in range(5):
            optimizer.zero_grad()
            logits, targets = model(torch.ones(8, 6)), torch.zeros(8, dtype=torch.long)
            loss = nn.functional.cross_entropy(logits, targets)
            recorder.batch(loss, logits, targets)
            loss.backward()
            optimizer.step()
    steps = open_trace(tmp_path / "run.h5")["effective_step"].value
    assert np.isfinite(steps[1:]).all()
    assert (steps[1:] > 0).all()
