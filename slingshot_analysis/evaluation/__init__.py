"""How good a detector is: whether its events are true, and whether its confidences are calibrated."""

from slingshot_analysis.evaluation.confidence import Calibration, calibration
from slingshot_analysis.evaluation.detector import (
    DetectorEvaluation,
    evaluate,
    find_detector,
    read_truth,
    usable_truth,
)
from slingshot_analysis.evaluation.matching import match_events
from slingshot_analysis.evaluation.score import Score, pool_scores, score_events

__all__ = [
    "Calibration",
    "DetectorEvaluation",
    "Score",
    "calibration",
    "evaluate",
    "find_detector",
    "match_events",
    "pool_scores",
    "read_truth",
    "score_events",
    "usable_truth",
]
