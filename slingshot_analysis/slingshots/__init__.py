"""The composite detector: slingshots, assembled from the events that detectors of single signals find."""

from slingshot_analysis.slingshots.anchors import Anchor, merge_anchors
from slingshot_analysis.slingshots.assembly import Assembly, Verdict, assemble, detect_slingshots
from slingshot_analysis.slingshots.options import DEFAULT, Options

__all__ = ["DEFAULT", "Anchor", "Assembly", "Options", "Verdict", "assemble", "detect_slingshots", "merge_anchors"]
