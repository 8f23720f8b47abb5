"""Trace and spectral density against dense matrices."""

import numpy as np
import pytest
import torch

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.curvature import HessianOperator, MatrixOperator, estimate_trace, spectral_density


def test_trace_of_a_network(case, dense):
    operator = HessianOperator(case.mean_loss)
    estimates = [estimate_trace(operator, 30, torch.Generator().manual_seed(seed)) for seed in range(6)]
    values, errors = (np.array([getattr(e, name) for e in estimates]) for name in ("value", "standard_error"))
    true = float(dense.trace())
    assert estimates[0].products == 30
    assert abs(values.mean() - true) < 4 * values.std() / np.sqrt(6)
    assert 0.3 < np.sqrt((errors**2).mean()) / values.std() < 3
    assert values.std() < 0.25 * true


def test_trace_is_exact_where_the_sketch_holds_everything():
    matrix = torch.diag(torch.tensor([5.0, -2.0, 1.0] + [0.0] * 97, dtype=torch.float64))
    assert estimate_trace(MatrixOperator(matrix), 18).value == pytest.approx(4, rel=1e-10)
    with pytest.raises(InputError, match="at least 6"):
        estimate_trace(MatrixOperator(matrix), 5)


def test_density_of_a_network(case, dense):
    density = spectral_density(HessianOperator(case.mean_loss), starts=10, steps=15)
    eigenvalues = torch.linalg.eigvalsh(dense).numpy()
    assert density.weights.sum() == pytest.approx(1)
    assert density.moment(1) == pytest.approx(eigenvalues.mean(), abs=0.2 * eigenvalues.std())
    assert density.moment(2) == pytest.approx((eigenvalues**2).mean(), rel=0.3)
    assert density.nodes.max() == pytest.approx(eigenvalues.max(), rel=1e-3)
    at = np.linspace(eigenvalues.min() - 1, eigenvalues.max() + 1, 2000)
    assert np.trapezoid(density.smoothed(at, 0.05), at) == pytest.approx(1, rel=1e-3)
    # in between, 15 steps do not resolve the bulk near 0; the few large eigenvalues stand alone
    large = eigenvalues.max() / 2
    share = (eigenvalues > large).mean()
    assert density.weights[density.nodes > large].sum() == pytest.approx(share, rel=0.6)
