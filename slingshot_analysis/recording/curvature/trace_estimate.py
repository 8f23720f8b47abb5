"""The trace of a symmetric operator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from slingshot_analysis.errors import InputError
from slingshot_analysis.recording.curvature.operator import SymmetricOperator


@dataclass(frozen=True)
class TraceEstimate:
    """An estimate of tr A.

    Parameters
    ----------
    value : float
        The estimate, which is unbiased.
    standard_error : float
        Its standard deviation, estimated from the samples.
    products : int
        Number of products with A.
    """

    value: float
    standard_error: float
    products: int


def estimate_trace(
    operator: SymmetricOperator, products: int = 30, generator: torch.Generator | None = None
) -> TraceEstimate:
    """Estimate the trace by Hutch++.

    A third of the products finds a subspace Q of large eigenvalues, and another third gives tr(Qᵀ A Q) exactly. The
    remaining trace is estimated by the mean of sᵀ (1 − QQᵀ) A (1 − QQᵀ) s over random signs s.

    Parameters
    ----------
    operator : SymmetricOperator
        A.
    products : int, optional
        Number of products with A; at least 6.
    generator : torch.Generator, optional
        Source of the random signs, on the CPU; by default one with seed 0. The global random state is never used.

    Returns
    -------
    TraceEstimate

    Raises
    ------
    InputError
        If there are too few products.

    References
    ----------
    Meyer, Musco, Musco and Woodruff 2021, "Hutch++: Optimal Stochastic Trace Estimation", arXiv 2010.09649.

    Examples
    --------
    >>> from slingshot_analysis.recording.curvature import MatrixOperator
    >>> matrix = torch.diag(torch.tensor([9.0, 3.0, 1.0, -1.0, 0.0, 0.0], dtype=torch.float64))
    >>> round(estimate_trace(MatrixOperator(matrix), products=18).value, 6)
    12.0
    """
    if products < 6:
        raise InputError(f"products is {products}; Hutch++ needs at least 6")
    generator = generator or torch.Generator().manual_seed(0)
    n, each = operator.dimension, products // 3
    sketch = min(each, n)
    signs = torch.randint(0, 2, (sketch + each, n), generator=generator).mul_(2).sub_(1)
    signs = signs.to(operator.device, operator.dtype)
    space = torch.linalg.qr(torch.stack([operator(row) for row in signs[:sketch]], dim=1))[0].T
    inside = sum(float(row @ operator(row)) for row in space)
    beside = signs[sketch:] - (signs[sketch:] @ space.T) @ space
    samples = torch.stack([row @ operator(row) for row in beside])
    error = float(samples.std()) / math.sqrt(each)
    return TraceEstimate(inside + float(samples.mean()), error, 2 * sketch + each)
