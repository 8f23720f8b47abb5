"""Without the parts of PyTorch that are not public, the values are the same."""

import pytest
import torch
from torch import nn

from slingshot_analysis.recording import torch_internals


def tensors(n=3):
    return [torch.randn(size, 4) for size in range(1, n + 1)]


def test_operations_on_several_tensors(monkeypatch):
    positive = [tensor.abs() for tensor in tensors()]
    for operation, other in [("mul", tensors()), ("mul_", 0.3), ("div_", [2.0, 3.0, 0.1]), ("sub_", tensors())]:
        assert_same(monkeypatch, f"_foreach_{operation}", operation, tensors(), other)
    assert_same(monkeypatch, "_foreach_copy_", "copy_", tensors(), tensors())
    assert_same(monkeypatch, "_foreach_sqrt", "sqrt", positive)
    assert_same(monkeypatch, "_foreach_add_", "add_", tensors(), 1e-3)
    assert_same(monkeypatch, "_foreach_clamp_min", "clamp_min", tensors(), 0.1)
    assert_same(monkeypatch, "_foreach_lerp_", "lerp_", tensors(), tensors(), 0.1)
    assert_same(monkeypatch, "_foreach_addcmul_", "addcmul_", tensors(), tensors(), tensors(), value=0.2)
    assert_same(monkeypatch, "_foreach_addcdiv_", "addcdiv_", tensors(), tensors(), positive, value=[0.1, 0.2, 0.3])


def assert_same(monkeypatch, private, operation, given, *others, **value):
    """Compare both ways to compute an operation; in place, what it leaves behind."""
    copies = [tensor.clone() for tensor in given]
    together = torch_internals.foreach(operation, copies, *others, **value)
    with monkeypatch.context() as patch:
        patch.delattr(torch, private)
        one_by_one = torch_internals.foreach(operation, given, *others, **value)
    if operation.endswith("_"):
        together, one_by_one = copies, given
    assert len(together) == len(given)
    assert all(map(torch.equal, together, one_by_one))


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_norms(dtype, monkeypatch):
    given = tensors()
    together = torch_internals.norms(given, dtype)
    monkeypatch.delattr(torch, "_foreach_norm")
    assert all(map(torch.equal, together, torch_internals.norms(given, dtype)))
    assert together[0].dtype == (dtype or torch.float32)


def test_log_softmax_backward(monkeypatch):
    logits, upstream = torch.randn(5, 7), torch.randn(5, 7)
    log_p = torch.log_softmax(logits, -1)
    found = torch_internals.log_softmax_backward(upstream, log_p, logits)
    monkeypatch.delattr(torch, "_log_softmax_backward_data")
    assert torch.equal(found, torch_internals.log_softmax_backward(upstream, log_p, logits))
    assert torch.allclose(found, upstream - log_p.exp() * upstream.sum(-1, keepdim=True), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nll_loss_and_gradient(dtype, monkeypatch):
    log_p, targets = torch.randn(5, 3, dtype=dtype).log_softmax(-1), torch.tensor([0, 2, 1, 1, 0])
    loss, gradient = torch_internals.nll_loss_and_gradient(log_p, targets)
    monkeypatch.setattr(torch_internals, "_NLL_LOSS", None)
    assert all(map(torch.equal, (loss, gradient), torch_internals.nll_loss_and_gradient(log_p, targets)))
    assert loss == torch.nn.functional.nll_loss(log_p, targets)
    assert torch.equal(gradient, torch.nn.functional.one_hot(targets, 3) * torch.tensor(-0.2, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nll_losses_and_gradient(dtype, monkeypatch):
    log_p, targets = torch.randn(4, 37, 3, dtype=dtype).log_softmax(-1), torch.randint(3, (4, 37))
    losses, gradient = torch_internals.nll_losses_and_gradient(log_p, targets)
    each = [torch_internals.nll_loss_and_gradient(*run) for run in zip(log_p, targets, strict=True)]
    assert torch.equal(losses, torch.stack([loss for loss, _ in each]))
    assert torch.equal(gradient, torch.stack([of_run for _, of_run in each]))
    monkeypatch.setattr(torch_internals, "_NLL_LOSS", None)
    assert all(map(torch.equal, (losses, gradient), torch_internals.nll_losses_and_gradient(log_p, targets)))


def test_relu_backward(monkeypatch):
    output, gradient = torch.tensor([0.0, 1.0, 0.0, 2.0]), torch.tensor([1.0, 2.0, -3.0, -4.0])
    copy = gradient.clone()
    torch_internals.relu_backward_(copy, output)
    monkeypatch.setattr(torch_internals, "_THRESHOLD_BACKWARD", None)
    torch_internals.relu_backward_(gradient, output)
    assert gradient.tolist() == copy.tolist() == [0.0, 2.0, 0.0, -4.0]


def test_compiled_models():
    model = nn.Sequential(nn.Linear(2, 2))
    compiled = torch.compile(model, backend="aot_eager")
    assert torch_internals.uncompiled(compiled) is model
    assert torch_internals.uncompiled(model) is model
    assert torch_internals.is_compiled(nn.Sequential(compiled))
    assert not torch_internals.is_compiled(model)
