"""How good a detector is: events against labels, and confidences against what came true."""

from slingshot_analysis.scoring.confidence import Calibration, calibration
from slingshot_analysis.scoring.events import Score, pool, score_events
from slingshot_analysis.scoring.matching import match_events

__all__ = ["Calibration", "Score", "calibration", "match_events", "pool", "score_events"]
