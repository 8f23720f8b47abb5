"""Events detected during a run: transitions, early warnings, and the flight recorder's measurements."""

from slingshot_analysis.recording.online.flight import FlightRecorder
from slingshot_analysis.recording.online.trigger import LaggedLoss, TransitionTrigger
from slingshot_analysis.recording.online.warning import EarlyWarning, SlingshotWarning, warn_from
from slingshot_analysis.recording.online.watch import Transition, Watch

__all__ = [
    "EarlyWarning",
    "FlightRecorder",
    "LaggedLoss",
    "SlingshotWarning",
    "Transition",
    "TransitionTrigger",
    "Watch",
    "warn_from",
]
