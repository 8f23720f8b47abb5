"""Curvature along the direction of an update."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from slingshot_analysis.recording.curvature.hessian import HessianOperator
from slingshot_analysis.recording.curvature.mean_loss import MeanLoss


def sharpness(hessian: HessianOperator, direction: Tensor) -> Tensor:
    """Return uᵀ H u / ‖u‖² for a direction u as a () tensor; NaN for u = 0. It takes one product.

    References
    ----------
    Thilak et al. 2022, Figure 3, arXiv 2206.04817, where u is the optimizer's update.
    """
    return direction @ hessian(direction) / (direction @ direction)


def secant_sharpness(
    mean_loss: MeanLoss,
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Return (∇L(w + u) − ∇L(w)) · u / ‖u‖² as a () tensor; NaN for u = 0. It takes two gradients.

    This is uᵀ H u / ‖u‖² with H averaged over the line from w to w + u. Where the loss is quadratic, both are equal.

    Parameters
    ----------
    mean_loss : MeanLoss
        L. Its model should be in float64: for small updates, rounding leaves no digit of a difference in float32.
    before, after : mapping of str to Tensor
        Parameters at w and at w + u.
    buffers : mapping of str to Tensor, optional
        Buffers at both points; by default the model's present ones.
    """
    (_, first), (_, last) = (mean_loss.gradient(point, buffers) for point in (before, after))
    direction = mean_loss.flatten(after) - mean_loss.flatten(before)
    return (last - first) @ direction / (direction @ direction)
