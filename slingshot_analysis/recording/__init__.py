"""Record any PyTorch training loop: the Recorder, its probes and its schedules."""

from slingshot_analysis.recording.online.warning import SlingshotWarning
from slingshot_analysis.recording.online.watch import Transition
from slingshot_analysis.recording.probes import (
    PROBES,
    Batch,
    BelowEpsilon,
    CosineDistance,
    EffectiveStep,
    EffectiveStepQuantiles,
    Evaluation,
    FeatureChange,
    Features,
    GaussNewton,
    GradientWeightCosine,
    Hessian,
    HessianBlocks,
    HessianDensity,
    HessianTrace,
    LogitMargin,
    MeanShares,
    Norms,
    Precision,
    Preconditioned,
    SpectralNorm,
    UpdateNorm,
    UpdateSharpness,
)
from slingshot_analysis.recording.probes._base import Buffer, Moment, Probe
from slingshot_analysis.recording.probes._bundles import BUNDLES, choose_probes
from slingshot_analysis.recording.probes._catalogue import catalogue
from slingshot_analysis.recording.probes._curvature_probe import CurvatureProbe
from slingshot_analysis.recording.recorder import Recorder
from slingshot_analysis.recording.schedule import Budget, Every, LogSpaced, Schedule, Within
from slingshot_analysis.recording.subject import Subject

__all__ = [
    "BUNDLES",
    "PROBES",
    "Batch",
    "BelowEpsilon",
    "Budget",
    "Buffer",
    "CosineDistance",
    "CurvatureProbe",
    "EffectiveStep",
    "EffectiveStepQuantiles",
    "Evaluation",
    "Every",
    "FeatureChange",
    "Features",
    "GaussNewton",
    "GradientWeightCosine",
    "Hessian",
    "HessianBlocks",
    "HessianDensity",
    "HessianTrace",
    "LogSpaced",
    "LogitMargin",
    "MeanShares",
    "Moment",
    "Norms",
    "Precision",
    "Preconditioned",
    "Probe",
    "Recorder",
    "Schedule",
    "SlingshotWarning",
    "SpectralNorm",
    "Subject",
    "Transition",
    "UpdateNorm",
    "UpdateSharpness",
    "Within",
    "catalogue",
    "choose_probes",
]
