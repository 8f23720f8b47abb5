"""The analysis of one run: from its signals to all results."""

from slingshot_analysis.analysis.one_run import analyze
from slingshot_analysis.analysis.result import Analysis, Skipped, finite

__all__ = ["Analysis", "Skipped", "analyze", "finite"]
