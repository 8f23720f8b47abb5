"""The run that is recorded, as probes see it: model, data, targets, loss and optimizer state."""

from slingshot_analysis.recording.subject.data import Batches, Data
from slingshot_analysis.recording.subject.losses import LossFunction, cross_entropy
from slingshot_analysis.recording.subject.states import StatePairs
from slingshot_analysis.recording.subject.subject import Subject, make_subject
from slingshot_analysis.recording.subject.targets import Kind, Targets

__all__ = [
    "Batches",
    "Data",
    "Kind",
    "LossFunction",
    "StatePairs",
    "Subject",
    "Targets",
    "cross_entropy",
    "make_subject",
]
