"""Eigenvalues against dense matrices and scipy, and what a search does where it could go wrong."""

import copy

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.curvature import (
    EigenvalueTracker,
    HessianOperator,
    MatrixOperator,
    MeanLoss,
    PreconditionedOperator,
    Solver,
    preconditioner,
)
from slingshot_analysis.recording.subject.losses import cross_entropy
from slingshot_analysis.recording.subject.optimizer_state import AdaptiveState


def matrix(eigenvalues, seed=0):
    n = len(eigenvalues)
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    return basis @ torch.diag(torch.as_tensor(eigenvalues, dtype=torch.float64)) @ basis.T


@pytest.mark.parametrize("k", [1, 3])
def test_hessians_of_networks(case, dense, k):
    operator = HessianOperator(case.mean_loss)
    top = Solver(k).solve(operator)
    expected = torch.linalg.eigvalsh(dense).flip(0)[:k]
    torch.testing.assert_close(top.values, expected, rtol=1e-3, atol=0)
    assert top.converged
    shape = (operator.dimension, operator.dimension)
    linear = LinearOperator(shape, lambda v: operator(torch.from_numpy(v.ravel())).numpy(), dtype=np.float64)
    np.testing.assert_allclose(top.values, eigsh(linear, k, which="LA", return_eigenvectors=False)[::-1], rtol=1e-3)


@pytest.mark.parametrize("scale", [1, 30, 1000])
def test_a_float32_model_keeps_the_digits_of_fitted_samples(case, scale):
    model = copy.deepcopy(case.model).eval()
    with torch.no_grad():
        targets = model(case.inputs).argmax(-1)
        for p in list(model.parameters())[-2:]:  # the last layer: the same predictions, with more confidence
            p.mul_(scale)
    batches = [(case.inputs, targets)]
    precise = HessianOperator(MeanLoss(model, cross_entropy, batches, model_dtype=torch.float64))
    top = Solver().solve(HessianOperator(MeanLoss(model, cross_entropy, batches)))
    assert top.values.item() == pytest.approx(Solver(tolerance=1e-7).solve(precise).values.item(), rel=1e-3)


def test_preconditioned_hessians_of_networks(case, dense):
    generator = torch.Generator().manual_seed(1)
    moments = [10 ** (-6 * torch.rand(p.shape, generator=generator)) for p in case.parameters.values()]
    states = [AdaptiveState(v, 7, 0.01, 1e-8, (0.9, 0.999)) for v in moments]
    flat = torch.cat([v.flatten() for v in moments]).double()
    p = (1 - 0.9**7) * ((flat / (1 - 0.999**7)).sqrt() + 1e-8)
    diagonal = preconditioner(states, [v.numel() for v in moments])
    torch.testing.assert_close(diagonal, p, rtol=1e-12, atol=0)
    expected = np.linalg.eigvals((dense / p[:, None]).numpy()).real.max()
    top = Solver().solve(PreconditionedOperator(HessianOperator(case.mean_loss), diagonal))
    assert top.values.item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_random_spectra(seed):
    rng = np.random.default_rng(seed)
    eigenvalues = np.sort(rng.normal(size=200) * 10.0 ** rng.uniform(-3, 0, size=200))
    top = Solver().solve(MatrixOperator(matrix(eigenvalues, seed)))
    assert top.values.item() == pytest.approx(eigenvalues[-1], rel=1e-3)


@pytest.mark.parametrize("method", ["lanczos", "power"])
@pytest.mark.parametrize("k", [1, 2])
def test_residuals_are_honest(method, k):
    operator = MatrixOperator(matrix(np.linspace(-0.5, 1, 100) ** 3))
    top = Solver(k, method, most=300).solve(operator)
    for value, vector, residual in zip(top.values, top.vectors, top.residuals, strict=True):
        assert vector.norm().item() == pytest.approx(1, abs=1e-12)
        true = (operator(vector) - value * vector).norm()
        torch.testing.assert_close(residual, true, rtol=1e-8, atol=1e-14)
    assert top.converged
    limit = 1e-3 if method == "lanczos" else 1e-2
    assert (top.residuals <= limit * top.values.abs()).all()
    assert not Solver(k, method, least=2, most=2).solve(operator).converged


def test_the_largest_is_not_the_largest_in_size():
    operator = MatrixOperator(matrix([-9.0, 4.0, *np.linspace(-1, 1, 48)]))
    for method in ("lanczos", "power"):
        assert Solver(method=method, most=200).solve(operator).values.item() == pytest.approx(4, rel=1e-3)


def test_all_eigenvalues_of_a_small_matrix_with_repeated_ones():
    top = Solver(k=5).solve(MatrixOperator(matrix([2.0, 2.0, 2.0, -1.0, 0.0])))
    torch.testing.assert_close(top.values, torch.tensor([2.0, 2, 2, 0, -1]).double(), rtol=0, atol=1e-12)
    assert MatrixOperator(torch.zeros(9, 9)).dimension == 9
    assert Solver().solve(MatrixOperator(torch.zeros(9, 9))).values.item() == 0


def test_what_is_not_finite_is_nan_and_forgotten():
    tracker, good = EigenvalueTracker(), MatrixOperator(matrix([3.0, 1.0, 0.0, 0.0]))
    for method in ("lanczos", "power"):
        bad = Solver(2, method).solve(MatrixOperator(torch.full((9, 9), torch.nan)))
        assert bad.values.isnan().tolist() == [True, True]
        assert not bad.converged
    tracker.follow(MatrixOperator(torch.full((4, 4), torch.nan)))
    assert tracker.follow(good).values.item() == pytest.approx(3)


def crossing(kind, speed=1.0, seed=0, points=100, n=400):
    """Two eigenvectors that stay; the second one's eigenvalue overtakes the first one's, above a bulk up to 1."""
    time = speed * np.arange(points)
    first, second = {
        "slowly": (np.full(points, 2.0), 1.5 + time / 100),
        "out of the bulk": (np.full(points, 2.0), 1 + 2 * time / 100),
        "by falling": (np.maximum(2 - 0.02 * time, 0.5), np.full(points, 1.4)),
        "at once": (np.full(points, 2.0), np.where(time < 50, 1.2, 3.0)),
    }[kind]
    bulk = np.linspace(-0.3, 1, n - 2)
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
    for a, b in zip(first, second, strict=True):
        eigenvalues = torch.tensor([a, b, *bulk])
        yield MatrixOperator((basis * eigenvalues) @ basis.T), max(a, b, 1)


def misses(tracker, operators):
    return sum(abs(tracker.follow(operator).values.item() / true - 1) > 0.01 for operator, true in operators)


@pytest.mark.parametrize("kind", ["slowly", "out of the bulk", "by falling", "at once"])
@pytest.mark.parametrize(("speed", "seed"), [(1, 0), (0.5, 1), (3, 2)])
def test_an_eigenvalue_that_overtakes_is_not_missed(kind, speed, seed):
    assert misses(EigenvalueTracker(seed=seed), crossing(kind, speed, seed)) == 0


def test_a_start_from_the_last_eigenvector_alone_would_miss_it():
    class Plain(EigenvalueTracker):
        def follow(self, operator):
            top = super().follow(operator)
            self._start = top.vectors
            return top

    assert misses(Plain(Solver(least=1), noise=0), crossing("slowly")) >= 40


def test_a_search_is_repeatable_and_draws_no_global_random_numbers():
    operator = MatrixOperator(matrix(np.linspace(-1, 1, 50)))
    before = torch.get_rng_state()
    one, other, resumed = EigenvalueTracker(), EigenvalueTracker(), EigenvalueTracker()
    assert torch.equal(one.follow(operator).values, other.follow(operator).values)
    resumed.load_state_dict(one.state_dict())
    assert torch.equal(resumed.follow(operator).vectors, other.follow(operator).vectors)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"method": "powre"}, "did you mean 'power'"), ({"k": 0}, "at least 1"), ({"least": 9, "most": 3}, "least")],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(InputError, match=words):
        Solver(**options)
    with pytest.raises(InputError, match="only 4"):
        Solver(k=5).solve(MatrixOperator(torch.eye(4)))
