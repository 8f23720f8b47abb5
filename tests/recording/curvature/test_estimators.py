"""Trace and spectral density against dense matrices, and their spread against its exact value."""

import numpy as np
import pytest
import torch

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.curvature import HessianOperator, MatrixOperator, estimate_trace, spectral_density


class Noted(MatrixOperator):
    """A matrix that notes with what it was multiplied."""

    def __init__(self, matrix):
        super().__init__(matrix)
        self.asked = []

    def __call__(self, vector):
        self.asked.append(vector.clone())
        return super().__call__(vector)


def test_trace_of_a_network(case, dense):
    """Given the sketch Q, the value has mean tr A and variance 2 Σ_{i≠j} B_ij²/m, with B = (1 − QQᵀ) A (1 − QQᵀ)."""
    true, deviations, errors = float(dense.trace()), [], []
    for seed in range(100):
        operator = Noted(dense)
        estimate = estimate_trace(operator, 30, torch.Generator().manual_seed(seed))
        assert estimate.products == len(operator.asked) == 30
        space = torch.linalg.qr(dense @ torch.stack(operator.asked[:10], dim=1))[0]
        half = dense - space @ (space.T @ dense)
        rest = half - (half @ space) @ space.T
        spread = float((2 * (rest.square().sum() - rest.diagonal().square().sum()) / 10).sqrt())
        deviations.append((estimate.value - true) / spread)
        errors.append((estimate.standard_error / spread) ** 2)
    assert abs(np.mean(deviations)) < 4 / np.sqrt(100)
    # squares of 100 normal numbers, and variances of 10 of them: 4 standard deviations of their means
    assert abs(np.mean(np.square(deviations)) - 1) < 4 * np.sqrt(2 / 100)
    assert abs(np.mean(errors) - 1) < 4 * np.sqrt(2 / 9 / 100)
    of_network = estimate_trace(HessianOperator(case.mean_loss), 30, torch.Generator().manual_seed(0))
    same = estimate_trace(MatrixOperator(dense), 30, torch.Generator().manual_seed(0))
    assert of_network.value == pytest.approx(same.value, rel=1e-8)


def test_trace_is_exact_where_the_sketch_holds_everything():
    matrix = torch.diag(torch.tensor([5.0, -2.0, 1.0] + [0.0] * 97, dtype=torch.float64))
    assert estimate_trace(MatrixOperator(matrix), 18).value == pytest.approx(4, rel=1e-10)
    with pytest.raises(InputError, match="at least 6"):
        estimate_trace(MatrixOperator(matrix), 5)


def test_density_of_a_network(case, dense):
    operator, n = Noted(dense), len(dense)
    density = spectral_density(operator, starts=10, steps=15)
    eigenvalues, vectors = torch.linalg.eigh(dense)
    assert density.weights.sum() == pytest.approx(1)
    # the quadrature is exact for powers up to 29 of the matrix between the starts
    shares = (torch.stack(operator.asked[::15]) @ vectors).square().mean(0)
    for order in (1, 2, 5, 9):
        assert density.weights @ density.nodes**order == pytest.approx(float(shares @ eigenvalues**order), rel=1e-8)
    # and these are random: the variance of vᵀMv over unit vectors is 2 (tr M² − (tr M)²/n) / (n (n + 2))
    for order in (1, 2):
        powers = eigenvalues**order
        variance = 2 * (powers.square().sum() - powers.sum() ** 2 / n) / (n * (n + 2))
        assert abs(density.weights @ density.nodes**order - float(powers.mean())) < 4 * float((variance / 10).sqrt())
    assert density.nodes.max() == pytest.approx(float(eigenvalues[-1]), rel=1e-3)
    # in between, 15 steps do not resolve the bulk near 0; the few large eigenvalues stand alone
    gap = int(eigenvalues[-6:].diff().argmax())
    middle = float(eigenvalues[-6:][gap : gap + 2].mean())
    assert density.weights[density.nodes > middle].sum() == pytest.approx(
        float(shares[eigenvalues > middle].sum()), rel=1e-3
    )
