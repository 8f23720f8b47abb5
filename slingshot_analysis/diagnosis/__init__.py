"""Why a loss spiked: candidate causes, what speaks for and against each in one log, and what people do about it."""

from slingshot_analysis.diagnosis.cause import Cause, Check, Remedy, Sign
from slingshot_analysis.diagnosis.diagnose import Diagnosis, diagnose
from slingshot_analysis.diagnosis.evidence import Evidence

__all__ = ["Cause", "Check", "Diagnosis", "Evidence", "Remedy", "Sign", "diagnose"]
