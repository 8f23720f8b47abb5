"""Record any PyTorch training loop: the Recorder, its probes and its schedules."""

from slingshot_analysis.recording.probe import Buffer, Moment, Probe, Subject
from slingshot_analysis.recording.probes import (
    PROBES,
    Batch,
    CosineDistance,
    Evaluation,
    FeatureChange,
    Norms,
    UpdateNorm,
)
from slingshot_analysis.recording.recorder import Recorder
from slingshot_analysis.recording.schedule import Every, LogSpaced, Schedule, Within

__all__ = [
    "PROBES",
    "Batch",
    "Buffer",
    "CosineDistance",
    "Evaluation",
    "Every",
    "FeatureChange",
    "LogSpaced",
    "Moment",
    "Norms",
    "Probe",
    "Recorder",
    "Schedule",
    "Subject",
    "UpdateNorm",
    "Within",
]
