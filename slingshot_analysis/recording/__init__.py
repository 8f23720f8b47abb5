"""Record any PyTorch training loop: the Recorder, its probes and its schedules."""

from slingshot_analysis.recording.probe import Buffer, Moment, Probe, Subject
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
    GradientWeightCosine,
    Hessian,
    LogitMargin,
    MeanShares,
    Norms,
    Precision,
    Preconditioned,
    SpectralNorm,
    UpdateNorm,
    UpdateSharpness,
)
from slingshot_analysis.recording.recorder import Recorder
from slingshot_analysis.recording.schedule import Budget, Every, LogSpaced, Schedule, Within
from slingshot_analysis.recording.warning import SlingshotWarning
from slingshot_analysis.recording.watch import Transition

__all__ = [
    "PROBES",
    "Batch",
    "BelowEpsilon",
    "Budget",
    "Buffer",
    "CosineDistance",
    "EffectiveStep",
    "EffectiveStepQuantiles",
    "Evaluation",
    "Every",
    "FeatureChange",
    "Features",
    "GradientWeightCosine",
    "Hessian",
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
]
