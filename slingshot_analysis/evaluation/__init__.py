"""How good a detector is: whether its events are true, and whether its confidences are calibrated."""

from slingshot_analysis.evaluation.confidence import Calibration, calibration
from slingshot_analysis.evaluation.detector import (
    DetectorEvaluation,
    evaluate,
    find_detector,
)
from slingshot_analysis.evaluation.matching import match_events
from slingshot_analysis.evaluation.score import Score, pool_scores, score_events, score_spikes
from slingshot_analysis.evaluation.truth import Truth, read_truth, usable_truth

__all__ = [
    "Calibration",
    "DetectorEvaluation",
    "Score",
    "Truth",
    "calibration",
    "evaluate",
    "find_detector",
    "match_events",
    "pool_scores",
    "read_truth",
    "score_events",
    "score_spikes",
    "usable_truth",
]
