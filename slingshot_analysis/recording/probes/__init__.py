"""The probes, one file each. To add one, write its file and name it here."""

from slingshot_analysis.recording.probes._base import Buffer, Columns, Moment, Probe, dtype_name
from slingshot_analysis.recording.probes._batch_probe import BatchProbe, KeptBatches
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.probes.batch import Batch
from slingshot_analysis.recording.probes.below_epsilon_fraction import BelowEpsilon
from slingshot_analysis.recording.probes.cosine_distance import CosineDistance
from slingshot_analysis.recording.probes.effective_step import EffectiveStep
from slingshot_analysis.recording.probes.effective_step_quantiles import EffectiveStepQuantiles
from slingshot_analysis.recording.probes.evaluation import Evaluation
from slingshot_analysis.recording.probes.feature_change import FeatureChange
from slingshot_analysis.recording.probes.features import Features
from slingshot_analysis.recording.probes.gauss_newton import GaussNewton
from slingshot_analysis.recording.probes.gradient_weight_cosine import GradientWeightCosine
from slingshot_analysis.recording.probes.hessian import Hessian
from slingshot_analysis.recording.probes.hessian_blocks import HessianBlocks
from slingshot_analysis.recording.probes.hessian_density import HessianDensity
from slingshot_analysis.recording.probes.hessian_trace import HessianTrace
from slingshot_analysis.recording.probes.logit_margin import LogitMargin
from slingshot_analysis.recording.probes.mean_shares import MeanShares
from slingshot_analysis.recording.probes.norms import Norms
from slingshot_analysis.recording.probes.precision import Precision
from slingshot_analysis.recording.probes.preconditioned import Preconditioned
from slingshot_analysis.recording.probes.spectral_norm import SpectralNorm
from slingshot_analysis.recording.probes.update_norm import UpdateNorm
from slingshot_analysis.recording.probes.update_sharpness import UpdateSharpness

__all__ = [
    "PROBES",
    "Batch",
    "BatchProbe",
    "BelowEpsilon",
    "Buffer",
    "Columns",
    "CosineDistance",
    "CurvatureProbe",
    "EffectiveStep",
    "EffectiveStepQuantiles",
    "Evaluation",
    "FeatureChange",
    "Features",
    "GaussNewton",
    "GradientWeightCosine",
    "Hessian",
    "HessianBlocks",
    "HessianDensity",
    "HessianTrace",
    "KeptBatches",
    "LogitMargin",
    "MeanShares",
    "Moment",
    "Norms",
    "Precision",
    "Preconditioned",
    "Probe",
    "SpectralNorm",
    "UpdateNorm",
    "UpdateSharpness",
    "dtype_name",
]

PROBES: dict[str, type[Probe]] = {
    probe.name: probe
    for probe in (
        Batch,
        Norms,
        UpdateNorm,
        FeatureChange,
        CosineDistance,
        Evaluation,
        Precision,
        LogitMargin,
        EffectiveStep,
        EffectiveStepQuantiles,
        BelowEpsilon,
        GradientWeightCosine,
        MeanShares,
        SpectralNorm,
        Features,
        Hessian,
        Preconditioned,
        UpdateSharpness,
        GaussNewton,
        HessianTrace,
        HessianBlocks,
        HessianDensity,
    )
}
"""Every probe by the name that ``Recorder(probes=[...])`` takes."""
