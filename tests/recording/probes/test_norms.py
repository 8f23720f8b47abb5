import numpy as np
import pytest
import torch

from slingshot_analysis.recording.probes._parameter_norms import PIECE, ParameterNorms, norm_dtype

SHAPES = [(7, 5), (7,), (1, 7), ()]


def tensors(dtype, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    return [(scale * torch.randn(shape, generator=generator)).to(dtype) for shape in SHAPES]


def expected(given):
    return [np.linalg.norm(t.to(torch.float64).numpy()) for t in given]


def parameters(dtype, scale=1.0):
    made = [torch.nn.Parameter(t) for t in tensors(dtype, scale)]
    for p in made:
        p.grad = 3 * p.detach().clone()
    return made


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_norms_against_numpy(dtype, scale, in_place):
    made = parameters(dtype, scale)
    norms = ParameterNorms(made)
    if not in_place:
        norms._in_place = False
    slot = torch.zeros(2 * len(made), dtype=norms.dtype)
    with torch.no_grad():
        assert norms.measure(slot)
    given = [p.detach() for p in made]
    np.testing.assert_allclose(slot.numpy(), expected([*given, *(p.grad for p in made)]), rtol=2e-6)


@pytest.mark.parametrize("elements", [PIECE, PIECE + 1, 20 * PIECE + 7])
def test_a_long_tensor_is_as_accurate_as_a_short_one(elements):
    long = torch.nn.Parameter(torch.randn(elements, generator=torch.Generator().manual_seed(0)))
    long.grad = torch.ones(elements)
    slot = torch.zeros(2)
    ParameterNorms([long]).measure(slot)
    np.testing.assert_allclose(slot, expected([long.detach(), long.grad]), rtol=2e-7)


def test_squares_that_underflow_are_kept():
    made = parameters(torch.float32, 1e-21)
    slot = torch.zeros(2 * len(made))
    ParameterNorms(made).measure(slot)
    np.testing.assert_allclose(slot[: len(made)], expected([p.detach() for p in made]), rtol=2e-6)


def test_norms_follow_parameters_whose_storage_is_replaced():
    made = parameters(torch.float32)
    norms, slot = ParameterNorms(made), torch.zeros(2 * len(made))
    norms.measure(slot)
    made[0].data = torch.full((7, 5), 2.0)
    norms.measure(slot)
    np.testing.assert_allclose(slot[0], 2 * 35**0.5, rtol=1e-6)


def test_a_gradient_that_is_not_there_has_norm_0():
    made = parameters(torch.float32)
    made[1].grad = None
    norms, slot = ParameterNorms(made), torch.ones(2 * len(made))
    assert norms.measure(slot)
    assert slot[len(made) + 1] == 0
    for p in made:
        p.grad = None
    assert not norms.measure(slot)


def test_dtype():
    assert norm_dtype(tensors(torch.bfloat16)) == torch.float32
    assert norm_dtype(tensors(torch.float64)) == torch.float64
