"""Curvature along one direction: that of an update."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from slingshot_analysis.recording.curvature.hessian import HessianOperator

__all__ = ["secant_sharpness", "sharpness"]


def sharpness(hessian: HessianOperator, direction: Tensor) -> Tensor:
    """Return uᵀ H u / ‖u‖² for a direction u, as a () tensor; NaN for u = 0. One product.

    References
    ----------
    Thilak et al. 2022, Figure 3, arXiv 2206.04817, with the optimizer's update as u.
    """
    return direction @ hessian(direction) / (direction @ direction)


def secant_sharpness(hessian: HessianOperator, direction: Tensor, after: Mapping[str, Tensor]) -> Tensor:
    """Return (∇L(w + u) − ∇L(w)) · u / ‖u‖², as a () tensor; NaN for u = 0. One gradient.

    It is uᵀ H u / ‖u‖² with H averaged over the line from w to w + u, and equal to it where the loss is quadratic.

    Parameters
    ----------
    hessian : HessianOperator
        At w.
    direction : (dimension,) Tensor
        u.
    after : mapping of str to Tensor
        Parameters at w + u; buffers are those at w.
    """
    _, gradient = hessian.mean_loss.gradient(after, hessian.buffers)
    return (gradient - hessian.gradient) @ direction / (direction @ direction)
