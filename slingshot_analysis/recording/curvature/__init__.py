"""Curvature of the loss: products with the Hessian and related matrices, and quantities computed from them."""

from slingshot_analysis.recording.curvature.density import SpectralDensity, spectral_density
from slingshot_analysis.recording.curvature.eigensolver import Eigenvalues, EigenvalueTracker, Solver
from slingshot_analysis.recording.curvature.gauss_newton import GaussNewtonOperator
from slingshot_analysis.recording.curvature.hessian import HessianBlock, HessianOperator
from slingshot_analysis.recording.curvature.mean_loss import MeanLoss
from slingshot_analysis.recording.curvature.operator import MatrixOperator, SymmetricOperator
from slingshot_analysis.recording.curvature.preconditioner import (
    PreconditionedOperator,
    preconditioner,
    stability_threshold,
)
from slingshot_analysis.recording.curvature.samples import LARGEST_SET, fixed_samples
from slingshot_analysis.recording.curvature.shared import Curvature, Curvatures
from slingshot_analysis.recording.curvature.sharpness import secant_sharpness, sharpness
from slingshot_analysis.recording.curvature.trace_estimate import TraceEstimate, estimate_trace

__all__ = [
    "LARGEST_SET",
    "Curvature",
    "Curvatures",
    "EigenvalueTracker",
    "Eigenvalues",
    "GaussNewtonOperator",
    "HessianBlock",
    "HessianOperator",
    "MatrixOperator",
    "MeanLoss",
    "PreconditionedOperator",
    "Solver",
    "SpectralDensity",
    "SymmetricOperator",
    "TraceEstimate",
    "estimate_trace",
    "fixed_samples",
    "preconditioner",
    "secant_sharpness",
    "sharpness",
    "spectral_density",
    "stability_threshold",
]
