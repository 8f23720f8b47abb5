"""The probes, one file each. To add one, write its file and name it here."""

from slingshot_analysis.recording.probe import Probe
from slingshot_analysis.recording.probes.batch import Batch
from slingshot_analysis.recording.probes.cosine_distance import CosineDistance
from slingshot_analysis.recording.probes.evaluation import Evaluation
from slingshot_analysis.recording.probes.feature_change import FeatureChange
from slingshot_analysis.recording.probes.norms import Norms
from slingshot_analysis.recording.probes.update_norm import UpdateNorm

__all__ = ["PROBES", "Batch", "CosineDistance", "Evaluation", "FeatureChange", "Norms", "UpdateNorm"]

PROBES: dict[str, type[Probe]] = {
    probe.name: probe for probe in (Batch, Norms, UpdateNorm, FeatureChange, CosineDistance, Evaluation)
}
"""Every probe by the name that ``Recorder(probes=[...])`` takes."""
