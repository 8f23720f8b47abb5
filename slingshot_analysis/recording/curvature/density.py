"""The spectral density of a symmetric operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from slingshot_analysis.recording.curvature._lanczos import quadrature, random_direction
from slingshot_analysis.recording.curvature.operator import SymmetricOperator


@dataclass(frozen=True)
class SpectralDensity:
    """A density of eigenvalues as a sum of point masses.

    Parameters
    ----------
    nodes : (m,) float array
        Positions of the masses, ascending: the Ritz values of all starts.
    weights : (m,) float array
        The masses; their sum is 1.
    """

    nodes: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]


def spectral_density(
    operator: SymmetricOperator, starts: int = 10, steps: int = 30, generator: torch.Generator | None = None
) -> SpectralDensity:
    """Estimate the density of eigenvalues by stochastic Lanczos quadrature.

    From each random start v, `steps` steps of Lanczos' method give a Gaussian quadrature rule: its nodes are the Ritz
    values, its weights the squared first components of the tridiagonal matrix's eigenvectors. The rule gives vᵀ A^k v
    exactly for k up to 2 · steps − 1, and the mean over the starts, Σ weight · node^k, estimates tr(A^k) / dimension.

    Parameters
    ----------
    operator : SymmetricOperator
        A.
    starts, steps : int, optional
        Number of random starts, and of products with A from each.
    generator : torch.Generator, optional
        Source of random numbers, on the CPU; by default one with seed 0. The global random state is never used.

    Returns
    -------
    SpectralDensity
        Its nodes are NaN where a product was not finite.

    References
    ----------
    Ubaru, Chen and Saad 2017, doi:10.1137/16M1104974; Ghorbani, Krishnan and Xiao 2019, arXiv 1901.10159.

    Examples
    --------
    >>> from slingshot_analysis.recording.curvature import MatrixOperator
    >>> matrix = torch.diag(torch.tensor([4.0] * 50 + [0.0] * 50, dtype=torch.float64))
    >>> density = spectral_density(MatrixOperator(matrix), starts=20, steps=2)
    >>> bool(abs(density.weights[density.nodes > 2].sum() - 0.5) < 0.05)
    True
    """
    generator = generator or torch.Generator().manual_seed(0)
    nodes, weights = [], []
    for _ in range(starts):
        found, weighed = quadrature(operator, random_direction(operator, generator), steps, generator)
        nodes.append(found)
        weights.append(weighed / starts)
    order = np.argsort(np.concatenate(nodes))
    return SpectralDensity(np.concatenate(nodes)[order], np.concatenate(weights)[order])
