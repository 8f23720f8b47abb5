"""The spectral density of a symmetric operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from slingshot_analysis.recording.curvature._lanczos import quadrature, random_direction
from slingshot_analysis.recording.curvature.operator import SymmetricOperator

__all__ = ["SpectralDensity", "spectral_density"]


@dataclass(frozen=True)
class SpectralDensity:
    """A density of eigenvalues as a sum of point masses.

    Parameters
    ----------
    nodes : (m,) float array
        Where they are, ascending; Ritz values of all starts.
    weights : (m,) float array
        What they weigh; the sum is 1.
    """

    nodes: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]

    def moment(self, order: int) -> float:
        """Return an estimate of tr(A^order) / dimension."""
        return float(self.weights @ self.nodes**order)

    def smoothed(self, at: npt.NDArray[np.float64], width: float) -> npt.NDArray[np.float64]:
        """Return the density at some values, each mass spread to a Gaussian with standard deviation `width`."""
        distances = (np.asarray(at)[:, None] - self.nodes) / width
        heights: npt.NDArray[np.float64] = np.exp(-(distances**2) / 2) @ self.weights / (width * np.sqrt(2 * np.pi))
        return heights


def spectral_density(
    operator: SymmetricOperator, starts: int = 10, steps: int = 30, generator: torch.Generator | None = None
) -> SpectralDensity:
    """Estimate the density of eigenvalues by stochastic Lanczos quadrature.

    From each random start, `steps` of Lanczos give a Gaussian quadrature rule: nodes are the Ritz values, weights the
    squared first components of the tridiagonal matrix's eigenvectors. Moments up to order 2 · steps − 1 are those
    of the start exactly; the mean over starts estimates those of the spectrum.

    Parameters
    ----------
    operator : SymmetricOperator
        A.
    starts, steps : int, optional
        Random starts, and products from each.
    generator : torch.Generator, optional
        Of random numbers, on the CPU; by default one with seed 0. The global random state is never used.

    Returns
    -------
    SpectralDensity
        NaN nodes where a product was not finite.

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
