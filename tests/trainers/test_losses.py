"""StableMax and ⊥Grad against their formulas in NumPy, in the loop, and without waiting for the device."""

import dataclasses
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from slingshot_analysis import InputError, Recorder, open_trace
from trainers.interventions import orthogonalize_gradients
from trainers.loop import train
from trainers.losses import LOSSES, stablemax_cross_entropy
from trainers.optimizers import OPTIMIZERS
from trainers.overrides import with_optimizer
from trainers.recorded_run import record
from trainers.run import Run
from trainers.setups import find_setup

CPU = torch.device("cpu")
READS = ("aten._local_scalar_dense", "aten.nonzero", "aten.is_nonzero", "aten.equal", "aten.masked_select", "aten.item")


def short(**changes):
    return dataclasses.replace(find_setup("parity_3_50"), **{"steps": 40, **changes})


def normal(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exact_stablemax_loss(logits, target):
    s = [Fraction(z) + 1 if z >= 0 else 1 / (1 - Fraction(z)) for z in logits]
    return math.log1p((sum(s) - s[target]) / s[target])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_stablemax_is_the_formula_in_rational_numbers(scale, dtype, tolerance):
    logits = normal(6, 5, scale=scale).to(dtype)
    logits[:, 1] = 0
    targets = torch.tensor([0, 1, 2, 3, 4, 0])
    expected = [exact_stablemax_loss(*row) for row in zip(logits.tolist(), targets.tolist(), strict=True)]
    loss = stablemax_cross_entropy(logits, targets)
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(np.mean(expected), rel=tolerance)


def test_a_small_stablemax_loss_is_precise_in_float32():
    logits = torch.tensor([[1e6, -1e6, -2e6]])
    expected = exact_stablemax_loss(logits[0].tolist(), 0)
    assert expected < 1e-11
    assert stablemax_cross_entropy(logits, torch.tensor([0])).item() == pytest.approx(expected, rel=1e-6)


def test_stablemax_gradients():
    # -1, 0 and 1 are where a branch of s ends, or the one that is left out has its pole
    logits = torch.cat([normal(7, 4, seed=1, scale=3.0), torch.tensor([[1.0, -1.0, 0.0, 1.0]], dtype=torch.float64)])
    logits.requires_grad_()
    targets = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
    assert torch.autograd.gradcheck(lambda z: stablemax_cross_entropy(z, targets), logits)


def test_orthogonal_gradients_follow_the_formula():
    shapes = (5, 3), (5,), (2, 3, 4)
    weights = [nn.Parameter(normal(*shape, seed=i)) for i, shape in enumerate(shapes)]
    gradients = [normal(*shape, seed=10 + i) for i, shape in enumerate(shapes)]
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient.clone()
    orthogonalize_gradients([*weights, nn.Parameter(torch.ones(3))])
    for weight, gradient in zip(weights, gradients, strict=True):
        w, g = weight.detach().numpy().ravel(), gradient.numpy().ravel()
        part = g - (w @ g) / (w @ w) * w
        np.testing.assert_allclose(weight.grad.numpy().ravel(), part * np.linalg.norm(g) / np.linalg.norm(part), 1e-12)
        assert abs(w @ weight.grad.numpy().ravel()) < 1e-13 * np.linalg.norm(w) * np.linalg.norm(g)


def test_orthogonal_gradients_of_zeros_are_finite():
    still, flat = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.ones(3))
    still.grad, flat.grad = torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3)
    orthogonalize_gradients([still, flat])
    assert torch.equal(still.grad, torch.tensor([1.0, 2.0, 3.0]))
    assert torch.equal(flat.grad, torch.zeros(3))


def test_the_loop_minimises_stablemax_along_orthogonal_gradients():
    setup = short(loss="stablemax", orthogonal_gradient=True, steps=31, dtype="float64")
    run, other = Run(setup, CPU), Run(setup, CPU)
    train(run)
    data, parameters = other.data, list(other.model.parameters())
    for _, batch in zip(range(setup.steps), other.batches, strict=False):
        z, rows = other.model(data.train_inputs[batch]), torch.arange(32)
        s = torch.where(z >= 0, z + 1, 1 / (1 - z))
        loss = -torch.log(s[rows, data.train_targets[batch]] / s.sum(1)).mean()
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            part = g - (p * g).sum() / (p * p).sum() * p
            p.grad = part.detach() * g.norm() / part.norm().detach()
        other.optimizer.step()
    for a, b in zip(run.model.parameters(), parameters, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


def test_the_recorded_loss_and_gradient_are_those_of_training(tmp_path):
    trace = open_trace(record(short(loss="stablemax", orthogonal_gradient=True), tmp_path))
    np.testing.assert_allclose(trace["batch_loss"].value, trace["batch_loss_float64"].value, rtol=1e-5)
    run = Run(short(loss="stablemax"), CPU)
    inputs, targets = run.data.train_inputs, run.data.train_targets
    whole = stablemax_cross_entropy(run.model(inputs).double(), targets).item()
    assert trace["train_loss"].value[0] == pytest.approx(whole, rel=1e-6)
    plain = open_trace(record(short(steps=1), tmp_path))
    assert plain["train_loss"].value[0] != pytest.approx(whole, rel=1e-3)


def test_the_recorder_sees_the_gradient_that_the_optimizer_sees():
    run, cosines = Run(short(orthogonal_gradient=True, steps=5, dtype="float64"), CPU), []

    def angles(*_):
        pairs = [(p.detach().flatten(), p.grad.flatten()) for p in run.model.parameters()]
        cosines.extend(torch.cosine_similarity(w, g, dim=0).item() for w, g in pairs)

    train(run, angles)
    np.testing.assert_allclose(cosines, np.zeros(5 * 6), atol=1e-13)


@pytest.mark.parametrize(("name", "loss"), [("parity_3_50", "output"), ("quadratic", "stablemax")])
def test_a_loss_that_does_not_fit_the_data_is_refused(name, loss):
    with pytest.raises(InputError, match=f"loss is '{loss}', which does not fit"):
        Run(dataclasses.replace(find_setup(name), loss=loss), CPU)


class Watch(TorchDispatchMode):
    """Note the operations that read a value on the host, or copy from the device to it."""

    def __init__(self):
        super().__init__()
        self.operations, self.waits = 0, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.operations += 1
        devices = {t.device.type for t in args if isinstance(t, torch.Tensor)}
        copied = isinstance(result, torch.Tensor) and result.device.type == "cpu" and devices - {"cpu"}
        if copied or str(func).startswith(READS):
            self.waits.append(str(func))
        return result


# fused optimizers do not run on the meta device
@pytest.mark.parametrize(
    ("device", "optimizer", "autocast"),
    [
        ("meta", "adaptive", "none"),
        ("meta", "rmsprop", "none"),
        *(("cpu", name, "none") for name in OPTIMIZERS),
        ("cpu", "adam", "bfloat16"),
    ],
)
@pytest.mark.parametrize("loss", ["cross_entropy", "stablemax"])
@pytest.mark.parametrize("orthogonal", [False, True])
def test_a_training_update_never_waits_for_the_device(tmp_path, device, optimizer, autocast, loss, orthogonal):
    setup = with_optimizer(short(loss=loss, orthogonal_gradient=orthogonal, autocast=autocast, steps=40), optimizer)
    run = Run(setup, torch.device(device))
    options = {"loss_function": setup.loss_function, "checks": False, "flush_seconds": 1e9}
    recorder = Recorder(tmp_path / "run.h5", run.model, run.optimizer, **options)
    with Watch() as watch:
        train(run, recorder)
    assert watch.operations > 40 * 25
    assert watch.waits == []


def test_the_watch_sees_a_loss_that_waits(monkeypatch):
    monkeypatch.setitem(LOSSES, "stablemax", lambda logits, targets: logits.mean() * logits.sum().item())
    with Watch() as watch:
        train(Run(short(loss="stablemax", steps=3), CPU))
    assert watch.waits == ["aten._local_scalar_dense.default"] * 3
