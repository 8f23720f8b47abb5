"""Products with the Hessian and the Gauss-Newton matrix against the matrices, and what they leave alone."""

import copy

import pytest
import torch
from torch import nn

from slingshot_analysis.recording.curvature import (
    GaussNewtonOperator,
    HessianOperator,
    MeanLoss,
    fixed_samples,
    secant_sharpness,
    sharpness,
)
from slingshot_analysis.recording.curvature import hessian as hessian_module
from slingshot_analysis.recording.subject.losses import cross_entropy


def directions(n, count=4):
    return torch.randn(count, n, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def test_products_loss_and_gradient(case, dense):
    operator = HessianOperator(case.mean_loss)
    flat = case.point.requires_grad_()
    loss = case.loss_at(flat)
    torch.testing.assert_close(operator.loss, loss.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(operator.gradient, torch.autograd.grad(loss, flat)[0], rtol=1e-9, atol=1e-12)
    for v in directions(operator.dimension):
        torch.testing.assert_close(operator(v), dense @ v, rtol=1e-9, atol=1e-10)


def test_graphs_too_large_to_keep_are_rebuilt(small, monkeypatch):
    v = directions(small.mean_loss.dimension, 1)[0]
    kept = HessianOperator(small.mean_loss)
    monkeypatch.setattr(hessian_module, "GRAPH_BYTES", 1000)
    rebuilt = HessianOperator(small.mean_loss)
    assert (len(kept._graphs), len(rebuilt._graphs)) == (3, 0)
    assert torch.equal(kept(v), rebuilt(v))


def test_blocks(case, dense):
    operator = HessianOperator(case.mean_loss)
    names, sizes = case.mean_loss.names, case.mean_loss.sizes
    chosen = [names[0], names[2]]
    index = torch.cat([torch.arange(sum(sizes[:i]), sum(sizes[: i + 1])) for i in (0, 2)])
    block = operator.block(chosen)
    v = directions(block.dimension, 1)[0]
    torch.testing.assert_close(block(v), dense[index][:, index] @ v, rtol=1e-9, atol=1e-10)


def test_gauss_newton(case):
    operator, dense = GaussNewtonOperator(case.mean_loss), case.dense_gauss_newton()
    for v in directions(operator.dimension, 2):
        torch.testing.assert_close(operator(v), dense @ v, rtol=1e-9, atol=1e-10)


def test_a_point_of_the_past(small):
    past = {name: p + 0.1 for name, p in small.parameters.items()}
    operator = HessianOperator(small.mean_loss, past)
    now = HessianOperator(small.mean_loss)
    model = copy.deepcopy(small.model)
    model.load_state_dict(past)
    v = directions(operator.dimension, 1)[0]
    there = MeanLoss(model, cross_entropy, small.batches, model_dtype=torch.float64)
    assert torch.equal(operator(v), HessianOperator(there)(v))
    assert not torch.equal(operator(v), now(v))
    assert operator.is_at(past, None)
    assert not operator.is_at(None, None)


def test_sharpness(small):
    dense, operator = small.dense(), HessianOperator(small.mean_loss)
    u = 1e-4 * directions(operator.dimension, 1)[0]
    expected = u @ dense @ u / (u @ u)
    torch.testing.assert_close(sharpness(operator, u), expected, rtol=1e-9, atol=0)
    parts = zip(small.parameters.items(), small.mean_loss.split(operator.point + u), strict=True)
    after = {name: part for (name, _), part in parts}
    secant = secant_sharpness(small.mean_loss, small.parameters, after)
    torch.testing.assert_close(secant, expected, rtol=1e-2, atol=0)


def test_the_model_is_left_alone(disturbable):
    torch.manual_seed(0)
    model = disturbable()
    inputs, targets = torch.randn(20, 6), torch.randint(0, 3, (20,))
    cross_entropy(model(inputs), targets).backward()
    before = copy.deepcopy(model)
    gradients = [p.grad.clone() for p in model.parameters()]
    modes, random = [m.training for m in model.modules()], torch.get_rng_state()
    mean_loss = MeanLoss(model, cross_entropy, list(zip(inputs.split(8), targets.split(8), strict=True)))
    operator = HessianOperator(mean_loss)
    v = directions(operator.dimension, 1)[0]
    assert torch.equal(operator(v), operator(v))
    assert torch.equal(operator(v), HessianOperator(mean_loss)(v))
    GaussNewtonOperator(mean_loss)(v)
    mean_loss.gradient()
    assert torch.equal(torch.get_rng_state(), random)
    assert [m.training for m in model.modules()] == modes
    for p, old, gradient in zip(model.parameters(), before.parameters(), gradients, strict=True):
        assert torch.equal(p, old)
        assert torch.equal(p.grad, gradient)
    for a, b in zip(model.buffers(), before.buffers(), strict=True):
        assert torch.equal(a, b)


def test_fitted_samples_keep_their_curvature():
    # loss log(1 + e^(-z)) of a sample at margin z = 80 has second derivative e^-80, far below float64's epsilon
    data = [(torch.ones(1, 1), torch.zeros(1, dtype=torch.long))]
    operator = HessianOperator(MeanLoss(nn.Linear(1, 2), cross_entropy, data),
                               {"weight": torch.tensor([[40.0], [-40.0]]), "bias": torch.zeros(2)})  # fmt: skip
    v = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    assert (v @ operator(v)).item() == pytest.approx(torch.exp(torch.tensor(-80.0, dtype=torch.float64)).item())


def test_ignored_targets_do_not_count(small):
    targets = small.targets.clone()
    targets[5:] = -100
    ignoring = MeanLoss(small.model, cross_entropy, [(small.inputs[:7], targets[:7]), (small.inputs[7:], targets[7:])])
    only = MeanLoss(small.model, cross_entropy, [(small.inputs[:5], targets[:5])])
    for a, b in zip(ignoring.gradient(), only.gradient(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_samples_of_a_large_set_are_fixed_and_chunked(monkeypatch):
    monkeypatch.setattr("slingshot_analysis.recording.curvature.samples.CHUNK", 20)
    batches = [(torch.arange(i, i + 7.0).unsqueeze(1), torch.arange(i, i + 7)) for i in range(0, 700, 7)]
    random = torch.get_rng_state()
    first, second = fixed_samples(batches, 50), fixed_samples(batches, 50)
    assert torch.equal(torch.get_rng_state(), random)
    assert [len(targets) for _, targets in first] == [20, 20, 10]
    drawn = torch.cat([targets for _, targets in first])
    assert len(drawn.unique()) == 50
    assert drawn.max() > 600
    assert torch.equal(drawn, torch.cat([targets for _, targets in second]))
    assert sum(len(targets) for _, targets in fixed_samples(batches)) == 700


def test_weights_that_are_not_finite(small):
    broken = {name: torch.full_like(p, torch.inf) for name, p in small.parameters.items()}
    operator = HessianOperator(small.mean_loss, broken)
    assert operator.loss.isnan()
    assert operator(directions(operator.dimension, 1)[0]).isnan().any()


def test_autocast_of_training_changes_nothing(small):
    mean_loss = MeanLoss(small.model, cross_entropy, small.batches)
    v = directions(mean_loss.dimension, 1)[0]
    expected = [operator(mean_loss)(v) for operator in (HessianOperator, GaussNewtonOperator)]
    with torch.autocast("cpu", torch.bfloat16):
        found = [operator(mean_loss)(v) for operator in (HessianOperator, GaussNewtonOperator)]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
