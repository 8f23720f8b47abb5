"""A loop in JAX, and optimizers of other packages."""

import numpy as np
import pytest
import torch
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
