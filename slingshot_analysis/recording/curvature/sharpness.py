"""Curvature along one direction: that of an update."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from slingshot_analysis.recording.curvature.hessian import HessianOperator
from slingshot_analysis.recording.curvature.mean_loss import MeanLoss

__all__ = ["secant_sharpness", "sharpness"]


def sharpness(hessian: HessianOperator, direction: Tensor) -> Tensor:
    """Return uᵀ H u / ‖u‖² for a direction u, as a () tensor; NaN for u = 0. One product.

    References
    ----------
    Thilak et al. 2022, Figure 3, arXiv 2206.04817, with the optimizer's update as u.
    """
    return direction @ hessian(direction) / (direction @ direction)


def secant_sharpness(
    mean_loss: MeanLoss,
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Return (∇L(w + u) − ∇L(w)) · u / ‖u‖², as a () tensor; NaN for u = 0. Two gradients.

    It is uᵀ H u / ‖u‖² with H averaged over the line from w to w + u, and equal to it where the loss is quadratic.

    Parameters
    ----------
    mean_loss : MeanLoss
        L, of a model in float64: where updates are small, the difference of float32 gradients has no digits left.
    before, after : mapping of str to Tensor
        Parameters at w and at w + u.
    buffers : mapping of str to Tensor, optional
        At both points; by default those that the model has now.
    """
    (_, first), (_, last) = (mean_loss.gradient(point, buffers) for point in (before, after))
    direction = mean_loss.flatten(after) - mean_loss.flatten(before)
    return (last - first) @ direction / (direction @ direction)
