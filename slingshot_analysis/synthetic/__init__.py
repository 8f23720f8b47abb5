"""Synthetic traces with known truth: runs with slingshots, and runs that only look a little like them."""

from slingshot_analysis.synthetic.coarse import CoarseShape, coarse_run
from slingshot_analysis.synthetic.hostile import HOSTILE_VERDICTS, HostileKind, hostile_run
from slingshot_analysis.synthetic.negative import NEGATIVE_KINDS, NegativeKind, negative_run
from slingshot_analysis.synthetic.positive import Style, slingshot_run
from slingshot_analysis.synthetic.pretraining import PretrainingLog, TrueSpike, pretraining_log
from slingshot_analysis.synthetic.run import SyntheticRun

__all__ = [
    "HOSTILE_VERDICTS",
    "NEGATIVE_KINDS",
    "CoarseShape",
    "HostileKind",
    "NegativeKind",
    "PretrainingLog",
    "Style",
    "SyntheticRun",
    "TrueSpike",
    "coarse_run",
    "hostile_run",
    "negative_run",
    "pretraining_log",
    "slingshot_run",
]
