"""How good a detector is: its events against labels, and its confidences against what came true."""

from slingshot_analysis.evaluation.confidence import Calibration, calibration
from slingshot_analysis.evaluation.detector import DetectorEvaluation, evaluate
from slingshot_analysis.evaluation.matching import match_events
from slingshot_analysis.evaluation.score import Score, pool_scores, score_events

__all__ = [
    "Calibration",
    "DetectorEvaluation",
    "Score",
    "calibration",
    "evaluate",
    "match_events",
    "pool_scores",
    "score_events",
]
